"""How a program gives itself away as the sender of a message (RFC 3834 and the habits that are older).

It says what it found, and decides nothing: what comes of it is policy.
"""

import re
from collections.abc import Mapping, Sequence

Fields = Mapping[str, Sequence[str]]

# A person's answer to one of these begins with "Re:", so only the start of a Subject counts.
_SUBJECT = re.compile(
    r"auto(?:matic|mated)?[- ]?(?:reply|response|respons|responder|svar)\s*:"
    r"|out of (?:the )?office\s*(?:$|:|(?:auto)?[- ]?(?:reply|response|notification|message))"
    r"|(?:abwesenheitsnotiz|automatische antwort|réponse automatique|respuesta automática|risposta automatica"
    r"|resposta automática|automatisch antwoord|automaattinen vastaus|automatiskt svar|odpowiedź automatyczna)\b"
    r"|(?:undeliver(?:able|ed)|delivery status notification|mail delivery (?:failed|failure|system)|returned mail"
    r"|failure notice|delivery failure)\b"
    r"|(?:\[preview\]\s*)?report domain:\s*\S+?;?\s+submitter:"  # RFC 7489 7.2.1.1
    r"|complaint about message from \d",
    re.IGNORECASE,
)
_NOBODY = re.compile(r"(?:mailer-daemon|postmaster|no-?reply|do-?not-?reply|bounces?)(?:[+._-][^@]*)?@", re.IGNORECASE)
_REPORT = re.compile(r"multipart/report\b", re.IGNORECASE)
_OWN_MARKS = (
    *("x-autoreply", "x-autorespond", "x-autoresponder", "x-failed-recipients", "x-hmxmroriginalrecipient"),
    "list-unsubscribe",  # sent to many by a mailing program; Feedback-ID says less, some hosts put it on people's mail
)
_SHOWN = 60  # characters of a value


def sign_of_a_program(fields: Fields, subject: str, author_email: str) -> str:
    """How it shows that a program wrote the message; empty where a person may have.

    `fields` has the values of the header fields by lower-case name, `subject` is decoded.
    """
    submitted = _first(fields, "auto-submitted")
    if submitted and not re.match(r"no\b", submitted, re.IGNORECASE):
        return f"Auto-Submitted: {submitted[:_SHOWN]}"
    precedence = _first(fields, "precedence").lower()
    if precedence in ("bulk", "junk", "list", "auto_reply"):
        return f"Precedence: {precedence}"
    if _REPORT.match(_first(fields, "content-type")):
        return "a report (multipart/report)"
    if mark := next((name for name in _OWN_MARKS if name in fields), ""):
        return f"it has a field {mark.title()}"
    if _NOBODY.match(author_email):
        return f"from {author_email}"
    if _SUBJECT.match(subject.strip()):
        return f"Subject: {subject.strip()[:_SHOWN]}"
    return ""


def _first(fields: Fields, name: str) -> str:
    return next(iter(fields.get(name, ())), "").strip()
