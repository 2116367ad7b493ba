"""Takes one person out of texts and messages: address, name, and what they wrote, where others quote it.

Pure: it finds nobody, reads no database and decides not whose mail is whose. What cannot be read as mail is gone
through as bytes. The time is linear in what it is given.
"""

import html
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from email import message_from_bytes
from email.charset import QP, Charset
from email.generator import BytesGenerator
from email.header import Header
from email.message import Message
from email.policy import compat32
from io import BytesIO
from typing import Any

from tidings.mailer import charsets, html_text

ERASED = "[erased]"
ERASED_EMAIL = "erased@erased.invalid"  # RFC 2606 2: no such domain can ever be
TOLD = "What stood here was erased at its author's wish."

_SHINGLE = 4  # words
_LEAST_UNQUOTED = 6  # words of a line without a mark before it may be taken for a copy
_SHARE = 0.6  # of a line's shingles: who quotes may wrap lines anew and correct a word
_LEAST_LINE = 3  # words of a line that counts by itself, with no quote around it
_LEAST_TITLE = 8  # characters of a subject
_LONG_FIELD = 4_000  # characters
_SHORT = 6  # words of a line in which a given name alone is one: a greeting, thanks
_SPOKEN = ("text", "sentence")  # of an item of a digest, what somebody said
_ADDRESSED = 3  # words before a name by which somebody is spoken to: "Thanks a lot NAME,"
_NAMED = re.compile(rf'(?<![^,:])\s{{0,4}}"?[^",<>]{{1,80}}"?\s{{0,4}}<{re.escape(ERASED_EMAIL)}>')
_WORD = re.compile(r"\w+")
_QUOTE = re.compile(r"[ \t]{0,3}>[> \t]{0,40}")
_UTF8 = Charset("utf-8")
_UTF8.body_encoding = QP


class Words:
    """What somebody wrote, so that copies of it are known: whole lines, and every four words in a row."""

    def __init__(self) -> None:
        self._lines: set[str] = set()
        self._shingles: set[int] = set()

    def learn(self, text: str) -> None:
        """Note what they wrote; without what they themselves quoted."""
        self._lines.update(key for line in text.split("\n") if (key := _key(line)))
        self._shingles.update(_shingles(_WORD.findall(text.casefold())))

    def is_line(self, line: str) -> bool:
        """Whether a line is one of theirs, word for word; a line without a word is not."""
        key = _key(line)
        return bool(key) and key in self._lines

    def is_copy(self, line: str, least: int = _SHINGLE) -> bool:
        """Whether a line of at least so many words is mostly theirs."""
        words = _WORD.findall(line.casefold())
        if len(words) < least:
            return False
        found = [shingle in self._shingles for shingle in _shingles(words)]
        return bool(found) and sum(found) >= _SHARE * len(found)


def _key(line: str) -> str:
    return " ".join(_WORD.findall(line.casefold()))


def _shingles(words: Sequence[str]) -> Iterator[int]:
    return (hash(tuple(words[place : place + _SHINGLE])) for place in range(len(words) - _SHINGLE + 1))


