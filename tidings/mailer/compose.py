"""The bytes of mail that goes out: list copies spliced from the raw post, notices, and two-part editions.

It sends nothing and reads no database. A post's bytes are never parsed and written anew: header fields are cut out of
them and put in front of them, so that signatures over the body hold. What a community adds to a subject or under a body
is put beside what stands there (footer). The standard library's header generator is not used: it writes the line ends
that hide in a decoded encoded word (CVE-2024-6923). Whatever header block is made here is read once more, and refused
where its fields are not the intended ones.
"""

import binascii
import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.header import Header
from email.utils import format_datetime, formataddr, getaddresses
from functools import lru_cache
from typing import TypeAlias

from tidings.mailer import footer
from tidings.mailer.addresses import ListAddress, post_page, without_tokens
from tidings.mailer.charsets import decode_header_text
from tidings.tokens import random_token

LOOP_FIELD = "X-Tidings-Loop"

_LINE_LENGTH = 78  # RFC 5322 2.1.1: should
_LINE_LIMIT = 998  # RFC 5322 2.1.1: must
_SHORT = 200  # characters of a value
_NAME_LIMIT = 100  # characters of a person's name
_READ_OF_CC = 4096  # octets: structured parsing sees no more
# Possessive, so that no header makes it go back. Space before the colon is RFC 5322 4.5's obsolete form.
_FIELD = re.compile(rb"([!-9;-~]++)[ \t]*+:[^\r]*+(?:\r\n)?+(?:[ \t][^\r]*+(?:\r\n)?+)*+")
# A line of an mbox that was piped in, or a continuation of nothing: in front of our fields they would belong to none
# or to ours.
_STRAY = re.compile(rb"(?:From |[ \t])[^\r]*+(?:\r\n)?+")
_FORBIDDEN = re.compile(r"[\r\n\0]")
_CONTROL = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")
_TOKEN = re.compile(r"[a-z2-7]+")
_PLACEHOLDER = re.compile(r"\{(title|address|post)\}")
_FOOTER_MOST = 8000  # characters with all in their places: operations.neighbours leaves room for a copy's own bytes
_RULE = "_" * 40  # what readers, threading.quotes among them, take for the beginning of a footer
# They name messages, and a thread hangs on each byte of them.
_IDS = frozenset({"message-id", "in-reply-to", "references"})
_HERE = "{token}"  # where the token of a copy stands in the lines of all: braces are in no address
_UNSTRUCTURED = frozenset({"subject", "comments", "content-description"})
_ADDRESSES = frozenset({"from", "sender", "reply-to", "to", "cc"})
OWN_FIELDS = ("List-Unsubscribe", "List-Unsubscribe-Post")
"""The fields that each copy of a post has for itself, in their order."""
_METHOD = re.compile(rb"^METHOD:([A-Z-]{1,20})\r?$", re.MULTILINE)
Encoded: TypeAlias = tuple[list[tuple[str, str]], bytes]
"""The Content fields of a part, and its bytes in the encoding that these name."""
_PLAIN_BYTES = bytes(byte for byte in range(128) if byte != ord("="))
NOT_PASSED_ON = (
    "List-*",
    "Sender",
    "Precedence",
    "Return-Path",
    "Archived-At",
    LOOP_FIELD,
    "Disposition-Notification-To",
    "Return-Receipt-To",
    "X-Confirm-Reading-To",
)
"""What a list must not pass on: another list's marks, the last hop's envelope, and requests that would have every
member's program tell the author that the mail was read."""


@dataclass(frozen=True, kw_only=True)
class CopyFacts:
    """What the copies of a post say beside its own bytes."""

    address: ListAddress  # of the community
    title: str
    base_url: str
    message_id: str  # of the post in the archive, without <>
    author: tuple[str, str] = ("", "")  # name and address
    on_behalf: bool = False  # whether From is the community's, since the author's domain forbids its own
    replies: str = "author"  # list, author: whom a plain reply reaches
    fields: Mapping[str, str | None] = field(default_factory=dict)  # replace the post's own; None: left out
    body: str | None = None  # the text that replaces the post's own
    site_domain: str = ""  # where other communities' addresses may be
    subject_prefix: str = ""  # what every subject has in it; empty: nothing is added
    footer: str = ""  # with {title}, {address} and {post}; empty: none


