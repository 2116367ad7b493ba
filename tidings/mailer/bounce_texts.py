"""Whom a bounce names in the text that a mail system wrote for people, and what it says of each.

It knows how such texts are built and, but for a few phrases, not who built them. What they mean is bounce_reasons.py's
matter; parts and charsets are bounces.py's.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

_LINES_MOST = 2_000
_LINE_MOST = 1_000
_NAMED_MOST = 1_000
_RETURNED_MOST = 64 * 1024  # characters of the returned message in which its To is looked for

# ASCII only: Chinese or Japanese words may stand beside an address without a space. The look behind lets a match begin
# only where a word begins, which keeps long words linear.
_ATOM = r"[!#-'*+/-9=?A-Z^-~.-]"
_DOMAIN = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,63}\.){0,10}[A-Za-z0-9-]{0,62}[A-Za-z0-9]"
_ADDRESS = rf"(?:\"[^\"\\\n]{{1,64}}\"|(?<!{_ATOM}){_ATOM}{{1,128}})@{_DOMAIN}"
_ANY_ADDRESS = re.compile(_ADDRESS)


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_MAILER_DAEMON = _words(r"mailer[-_. ]?daemon")
_MAIL_SYSTEM = _words(
    r"mail[-_. ]?daemon|post[-_. ]?master|mdaemon|mail[-_. ]?deliver|delivery[-_. ]?(?:sub)?system",
    r"mail[-_. ](?:system|service)|(?:system|mail|ndr) administrator",
)
_PROGRAM = _words(r"no-?reply|do-?not-?reply")
_AWAY = _words(
    r"\W{0,3}auto(?:matic|mated)?[ -]?(?:reply|respon|antwort)",
    r"\W{0,3}(?:out of (?:the )?office|vacation|away\b|abwesen)",
    r"\W{0,3}(?:réponse automatique|respuesta autom|risposta autom|automatische antwort|absence|自動)",
)
_FAILS = _words(
    r"undeliver|unzustellbar|non[- ]?(?:delivery|remise)|returned (?:mail|message|to sender)|failure notice",
    r"mail failure|delivery (?:\S{1,40} ){0,4}?(?:status|fail|report|problem|error|delayed)",
    r"(?:could|can) ?(?:not|n.t) (?:be )?(?:deliver|reach)|(?:unable|not able|failed) to (?:be )?deliver|did not reach",
    r"(?:wasn.t|was not|not) (?:able to )?(?:be )?deliver|failed (?:mail|delivery|addresses|recipient|perm)",
    r"mail system error|mail failed|delayed mail|trouble delivering|rejected by a remote|user mailbox",
    r"following (?:address|recipient)(?:es|s|\(e?s\))? (?:had|has|was|were|could|failed|returned)",
)
_REFUSES = _words(r"(?<![\d.])[45]\d\d[ -]|(?<![\d.])[45]\.[0-7]\.\d{1,3}(?![\d.])")
_RETRIES = _words(
    r"will be retried|still being retried|will (?:keep|continue) trying|attempts will continue|warning only",
    r"temporary failure report|not yet been delivered|(?:delivery|message) (?:has been |is )?delayed",
)

# Where the returned message begins: at a line that says so, or at the first field of a header.
_ANNOUNCED = re.compile(
    r"(?i)[\s>|=*#-]{0,90}(?:below (?:this line )?is a copy|(?:this|enclosed) is a copy|"
    r"a? ?copy of (?:the|your) (?:original )?mess|included is a copy|start of returned|returned (?:message|mail)|"
    r"original (?:message|mail)(?: info)?(?:[ .:=*|-]|$)(?!.{0,40}(?:received|sent))|original message headers|"
    r"unsent message|(?:the )?headers? of the original|message headers? follow|message text follows|message header|"
    r"your (?:original )?message (?:reads|follows))"
)
_FIELD = re.compile(
    r"(?i)(?:> ?){0,3}\s{0,8}(?:(?:received|return-path|dkim-signature|x-received|mime-version|arc-seal|"
    r"x-originating-ip)\s{0,3}(?::|$)|content-type:\s{0,3}(?:message/rfc822|text/rfc822))"
)
_TO_FIELD = re.compile(r"(?im)^\s{0,8}(?:> ?){0,3}(?:to|cc)\s{0,3}:(.{0,2000}(?:\n[ \t].{0,1000}){0,20})")

# The ways in which a line names somebody.
_BEFORE = r"[\s>*\"'<+|-]{0,40}"
_BEGINS = re.compile(rf"{_BEFORE}({_ADDRESS})")
_AFTER_REPLY = re.compile(rf"{_BEFORE}[245]\d\d[ -](?:[245]\.\d{{1,3}}\.\d{{1,3}} )?<?({_ADDRESS})")
_IN_COMMAND = re.compile(rf"(?i).{{0,80}}?\bRCPT\s{{1,5}}TO:\s{{0,5}}<?({_ADDRESS})")
_LABELLED = re.compile(rf"(?i)([^:<>@=]{{1,80}})[:=]\s{{0,8}}[\"'<]{{0,3}}({_ADDRESS})")
_LABELS = _words(
    r"recipient|address|\bto$|user|mailbox|rcpt|deliver|empfänger|adresse|destinat|ontvanger|mottagare|получател|宛先"
)
_OTHER_LABELS = _words(r"from|sender|reply|contact|message-id|\bcc$|return-path|sent by|\bby$")
_IN_PROSE = re.compile(
    r"(?i)\b(?:to|for|recipients?|user|address|mailbox|account|(?:generated|expanded) (?:from|by))"
    rf"\s{{1,5}}[\"'<(]{{0,3}}({_ADDRESS})"
)
_OTHERS_FOLLOW = _words(r"\b(?:by|from|contact)$")


def addresses(text: str) -> list[str]:
    """The addresses in a text, in their order, as often as they stand in it."""
    return _ANY_ADDRESS.findall(text)


@dataclass(frozen=True, kw_only=True)
class Named:
    """An address that was not reached, and what a notice says of it."""

    address: str
    own: str = ""
    """What is said right where it stands."""
    rest: str = ""
    """That and what follows, up to the next one."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A message as its reader sees it; fields decoded, line ends LF."""

    sender: str
    readers: str
    subject: str
    failed: str
    """X-Failed-Recipients, as Exim and Gmail write it."""
    null_path: bool
    automatic: bool
    """Auto-Submitted says that a program wrote it (RFC 3834 5)."""
    report: bool
    """It is a multipart/report about delivery, whatever is in it."""
    whole: str
    returned: str
    """The header of the returned message, where that is a part of its own."""

    @cached_property
    def lines(self) -> list[str]:
        """Its own lines, without a returned message."""
        return [line[:_LINE_MOST] for line in self._all[: self._cut]]

    @cached_property
    def text(self) -> str:
        """Its own lines as one text."""
        return "\n".join(self.lines)

    @cached_property
    def written_to(self) -> list[str]:
        """To whom the returned message was written, as its To and Cc say."""
        returned = self.returned or "\n".join(self._all[self._cut :])
        return [one for field in _TO_FIELD.finditer(returned[:_RETURNED_MOST]) for one in addresses(field[1])]

    @property
    def is_bounce(self) -> bool:
        """Whether a mail system wrote it, about mail that it could not deliver."""
        if self.report or self.failed or _MAILER_DAEMON.search(self.sender):
            return True
        if not self.is_program or self.is_away or not self.says_so:
            return False
        if _MAIL_SYSTEM.search(self.sender) or _FAILS.search(self.subject):
            return True
        # An automatic reply of a person may say that mail will not be delivered; it has no codes.
        return _FAILS.search(self.text) is not None and (
            _REFUSES.search(self.text) is not None or _PROGRAM.search(self.sender) is not None
        )

    @property
    def says_so(self) -> bool:
        """Whether it tells, in whatever words, that mail was not delivered."""
        return any(words.search(text) for words in (_FAILS, _REFUSES) for text in (self.subject, self.text))

    @property
    def is_program(self) -> bool:
        """Whether a program wrote it, whatever about."""
        by_name = _MAIL_SYSTEM.search(self.sender) or _PROGRAM.search(self.sender)
        return self.null_path or self.automatic or by_name is not None

    @property
    def is_away(self) -> bool:
        """Whether its subject is that of an automatic reply."""
        return _AWAY.match(self.subject) is not None

    @property
    def is_delay(self) -> bool:
        """Whether the mail system goes on trying."""
        return _RETRIES.search(self.text) is not None

    @cached_property
    def _all(self) -> list[str]:
        return self.whole.split("\n")[:_LINES_MOST]

    @cached_property
    def _cut(self) -> int:
        """The line with which a returned message begins; never the first."""
        for number, line in enumerate(self._all):
            if number and (_ANNOUNCED.match(line[:200]) or _FIELD.match(line[:200])):
                return number
        return len(self._all)