class Redactor:
    """Takes out one person, known by addresses and names; `ids` are message ids with the address, and their new ones.

    A name of several words is taken out wherever it stands. A name of one word, and the given name, only where they are
    meant for sure: in an attribution, in a line of a few words. `titles` are subjects that nobody but they used.
    """

    def __init__(
        self,
        emails: Iterable[str],
        names: Iterable[str],
        words: Words,
        *,
        titles: Iterable[str] = (),
        ids: Mapping[str, str] | None = None,
    ) -> None:
        ids = ids or {}
        self._words = words
        self._ids = dict(ids)
        self.emails = {email.lower() for email in emails}
        whole = [name.split() for name in names if "@" not in name and len(name) > 1]
        self._names = {" ".join(name).casefold() for name in whole}
        known = [title.split() for title in titles if len(title) >= _LEAST_TITLE]
        self._sure = _sure(self.emails, [name for name in whole if len(name) > 1] + known)
        given = {name[0].strip(",") for name in whole if len(name[0].strip(",.")) > 1}
        self._given = _alternatives(given)
        self._an_id = re.compile("|".join(map(re.escape, sorted(self._ids, key=len, reverse=True)))) if ids else None

    # --- texts -------------------------------------------------------------------------------------------------------

    def line(self, text: str) -> str:
        """The text without name, address and their message ids."""
        if self._an_id:
            text = self._an_id.sub(lambda found: self._ids[found[0]], text)
        return self._sure.sub(lambda found: ERASED_EMAIL if found.lastgroup == "email" else ERASED, text)

    def is_name(self, text: str) -> bool:
        """Whether a text is nothing but their name or address."""
        return " ".join(text.split()).casefold() in self._names or text.strip().lower() in self.emails

    def text(self, text: str) -> str:
        """The text of somebody else without name, address and what is quoted of them, line by line."""
        lines = text.split("\n")
        marks = self._marks(lines)
        kept: list[str] = []
        for place, line in enumerate(lines):
            if not marks[place]:
                kept.append(self._one_line(line))
            elif not place or not marks[place - 1]:
                quoted = _QUOTE.match(line)
                kept.append(f"{quoted[0] if quoted else ''}{ERASED}")
        return "\n".join(kept)

    def cell(self, text: str) -> str:
        """A text of unknown kind: nothing is left of it where it is a sentence of theirs."""
        words = len(_WORD.findall(text))
        if self._words.is_copy(text) or (words >= _LEAST_LINE and self._words.is_line(text)):
            return ERASED
        return self.line(text)

    def _one_line(self, line: str) -> str:
        line = self.line(line)
        if self._given is None:
            return line
        anywhere = len(_WORD.findall(line)) <= _SHORT or _ends_attribution(line)
        return self._given.sub(lambda found: ERASED if _is_meant(line, found, anywhere) else found[0], line)

    def _marks(self, lines: Sequence[str]) -> list[bool]:
        """Which lines are theirs: copies, what a copy has around it, and what stands under their attribution."""
        marks = [self._is_theirs(line) for line in lines]
        # A line of few words counts beside one that is theirs for sure.
        for places in (range(1, len(lines)), range(len(lines) - 2, -1, -1)):
            for place in places:
                before = place - places.step
                if marks[before] and not marks[place]:
                    marks[place] = self._words.is_line(_unquoted(lines[place])) or not _unquoted(lines[place]).strip()
        for place, line in enumerate(lines):
            if _ends_attribution(line) and self._names_them("\n".join(lines[max(0, place - 2) : place + 1])):
                self._mark_quote(lines, marks, place + 1)
        return self._without_blank_ends(lines, marks)

    def _is_theirs(self, line: str) -> bool:
        quoted = _QUOTE.match(line)
        if quoted:
            return self._words.is_copy(line[quoted.end() :])
        return self._words.is_copy(line, _LEAST_UNQUOTED)

    def _names_them(self, text: str) -> bool:
        return self.line(text) != text or bool(self._given and self._given.search(text))

    @staticmethod
    def _mark_quote(lines: Sequence[str], marks: list[bool], place: int) -> None:
        while place < len(lines) and not lines[place].strip():
            place += 1
        while place < len(lines) and _QUOTE.match(lines[place]):
            marks[place] = True
            place += 1

    @staticmethod
    def _without_blank_ends(lines: Sequence[str], marks: list[bool]) -> list[bool]:
        for place, line in enumerate(lines):
            beside = (place > 0 and marks[place - 1]) and (place + 1 < len(lines) and marks[place + 1])
            if marks[place] and not line.strip() and not beside:
                marks[place] = False
        return marks

    # --- what is stored as JSON --------------------------------------------------------------------------------------

    def value(self, value: Any, also: Collection[str] = ()) -> Any:
        """A JSON value without them; of an object whose author they are (or one of `also`) no text is left."""
        if isinstance(value, str):
            return ERASED if value in also or self.is_name(value) else self.cell(value)
        if isinstance(value, list):
            return [self.value(inner, also) for inner in value]
        if not isinstance(value, dict):
            return value
        author = value.get("author")
        if isinstance(author, str) and (self.is_name(author) or author in also):
            return {key: ERASED if key in ("author", *_SPOKEN) else inner for key, inner in value.items()}
        made = {key: self.value(inner, also) for key, inner in value.items()}
        if value.get("written") and made.get("authors") != value.get("authors"):
            made["written"] = ERASED  # a model told of their words in its own, which nobody can take apart
        return {key: self._one_line(inner) if key in _SPOKEN and inner else inner for key, inner in made.items()}

    # --- messages ----------------------------------------------------------------------------------------------------

    def raw(self, raw: bytes) -> bytes:
        """The message of somebody else without them; the same bytes where nothing of them is in it."""
        try:
            message = message_from_bytes(raw)
            changed = [self._change_part(part) for part in _parts(message)]
            made = _written(message, raw) if any(changed) else raw
        except (
            RecursionError,
            ValueError,
            LookupError,
            AttributeError,
            TypeError,
        ):
            made = raw  # beyond repair as mail: only its bytes are gone through
        plain = made.decode("utf-8", "surrogateescape")
        redacted = self.line(plain)
        return made if redacted == plain else redacted.encode("utf-8", "surrogateescape")

    def _change_part(self, part: Message) -> bool:
        fields = [(name, str(value)) for name, value in part.raw_items()]
        redacted = [(name, self._field(value)) for name, value in fields]
        if changed := redacted != fields:
            for name in {name for name, _ in fields}:
                del part[name]
            for name, value in redacted:
                part.set_raw(name, value)
        if part.is_multipart():
            return changed
        return self._change_text(part) or changed

    def _field(self, value: str) -> str:
        readable = charsets.decode_header_text(value)
        # In its encoded words a name does not stand as it is read; of long fields only the beginning is read.
        written = readable if "=?" in value and len(value) < _LONG_FIELD else value
        redacted = self.line(written)
        if redacted == written:
            return value
        redacted = _NAMED.sub(f" Erased <{ERASED_EMAIL}>", redacted).strip()
        return redacted if redacted.isascii() else Header(redacted, "utf-8").encode()

    def _change_text(self, part: Message) -> bool:
        kind = part.get_content_type()
        data = part.get_payload(decode=True)
        if not kind.startswith("text/") or not isinstance(data, bytes):
            return False
        text = charsets.decode(data, str(part.get_content_charset() or "utf-8"))
        redacted = self._html(text) if kind == "text/html" else self.text(text.replace("\r\n", "\n"))
        if redacted == (text if kind == "text/html" else text.replace("\r\n", "\n")):
            return False
        del part["Content-Transfer-Encoding"]
        part.set_payload(redacted.encode("utf-8", "replace").decode(), _UTF8)
        return True

    def _html(self, source: str) -> str:
        """HTML as it was where nothing is theirs; where only names are, without those; else its text alone."""
        read = html_text.to_text(source)
        wanted, changed = self.text(read), self.line(source)
        if wanted == read:
            return changed
        if html_text.to_text(changed) == wanted:
            return changed
        return f"<html><body><pre>{html.escape(wanted)}</pre></body></html>\n"


