"""What a refusal means: whether it is for good, and whether it is about a mailbox at all or about our message.

It goes by words first, since systems give words with more care than codes, then by the code of RFC 3463. It finds no
addresses and counts nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

_SAID_MOST = 4_000  # characters of one piece of text that are looked at

Kind = Literal["", "unknown", "moved", "no mail", "no host", "full", "suspended", "filtered", "message", "system"]
Place = Literal["", "RCPT", "MAIL", "DATA"]
_FOR_GOOD = ("unknown", "moved", "no mail", "no host")

_CODE = re.compile(r"(?<![\d.])([45]\.[0-7]\.\d{1,3})(?![\d.])")
_CODE_IN_REPLY = re.compile(r"(?<![\d.])[45]\d\d[ -][ \"'(#-]{0,3}([45]\.[0-7]\.\d{1,3})(?![\d.])")
_REPLY = re.compile(r"(?<![\d.#:])[45]\d\d(?![\w.])|(?<=:)[45]\d\d(?=[ ,])")


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


# Words are compared in lower case, on one line with single spaces. Every gap in them is bounded, so that the time is
# linear whatever the text. Where two tables could match, the order is _kind's.
_CERTAINLY_UNKNOWN = _words(
    r"invalid recipient|recipient invalid|destinataire invalide",
    r"recipient address rejected: access denied",  # Exchange Online, of an address that its directory has not
    r"delivery error: dd this user doesn't have",  # Yahoo
    r"mail\.local: unknown user",
    r"\(bad-mailbox\)$",  # PowerMTA's word for it, as the other ones in brackets
)
_CERTAINLY_NO_HOST = _words(
    r"account or domain may not exist",  # cPanel
    r"\(bad-domain\)$",
)
_FILTERED = _words(r"550:? : user unknown")  # so KDDI's filters answer; of unknown users it gives the name
_OWN_DIRECTORY = _words(
    r"not listed in|directory|address book|not recogni[sz]ed|(?:unknown user|userid): |no valid recipients",
    r"ディレクトリ|リスト",
)
_UNKNOWN = _words(
    r"(?:user|recipient|account|mailbox|address|addressee|customer|alias)(?:\(s\)|e?s|'s|name)?:? (?:\S{1,120} ){0,4}?"
    r"(?:(?:is |was |were )?(?:unknown|invalid|undeliverable)|not (?:known|found|exist|recogni[sz]ed|listed|valid|"
    r"present)|do(?:es)?(?:n.t| not) exist|wasn.t found|could(?:n.t| not) be found|unavailable|"
    r"no longer (?:valid|accepts))",
    r"(?:unknown|invalid|no such|illegal|bad|no valid|non-? ?existent|not an? (?:valid|known|local|active)) "
    r"(?:\S{1,30} ){0,3}(?:user|recipient|account|mailbox|address|alias|customer|person|addressee|local part|"
    r"(?:final delivery )?userid)",
    r"[@>)]\S{0,100} (?:does not exist|not found)|user ?unknown|no one at this|recip(?:ient)? ?notfound",
    r"no (?:mail ?box|user|such person|account) (?:here|by that|exists|found|available)|not listed in",
    r"in name directory|rejected recipient|recipient address rejected(?!:)|recipient (?:is )?not (?:accepted|local|ok)",
    r"envelope recipient has been denied|(?:bad|valid)(?:rcpt|recipient)to|that you tried to reach does not exist",
    r"doesn't have an? .{1,100} account",
    r"unbekannt|existiert nicht|inconnu|n'existe pas|desconocid|no existe|não existe|nessun utente|sconosciut",
    r"bestaat niet|nie istnieje|finns inte|не существует|нет такого",
    r"見つかりません|存在しません|リストにありません|宛先不明",
)
_FULL = _words(
    r"(?:mail ?box|mail ?folder|inbox|account|user|recipient|storage|disk|mail)\S{0,3} (?:\S{1,80} ){0,5}?"
    r"(?:full\b|over ?quota|exceeds|exceeded|out of storage)",
    r"(?:over|exceed\w*|out of|insufficient|not enough) (?:the |its |their |allowed |disk |mail ?box |storage |system )"
    r"{0,3}(?:quota|storage|space|size limit)",
    r"quota (?:is |has been )?(?:exceed|full)|quotaexceeded|mail ?box full|exceeds allowed size",
    r"exceeded the local limit|\(quota-issues\)$",
)
_MOVED = _words(
    r"recipient no longer on|has moved|has been replaced by|not our (?:user|customer)|no forwarding address",
    r"(?:user|person|recipient|employee) (?:has left|no longer works|is no longer (?:with|employed))",
)
_NO_MAIL = _words(
    r"does not (?:accept|receive) (?:any )?e?-?mail|no mx\b.{0,20}(?:found|record)|find a mail exchanger",
    r"indicated no smtp service|null ?mx|not accepting network messages",
)
_SUSPENDED = _words(
    r"(?:account|mailbox|address|user|recipient)(?:\(s\)|s|'s)?:? (?:\S{1,80} ){0,7}?(?:disabled|suspended|inactive|"
    r"locked|frozen|deactivated|blocked|discontinued|closed)\b",
    r"(?:disabled|inactive|suspended|locked) (?:user|recipient|account|mailbox|e-?mail address)",
    r"compte .{0,30}bloqu|\(inactive-mailbox\)$",
)
_NO_HOST = _words(
    r"(?:host|domain)(?: or domain)?(?: name)? (?:is )?(?:unknown|not found|does not exist|not reachable)",
    r"(?:unknown|no such|invalid|bad destination) (?:host|domain|system)|nxdomain|any host named|illegal host",
    r"\bhost \S{1,255} not found|unrout(?:e?able|ed) (?:mail )?(?:address|domain)|\S\.[a-z]{2,20} does not exist",
)
_NOT_FOR_NOW = _words(r"not found, try again|deferred|malformed|host name lookup failure")
_TOO_BIG = _words(
    r"too (?:large|big)|message (?:\S{1,40} ){0,2}exceeds|(?:message|mail) (?:size|length)|recipsizelimit"
)
_MESSAGE = _words(
    # reputation
    r"spam|black ?list|block ?list|dnsbl|\brbl\b|\bur[ib]l\b|reputation|\bube\b|unsolicited|\bbulk\b|mass mail|abuse",
    r"unwanted messages|suspicious|open proxy|dynamic ip|from your ip|mail from hosts|resolve your address|go away",
    r"(?:client|host|ip|server|connection|network)\S{0,3} (?:\S{1,80} ){0,4}?(?:blocked|banned|rejected|not allowed|"
    r"not accepted|denied|bloqu)|blocked (?:using|by|-|ip)|banned sending|invalid ip|client ip|not accepting conn",
    # who may send from where
    r"relay(?!s)|rcpthosts|\bptr\b|reverse dns|\brdns\b|ip name lookup|unverif[iy]+able|refused to talk to me",
    r"dmarc|\bspf\b|dkim|\bbatv\b|authenti[cf]|purported responsible|not verified|verification fail|tls required",
    r"sender\S{0,3} (?:\S{1,80} ){0,3}?(?:rejected|not |blocked|denied|invalid|verif|is |domain)|domain of sender",
    r"(?:sending|sender) domain|(?:unroutable|invalid|null|envelope|bogus|empty) (?:envelope )?(?:sender|mail from)",
    r"allowed to send|my name was rejected|invalid domain name|from: domain|from an address|metteur invalide",
    r"mail from not|backscatter|third-party dsn|fully.qualified",
    # policy and permission
    r"polic(?:y|ies)|protocol violation|prohibit|authori[sz]ed|not permitted|restricted|permission|authrequired",
    r"access denied|registered gateway user|use the smtp|organi[sz]ational",
    r"(?:not |non-?)(?:a )?(?:member|subscribed)|mailing list|groups\.google\.com",
    r"\((?:spam|policy|content|virus|relaying)-\w{1,20}\)$",
    # content and size
    r"virus|malware|phish|attachment|executable|content (?:rejected|presents|filter|denied)|media error",
    r"(?:message|mail|banned) content|message filtered|(?:size|length|line) limit|550 rejected",
    r"(?:message|mail) (?:\S{1,40} ){0,4}?(?:blocked|rejet\S|rejected|not allowed|not accepted|denied)",
    r"rfc ?\d{4} compl|multiple addresses|addresses in|header (?:error|are )|improper use|headers too|duplicate header",
    r"malformed address|command parameter|sequence of commands|syntax error",
    # pace
    r"rate limit|frequency limited|at a rate that|too many (?:recipients|conn)|unexpected volume|complaints|quota - \d",
)
_SYSTEM = _words(
    r"time[d ]{0,2}-?out|expired|connection (?:refused|reset|lost)|lost connection|accept our requests|no route to",
    r"(?:unable|not able) to (?:connect|contact|establish)|deferred|try (?:again|later)|temporar|giving up|too long",
    r"name (?:server|service)|dns (?:lookup|query|error)|lookup fail|too many hops|hop count|\bloop\b|network error",
    r"\d attempts|will be retried|failing for|protocol error|not reachable|could not find a gateway",
    r"internal \S{0,8} ?error|system (?:error|problem)|mailer error|command output|procmail|\.forward|\bpipe\b",
    r"\bldap\b|transaction failed|disk space|queue file|could not load",
    r"service (?:\S{1,20} )?(?:unavailable|refuse|not available)",
)
_FIRST: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("no host", _CERTAINLY_NO_HOST),
    ("filtered", _FILTERED),
    ("unknown", _CERTAINLY_UNKNOWN),
    ("message", _TOO_BIG),
    ("full", _FULL),
)

# Which command was refused, as the systems say it; a transcript only where nothing better is said.
_PLACES: tuple[tuple[Place, re.Pattern[str]], ...] = (
    ("RCPT", _words(r"(?:in reply to|after|like our|for|following) rcpt|rcpt_to\b|rcpt to[\] ](?:generated|resp)")),
    ("RCPT", _words(r"rcpt command|like recipient|smtp:rcpt")),
    ("MAIL", _words(r"(?:in reply to|after) (?:the )?(?:mail|ehlo|helo|initial conn)|mail_from")),
    ("MAIL", _words(r"sender was rejected|my name was")),
    ("DATA", _words(r"(?:in reply to|after|for) (?:the )?(?:end of )?(?:data|text)|final data|\(data\)")),
    ("DATA", _words(r"i sent the message|smtp command data")),
    ("RCPT", _words(r"(?:>>>|<<<) rcpt to")),
    ("DATA", _words(r">>> data")),
    ("MAIL", _words(r">>> mail")),
)


class Said:
    """A piece of what a mail system said, on one line, and what is recognised in it."""

    def __init__(self, text: str) -> None:
        self.text = " ".join(text[: 2 * _SAID_MOST].split())[:_SAID_MOST]
        self._has: dict[re.Pattern[str], bool] = {}

    @cached_property
    def code(self) -> str:
        """The first code of RFC 3463 that says something, best one that follows a reply code; empty where none does."""
        for pattern in (_CODE_IN_REPLY, _CODE):
            for code in pattern.findall(self.text):
                if not code.endswith(".0.0"):
                    return str(code)
        return ""

    @cached_property
    def reply(self) -> str:
        """The first SMTP reply code (RFC 5321 4.2) that refuses; empty where there is none."""
        found = _REPLY.search(self.text)
        return found[0] if found else ""

    @cached_property
    def place(self) -> Place:
        """Which command was refused; "MAIL" also for what comes before it; empty where that is not said."""
        return next((place for place, words in _PLACES if self.has(words)), "")

    def has(self, words: re.Pattern[str]) -> bool:
        """Whether any of these words stand in it; found out once, since a notice may have a thousand recipients."""
        if words not in self._has:
            self._has[words] = words.search(self.text) is not None
        return self._has[words]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What one refusal means; the fields are those of `bounces.Returned`."""

    permanent: bool
    about_message: bool
    status: str
    reason: str
    """The piece of text that decided, or the first one."""