def named(notice: Notice) -> list[Named]:
    """Whom the notice names, by the strictest way of naming that gives anybody; in the order of the notice.

    At last it is the reader of the returned message, if that had only one. Empty where it is unclear.
    """
    lines = notice.lines
    others = {one.lower() for one in addresses(notice.sender) + addresses(notice.readers)}
    others -= {one.lower() for one in notice.written_to}
    in_prose = (one for line in lines for one in _IN_PROSE.findall(line) if one.lower() not in others)
    written_to = {one.lower() for one in notice.written_to} if notice.says_so else set()
    found = (
        _found(lines, _begins(lines), others)
        or _found(lines, _labelled(lines), others)
        or _listed(addresses(notice.failed))
        or _found(lines, _begins(lines), set())
        or _listed(in_prose)
        or _listed(one for one in addresses(notice.text) if one.lower() in written_to)
        or (_listed(notice.written_to) if len(written_to) == 1 else [])
    )
    return found[:_NAMED_MOST]


def said_of(notice: Notice, wanted: Iterable[str]) -> dict[str, Named]:
    """What the notice says of addresses that are known already, by the address in lower case."""
    known = {one.lower() for one in wanted}
    places = [
        (number, one) for number, line in enumerate(notice.lines) for one in addresses(line) if one.lower() in known
    ]
    return {one.address.lower(): one for one in _found(notice.lines, places, set())}