def _parts(message: Message) -> Iterator[Message]:
    waiting = [message]
    while waiting:
        part = waiting.pop()
        yield part
        if part.is_multipart():
            waiting += [inner for inner in part.get_payload() if isinstance(inner, Message)]


def _written(message: Message, before: bytes) -> bytes:
    out = BytesIO()
    line_end = "\r\n" if b"\r\n" in before[:2_000] else "\n"
    policy = compat32.clone(linesep=line_end)
    BytesGenerator(out, mangle_from_=False, maxheaderlen=0, policy=policy).flatten(message)
    return out.getvalue()


def tombstone(raw: bytes, redactor: Redactor, subject: str) -> bytes:
    """What stands in the place of a message of theirs: its ids, so that threads stay whole, its date and no word."""
    head = message_from_bytes(raw[:300_000].partition(b"\n\n")[0].partition(b"\r\n\r\n")[0] + b"\n\n")
    fields = [("From", f"Erased <{ERASED_EMAIL}>"), ("Subject", subject)]
    for name in ("Date", "To", "Message-ID", "In-Reply-To", "References", "Thread-Index"):
        value = head.get(name)
        if value is not None:
            fields.append((name, redactor.line(charsets.decode_header_text(value))))
    lines = [f"{name}: {_one_field(value)}" for name, value in fields]
    kind = ["MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "X-Tidings-Erased: yes"]
    return ("\n".join([*lines, *kind]) + f"\n\n{TOLD}\n").encode("utf-8", "replace")


def _one_field(value: str) -> str:
    value = " ".join(value.split())
    return value if value.isascii() else Header(value, "utf-8").encode()


def _unquoted(line: str) -> str:
    quoted = _QUOTE.match(line)
    return line[quoted.end() :] if quoted else line


def _ends_attribution(line: str) -> bool:
    return line.rstrip().endswith((":", "："))


def _sure(emails: Collection[str], names: Sequence[Sequence[str]]) -> re.Pattern[str]:
    """Finds addresses, also as archives and return paths write them, and names of several words."""
    addresses = []
    for email in sorted(emails, key=len, reverse=True):
        local, _, domain = (re.escape(part) for part in email.rpartition("@"))
        addresses.append(rf"(?<![\w.+%-]){local}(?:@|%40|\s{{1,3}}at\s{{1,3}}|\(at\)){domain}(?![\w-]|\.\w)")
        addresses.append(rf"(?<![^\W_]){local}=(?:40)?{domain}(?![\w-]|\.\w)")
    spelled = []
    for name in sorted(names, key=len, reverse=True):
        spelled.append(r"[\s_]{1,4}".join(map(re.escape, name)))
        spelled.append(rf"{re.escape(name[-1])},\s{{0,4}}{re.escape(' '.join(name[:-1]))}")
    groups = [rf"(?P<email>{'|'.join(addresses)})"] if addresses else []
    groups += [rf"(?P<name>(?<!\w)(?:{'|'.join(spelled)})(?!\w))"] if spelled else []
    return re.compile("|".join(groups) or r"(?!)", re.IGNORECASE)


def _alternatives(names: Collection[str]) -> re.Pattern[str] | None:
    if not names:
        return None
    spelled = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.compile(rf"(?<!\w)(?:{spelled})(?!\w)")


def _is_meant(line: str, found: re.Match[str], anywhere: bool) -> bool:
    """Whether a given name means them: not somebody of another surname, and spoken to where it is not `anywhere`."""
    after = line[found.end() : found.end() + 4]
    if after[:1] in (" ", "\t") and after.lstrip()[:1].isupper():
        return False
    if anywhere:
        return True
    return after.lstrip()[:1] in (",", "!", ":") and len(_WORD.findall(line[: found.start()])) <= _ADDRESSED