def judge(*, action: str, status: str, diagnostic: Said, texts: Sequence[Said], of_program: bool = False) -> Judgement:
    """Judge by the Action, Status and Diagnostic-Code of a report (RFC 3464 2.3) and by what else is said, best first.

    Any of them may be empty. `of_program` says that the diagnostic is a local program's, such as a filter's: "No such
    user" is then about users of its machine.
    """
    code = _best_code(status, diagnostic, texts)
    pieces = [piece for piece in (diagnostic, *texts) if piece.text]
    place: Place = next((piece.place for piece in pieces if piece.place), "")
    if of_program and not diagnostic.has(_FULL):
        return Judgement(permanent=False, about_message=False, status=code, reason=diagnostic.text)
    kinds = ((_kind(piece, code, place), piece.text) for piece in pieces)
    kind, reason = next(
        ((kind, text) for kind, text in kinds if kind), (_by_code(code), pieces[0].text if pieces else "")
    )
    # Postfix may say 450 of an unknown user; what has failed in the end has failed for that.
    soft = code.startswith("4") and not (kind == "unknown" and code == "4.1.1" and action == "failed")
    permanent = kind in _FOR_GOOD and not soft and action != "delayed"
    return Judgement(permanent=permanent, about_message=kind == "message", status=code, reason=reason)