@dataclass(frozen=True, kw_only=True, slots=True)
class Copies:
    """The copies of one post: `data` is what all of them have, and `head` makes the lines of one, which stand above it.

    A signature of our own (RFC 6376) is one more of these lines; its body hash is that of `data`, made once.
    """

    data: bytes
    before: bytes  # what stands before the token of a copy
    behind: bytes

    def head(self, token: str) -> bytes:
        """The header lines of the copy whose reader leaves by `token` (RFC 8058): joined, not parsed.

        Raises ValueError where that is no token.
        """
        if not _TOKEN.fullmatch(token):
            raise ValueError("a token has lower-case base32 letters only")
        return self.before + token.encode() + self.behind


def crlf(data: bytes) -> bytes:
    """`data` with every CR LF, bare CR and bare LF as CR LF; the same object where nothing is to be done."""
    ends = data.count(b"\r\n")
    if ends == data.count(b"\r") == data.count(b"\n"):
        return data
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def header_field(name: str, value: str) -> bytes:
    """One header field, folded and ended by CR LF.

    What is not ASCII is encoded (RFC 2047) in a text field and in the names of address fields. Control characters
    become spaces. Raises ValueError for CR, LF or NUL, for other structured fields that are not ASCII, and for a word
    longer than a line may be.
    """
    return _short_field(name, value) if len(value) < _SHORT else _field(name, value)


def _field(name: str, value: str) -> bytes:
    if not re.fullmatch(r"[!-9;-~]+", name):
        raise ValueError(f"{name!r} is no name of a header field")
    if _FORBIDDEN.search(value):
        raise ValueError(f"a line end or NUL in the value of {name}")
    text = _CONTROL.sub(" ", value).strip(" \t")
    return _folded(f"{name}: {text if text.isascii() else _ascii(name, text)}").encode() + b"\r\n"


_short_field = lru_cache(maxsize=256)(_field)  # most fields of a mail are those of the mail before it


def splice(raw: bytes, *, remove: Collection[str], add: Sequence[tuple[str, str]], body: bytes | None = None) -> bytes:
    """`raw` without the fields named in `remove` (any case; `List-*` names all that begin so) and with `add` on top.

    What else is there stays byte for byte, but for line ends: all are CR LF. A header block that runs into the body
    without an empty line gets one, where a parser sees its end. `body` replaces what follows the block. Raises
    ValueError as `header_field` does.
    """
    fields, own_body = split(crlf(raw))
    return joined(fields, remove, add, own_body if body is None else crlf(body))


def list_copies(raw: bytes, facts: CopyFacts) -> Copies:
    """The copies of the post `raw` that members get.

    List fields as RFC 2919, 2369 and 5064 have them; the post's own Message-ID unless the archive had to give another.
    Raises ValueError as `header_field` does.
    """
    return Copies(data=_common(raw, facts), **_own_lines(facts))


def _common(raw: bytes, facts: CopyFacts) -> bytes:
    fields, body = split(crlf(raw))
    fields = fields_without_tokens(fields, frozenset({facts.address.domain, facts.site_domain or facts.address.domain}))
    remove = [*NOT_PASSED_ON, *facts.fields]
    add = _list_fields(facts)
    message_id = f"<{facts.message_id}>"
    if [part.partition(b":")[2].strip() for name, part in fields if name == "message-id"] != [message_id.encode()]:
        remove.append("Message-ID")
        add.append(("Message-ID", message_id))
    text = _footer_text(facts)
    if facts.body is not None:
        mime, body = text_part(_under(facts.body, text), "plain")
        remove += ["MIME-Version", "Content-*"]
        add += [("MIME-Version", "1.0"), *mime]
    elif text:
        footed = footer.under(fields, body, text, joined([], (), *text_part(text, "plain")))
        fields, body = footed.kept, footed.body
        add += footed.add
    replaced = {name.lower() for name in facts.fields}
    add = [pair for pair in add if pair[0].lower() not in replaced]
    add += [(name, value) for name, value in facts.fields.items() if value is not None]
    people = _people(facts, [part for name, part in fields if name == "cc"])
    add += people
    if facts.subject_prefix:
        fields, add = _prefixed(fields, add, facts.subject_prefix)
    return joined(fields, [*remove, *(name for name, _ in people)], add, body)