def _begins(lines: Sequence[str]) -> list[tuple[int, str]]:
    """Lines that begin with an address, with or without a reply code before it, or name it in a RCPT command."""
    places, before = [], ""
    for number, line in enumerate(lines):
        if "@" in line and not _OTHERS_FOLLOW.search(before[-100:]):
            match = _BEGINS.match(line) or _AFTER_REPLY.match(line) or _IN_COMMAND.match(line)
            places += [(number, match[1])] if match else []
        before = line.strip() or before
    return places


def _labelled(lines: Sequence[str]) -> list[tuple[int, str]]:
    """Lines with an address after words that say whose it is: `Unknown user: ...`."""
    return [
        (number, match[2])
        for number, line in enumerate(lines)
        if "@" in line
        for match in _LABELLED.finditer(line)
        if _LABELS.search(match[1].strip()) and not _OTHER_LABELS.search(match[1].strip())
    ]


def _found(lines: Sequence[str], places: list[tuple[int, str]], others: set[str]) -> list[Named]:
    """The addresses at these places but for the others, each once, each with its lines up to the next other one."""
    places = [(number, address) for number, address in places if address.lower() not in others]
    ends = [len(lines)] * len(places)
    for at in reversed(range(len(places) - 1)):
        following, other = places[at + 1]
        ends[at] = ends[at + 1] if other.lower() == places[at][1].lower() else following
    found: dict[str, Named] = {}
    for (number, address), following in zip(places, ends, strict=True):
        if address.lower() not in found:
            end = max(following, number + 1)
            own = "\n".join(lines[number : _end_of_own(lines, number, end)])
            found[address.lower()] = Named(address=address, own=own, rest="\n".join(lines[number:end]))
    return list(found.values())


def _end_of_own(lines: Sequence[str], first: int, end: int) -> int:
    """Where the paragraph of a line ends: at an empty line, or where nothing shows that the next line belongs to it."""
    indent = _indent(lines[first])
    open_ended = lines[first].rstrip().endswith((":", ">", '"'))
    for number in range(first + 1, end):
        if not lines[number].strip() or not (open_ended or _indent(lines[number]) > indent):
            return number
    return end


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _listed(found: Iterable[str]) -> list[Named]:
    return [Named(address=one) for one in {one.lower(): one for one in found}.values()]
