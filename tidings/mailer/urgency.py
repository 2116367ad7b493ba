"""How an author says that a message is urgent: the start of its Subject, or a field that mail programs set.

It says what it found, and decides nothing: whom an urgent message reaches sooner is policy.
"""

import re
from collections.abc import Mapping, Sequence

# As it was written: who answers such a message ("Re: [urgent]") is not in a hurry for that.
_SUBJECT = re.compile(r"\s*(?:\[urgent\]|urgent\s*:)", re.IGNORECASE)
_FIELDS = {
    "importance": re.compile(r"\s*high\b", re.IGNORECASE),  # RFC 2156 5.3.4
    "priority": re.compile(r"\s*urgent\b", re.IGNORECASE),  # RFC 2156 5.3.6
    "x-priority": re.compile(r"\s*1\b"),
}


def is_urgent(fields: Mapping[str, Sequence[str]], subject: str) -> bool:
    """Whether it says so; `fields` has the values of the header fields by lower-case name, `subject` is decoded.

    A reply may carry such a field only because what it answers had it, so there it says nothing.
    """
    if _SUBJECT.match(subject):
        return True
    if "in-reply-to" in fields:
        return False
    return any(mark.match(next(iter(fields.get(name, ())), "")) for name, mark in _FIELDS.items())