def fields_without_tokens(fields: Sequence[tuple[str, bytes]], domains: frozenset[str]) -> list[tuple[str, bytes]]:
    """Fields as `split` gives them, without the tokens of our addresses: To and Cc have them, and the last hops' own.

    Whoever reads a copy could else answer in the name of whom the token was for, or send to a question's address.
    """
    return [(name, part if name in _IDS else without_tokens(part, domains)) for name, part in fields]


def _footer_text(facts: CopyFacts) -> str:
    """The footer with its rule, each line ended by a line feed; empty where the community has none."""
    if not facts.footer:
        return ""
    values = {"title": _clean(facts.title), "address": facts.address.post, "post": _page(facts)}
    # In one go, so that a title that is called {post} stays what it is.
    text = _PLACEHOLDER.sub(lambda found: values[found[1]], f"{_RULE}\n{facts.footer}")
    return "".join(_printed(line).rstrip() + "\n" for line in text[:_FOOTER_MOST].split("\n"))


def _under(text: str, below: str) -> str:
    return text + "\n" + below if below and text and not text.endswith("\n") else text + below


def _prefixed(
    fields: Sequence[tuple[str, bytes]], add: Sequence[tuple[str, str]], prefix: str
) -> tuple[list[tuple[str, bytes]], list[tuple[str, str]]]:
    """Both with the prefix in the Subject: the one that is added, else the first that came, else one of its own."""
    kept, added = list(fields), list(add)
    for at, (name, value) in enumerate(added):
        if name.lower() == "subject":
            added[at] = (name, value if _holds(value, prefix) else f"{prefix} {value}")
            return kept, added
    for at, (name, part) in enumerate(kept):
        if name == "subject":
            kept[at] = (name, _prefixed_field(part, prefix))
            return kept, added
    return kept, [*added, ("Subject", prefix)]


def _prefixed_field(part: bytes, prefix: str) -> bytes:
    """A Subject field with the prefix before its value, which stays byte for byte, encoded words too."""
    name, _, value = part.partition(b":")
    if _holds(value.decode("ascii", "surrogateescape"), prefix):
        return part
    value = value.lstrip(b" \t")
    if not prefix.isascii():
        # Between two encoded words the space is not shown (RFC 2047 6.2): it has to be in one of them.
        prefix = _encoded(prefix + " " if value.startswith(b"=?") else prefix, "Subject")
    above = _folded(f"{name.decode('ascii')}: {prefix}").encode()
    first = value.partition(b"\r\n")[0]
    fits = len(above[above.rfind(b"\n") + 1 :]) + 1 + len(first) <= _LINE_LENGTH
    return above + ((b" " if fits else b"\r\n ") if first else b"") + value


def _holds(value: str, prefix: str) -> bool:
    return " ".join(prefix.split()).casefold() in decode_header_text(value).casefold()


def _people(facts: CopyFacts, copied: Sequence[bytes]) -> list[tuple[str, str]]:
    """From, Reply-To and Cc where they are not the author's own; `copied` are the Cc fields as they came.

    Where From has to be the community's, the author stands where a reply reaches them as the community wants it.
    """
    found = []
    if facts.on_behalf:
        name, email = _clean(facts.author[0]), facts.author[1]
        found.append(("From", _mailbox(f"{name or email} via {_clean(facts.title)}", facts.address.post)))
        author = [_mailbox(name, email)] if email.isascii() else []
        if facts.replies == "list":
            named = _mailboxes(copied) if "Cc" not in facts.fields else []
            found.append(("Cc", ", ".join([*named, *author])))
        elif author:
            found.append(("Reply-To", author[0]))
    if facts.replies == "list":
        found.append(("Reply-To", facts.address.post))
    return [(name, value) for name, value in found if value]