def _best_code(field: str, diagnostic: Said, texts: Sequence[Said]) -> str:
    """What the refusing system itself said is better than what the reporting one made of it."""
    if diagnostic.text:
        return diagnostic.code or field
    if field and not field.endswith(".0.0"):
        return field
    return next((text.code for text in texts if text.code), "") or field


def _kind(said: Said, code: str, place: Place) -> Kind:
    """What one piece of text says; empty where it says nothing that is known."""
    for kind, words in _FIRST:
        if said.has(words):
            return kind
    of_mailbox = code[1:].startswith((".1.1", ".1.2", ".1.3"))
    if of_mailbox and (said.has(_UNKNOWN) or (said.has(_SUSPENDED) and not said.has(_MESSAGE))):
        return "unknown"
    if said.has(_MOVED) or code[1:] == ".1.6":
        return "moved"
    if said.has(_MESSAGE):
        return "message"
    if said.has(_SUSPENDED) and not said.has(_NO_MAIL):
        return "suspended"
    soft = code.startswith("4") or (not code and said.reply.startswith("4"))
    if not soft and (missing := _missing(said, place)):
        return missing
    return "system" if said.has(_SYSTEM) else ""


def _missing(said: Said, place: Place) -> Kind:
    """Whether a text without a code for it says that the domain or the mailbox is not there."""
    if said.has(_NO_MAIL):
        return "no mail"
    if said.has(_NO_HOST) and not said.has(_NOT_FOR_NOW):
        return "message" if place == "MAIL" else "no host"  # at MAIL it is the sender's domain
    if said.has(_UNKNOWN):
        certain = place == "RCPT" or (not place and said.has(_OWN_DIRECTORY))
        return "unknown" if certain else "filtered"
    return ""


def _by_code(code: str) -> Kind:
    """What the code alone says (RFC 3463 3)."""
    tail = code[2:]
    if tail in ("1.0", "1.1", "1.3", "1.10"):
        return "unknown"
    if tail in ("1.2", "4.4"):
        return "no host"
    if tail == "3.2":
        return "no mail"
    if tail[:2] in ("6.", "7.") or tail in ("1.7", "1.8", "2.3", "3.4"):
        return "message"
    return ""