def _mailboxes(fields: Sequence[bytes]) -> list[str]:
    """Who stands in address fields as they came, but for what is no address."""
    values = [part.partition(b":")[2][:_READ_OF_CC].decode("utf-8", "replace") for part in fields]
    return [
        _mailbox(_clean(name), email)
        for name, email in getaddresses([" ".join(value.split()) for value in values])
        if re.fullmatch(r"[!-~]{1,254}", email) and "@" in email
    ]


def _mailbox(name: str, email: str) -> str:
    if name == email:  # what stands for a name where there is none
        return email
    # No encoded word of somebody else's is passed on inside a name of ours.
    return formataddr((name.replace("=?", "= ?")[:_NAME_LIMIT], email))


def notice(
    *,
    site: str,
    sender: str,
    recipient: str,
    subject: str,
    text: str,
    date: datetime,
    domain: str,
    answers: str | None = None,
) -> bytes:
    """A mail that the system itself writes, plain text, marked as automatic (RFC 3834 5).

    `answers` is the Message-ID, without <>, of the message that it answers. Raises ValueError as `header_field` does.
    """
    fields = [
        ("From", formataddr((_clean(site), sender))),
        ("To", recipient),
        ("Subject", subject),
        ("Date", format_datetime(date)),
        ("Message-ID", f"<{random_token()}@{domain}>"),
        ("Auto-Submitted", "auto-replied" if answers else "auto-generated"),
    ]
    if answers:
        fields += [("In-Reply-To", f"<{answers}>"), ("References", f"<{answers}>")]
    mime, body = text_part(text, "plain")
    return joined([], (), [*fields, ("MIME-Version", "1.0"), *mime], body)


def alternative(fields: Mapping[str, str], *, text: str, html: str, calendar: bytes | None = None) -> bytes:
    """A message with the header `fields` and the same content as text and as HTML; same arguments, same bytes.

    A `calendar` (an iCalendar object) stands last, as what says most (RFC 6047 2.4). The boundary comes from the
    Message-ID, which must be among the fields: KeyError. Raises ValueError as `header_field` does.
    """
    return of_parts(fields, [text_part(text, "plain"), text_part(html, "html")], calendar=calendar)


def of_parts(fields: Mapping[str, str], parts: Sequence[Encoded], calendar: bytes | None = None) -> bytes:
    """As `alternative`, of parts that are encoded already."""
    last = [calendar_part(calendar)] if calendar else []
    mime, body = alternatives(fields["Message-ID"], [*parts, *last])
    return joined([], (), [*fields.items(), ("MIME-Version", "1.0"), *mime], body)


def alternatives(seed: str, parts: Sequence[tuple[Sequence[tuple[str, str]], bytes]]) -> Encoded:
    """The Content fields and the body of a multipart/alternative (RFC 2046 5.1.4) of `parts`, as `text_part` has them.

    `seed` is as `boundary_of` wants it.
    """
    boundary = boundary_of(seed)
    pieces = []
    for mime, part in parts:
        pieces += [f"--{boundary}\r\n".encode(), joined([], (), mime, b""), part, b"\r\n"]  # the delimiter's own
    pieces.append(f"--{boundary}--\r\n".encode())
    return [("Content-Type", f'multipart/alternative; boundary="{boundary}"')], b"".join(pieces)


def calendar_part(calendar: bytes) -> Encoded:
    """The Content fields and the encoded bytes of an iCalendar object; its METHOD stands in both (RFC 6047 2.4).

    In base64, so that no line end and no space at a fold is changed on the way. Raises ValueError without a METHOD.
    """
    method = _METHOD.search(calendar)
    if method is None:
        raise ValueError("an iCalendar object without a METHOD is for no mail")
    kind = f"text/calendar; charset=utf-8; method={method[1].decode()}"
    return [("Content-Type", kind), ("Content-Transfer-Encoding", "base64")], _base64(calendar)


def boundary_of(text: str) -> str:
    """The boundary of a multipart (RFC 2046 5.1.1), the same for the same text, which holds a random id."""
    # "=_" never stands in quoted-printable or base64 (RFC 2045 6.7); nothing that is carried can know the digest of the
    # random id.
    return "=_" + hashlib.sha256(text.encode()).hexdigest()[:32]


def _list_fields(facts: CopyFacts) -> list[tuple[str, str]]:
    address = facts.address
    return [
        ("List-Id", f"{_phrase(facts.title)} <{address.name}.{address.domain}>"),
        ("List-Post", f"<mailto:{address.post}>"),
        ("List-Help", f"<mailto:{address.detail('help')}>"),
        ("List-Subscribe", f"<mailto:{address.detail('subscribe')}>"),
        ("List-Owner", f"<mailto:{address.detail('owner')}>"),
        ("List-Archive", f"<{_pages(facts)}>"),
        ("Archived-At", f"<{_page(facts)}>"),
        ("Sender", address.post),
        ("Precedence", "list"),
        (LOOP_FIELD, address.post),
    ]


def _own_lines(facts: CopyFacts) -> dict[str, bytes]:
    page = f"<{facts.base_url.rstrip('/')}/u/{_HERE}>"
    leave = header_field("List-Unsubscribe", f"{page}, <mailto:{facts.address.detail('unsubscribe')}>")
    before, _, behind = leave.partition(_HERE.encode())
    return {"before": before, "behind": behind + header_field("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")}


def _pages(facts: CopyFacts) -> str:
    return f"{facts.base_url.rstrip('/')}/c/{facts.address.name}/"


def _page(facts: CopyFacts) -> str:
    """Where the post stands in the archive."""
    return post_page(facts.base_url, facts.address.name, facts.message_id)


def split(wire: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
    """The fields (lower-case name, whole bytes) and the body of a message whose line ends are all CR LF."""
    fields: list[tuple[str, bytes]] = []
    at = 0
    while at < len(wire):
        if found := _FIELD.match(wire, at):
            fields.append((found[1].decode("ascii").lower(), found[0]))
        elif not (found := _STRAY.match(wire, at)):
            break  # the empty line, or a line that can only belong to the body
        at = found.end()
    return fields, wire[at:].removeprefix(b"\r\n")


def joined(
    fields: Sequence[tuple[str, bytes]], remove: Collection[str], add: Sequence[tuple[str, str]], body: bytes
) -> bytes:
    """A message of the `fields` but for those named in `remove`, under what `add` has. Raises ValueError.

    `List-*` names all that begin so.
    """
    names = {name.lower() for name in remove if not name.endswith("*")}
    prefixes = tuple(name[:-1].lower() for name in remove if name.endswith("*"))
    kept = [(name, part) for name, part in fields if name not in names and not name.startswith(prefixes)]
    head = b"".join([*(header_field(name, value) for name, value in add), *(part for _, part in kept)])
    if not head.endswith(b"\r\n"):  # a last field without a line end
        head += b"\r\n"
    _check(head, [*(name.lower() for name, _ in add), *(name for name, _ in kept)])
    return head + b"\r\n" + body


def _check(head: bytes, intended: Sequence[str]) -> None:
    found = [name for name, _ in split(head)[0]]
    if found != intended:
        odd = next((name for name, wanted in zip(found, intended, strict=False) if name != wanted), "the last")
        raise ValueError(f"the header block that was made has other fields than intended, from {odd} on")


def _ascii(name: str, text: str) -> str:
    if name.lower() in _UNSTRUCTURED:
        return _encoded(text, name)
    if name.lower() in _ADDRESSES:
        return ", ".join(formataddr(pair) for pair in getaddresses([text]))
    raise ValueError(f"{name} must be ASCII")


def _encoded(text: str, name: str) -> str:
    return Header(text, "utf-8", header_name=name).encode(linesep="")


def _phrase(text: str) -> str:
    """A display name (RFC 5322 3.2.5): a quoted string, or encoded words."""
    clean = _clean(text)
    if clean.isascii():
        return '"' + re.sub(r'(["\\])', r"\\\1", clean) + '"'
    return _encoded(clean, "List-Id")


def _clean(text: str) -> str:
    return _printed(text).strip()


def _printed(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _folded(line: str) -> str:
    """`line` folded before white space where it is too long (RFC 5322 2.2.3)."""
    lines = [""]
    for word in re.findall(r"[ \t]*[^ \t]+", line):
        if len(word) > _LINE_LIMIT:
            raise ValueError(f"a word of {len(word)} characters does not fit a header line")
        # Nothing is folded right after the name: some programs lose such a value.
        if len(lines[-1]) + len(word) > _LINE_LENGTH and not lines[-1].endswith(":"):
            lines.append("")
        lines[-1] += word
    return "\r\n".join(lines)


def weigh(text: str) -> tuple[int, int]:
    """How many bytes a text is in UTF-8, and how many of these quoted-printable has to escape."""
    data = text.encode("utf-8", "replace")
    return len(data), len(data.translate(None, _PLAIN_BYTES))


def encoded_length(length: int, escaped: int) -> int:
    """At most how many bytes a text part of that weight is, once it is encoded; its fields are not counted."""
    if is_quoted(length, escaped):
        longer = length + 2 * escaped
        return longer + 3 * (longer // 73 + 1)  # the soft line breaks of RFC 2045 6.7
    return -(-length // 57) * 78


def is_quoted(length: int, escaped: int) -> bool:
    """Whether quoted-printable is the shorter encoding of a text of that weight, base64 the longer."""
    return escaped * 6 < length  # three bytes for one, against four for three of all


def quoted(piece: str) -> bytes:
    """A piece of a text in quoted-printable, ended so that any other may stand behind it: by a line end or a soft one.

    An empty piece stays so.
    """
    # What stands behind is not known yet: with a letter there, a space is not the last of a line and stays, and there
    # is room for the soft line break.
    data = crlf(binascii.b2a_qp(crlf(f"{piece}_".replace("\0", "\ufffd").encode("utf-8", "replace"))))[:-1]
    return data if not data or data.endswith(b"\r\n") else data + b"=\r\n"


def quoted_word(word: str) -> bytes:
    """As `quoted`, of up to 75 letters and digits."""
    return b"%b=\r\n" % word.encode()


def quoted_part(pieces: bytes, subtype: str) -> Encoded:
    """A part of pieces that `quoted` made; its last line ends too."""
    soft = pieces.removesuffix(b"=\r\n")
    return _content(subtype, "quoted-printable"), pieces if soft is pieces else soft + b"\r\n"


def is_plain(text: str) -> bool:
    """Whether a text, whose lines end in LF, needs no encoding: it has short lines of ASCII only."""
    return text.isascii() and not {"\r", "\0"} & set(text) and max(map(len, text.split("\n"))) <= _LINE_LENGTH


def plain_part(text: str, subtype: str) -> Encoded:
    """As `text_part`, of a text that is known to be plain (`is_plain`), without a look at it."""
    data = text.replace("\n", "\r\n").encode()
    return _content(subtype, "7bit"), data if not data or data.endswith(b"\r\n") else data + b"\r\n"


def text_part(text: str, subtype: str) -> Encoded:
    """The Content fields and the encoded bytes of a text: short ASCII lines as they are, else the shorter encoding."""
    data = crlf(text.replace("\0", "\ufffd").encode("utf-8", "replace"))
    if data and not data.endswith(b"\r\n"):
        data += b"\r\n"
    if data.isascii() and max(map(len, data.split(b"\r\n"))) <= _LINE_LENGTH:
        return _content(subtype, "7bit"), data
    if is_quoted(len(data), len(data.translate(None, _PLAIN_BYTES))):
        return _content(subtype, "quoted-printable"), crlf(binascii.b2a_qp(data))
    return _content(subtype, "base64"), _base64(data)


def _content(subtype: str, encoding: str) -> list[tuple[str, str]]:
    return [("Content-Type", f"text/{subtype}; charset=utf-8"), ("Content-Transfer-Encoding", encoding)]


def _base64(data: bytes) -> bytes:
    lines = (data[at : at + 57] for at in range(0, len(data), 57))
    return crlf(b"".join(map(binascii.b2a_base64, lines)))
