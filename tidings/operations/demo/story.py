"""The made-up people and their four weeks of mail, from the file beside it, as messages dated up to a given Sunday.

It stores and sends nothing.
"""

import mimetypes
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from tidings.digests.meetings.roles import Role
from tidings.operations.demo import chart

ZONE = "Europe/Berlin"
PERSON_DOMAIN = "example.org"
_WEEKS = 4
_HALF = 55  # columns: a line that is shorter ends where its writer ended it
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""


class StoryCommunity(_Part, frozen=True):
    """A community of the demo."""

    name: str
    title: str
    description: str
    meeting: str = ""
    place: str = ""


class StoryPerson(_Part, frozen=True):
    """A person of the demo; `delivery` is by community, `willing` says which roles of its meetings they take."""

    name: str
    delivery: dict[str, str]
    willing: list[Role] = []
    role: str = "member"
    crew: str | None = None
    language: str = "en"
    signature: str = ""


class _File(_Part, frozen=True):
    """Something to attach: a text, or a curve to draw."""

    text: str = ""
    points: list[float] = []


class _Mail(_Part, frozen=True):
    """One mail; only what answers no other has a subject. `address` is what follows the community's name."""

    key: str
    at: str
    sender: str = msgspec.field(name="from")
    text: str
    subject: str = ""
    answers: str | None = None
    arrives: str | None = None
    community: str = "pump"
    address: str = ""
    to: str | None = None
    files: list[str] = []


class _Source(_Part, frozen=True):
    """The whole file."""

    communities: list[StoryCommunity]
    people: dict[str, StoryPerson]
    files: dict[str, _File]
    mail: list[_Mail]


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A message of the story: when it arrives (aware), and from whom to which community, and which address of it."""

    community: str
    address: str
    sender: str
    arrives: datetime
    raw: bytes


class Story:
    """The story as it happened in the four weeks that end on `sunday`, its mail sent to communities at `domain`."""

    def __init__(self, sunday: date, domain: str) -> None:
        text = Path(__file__).with_name("four_weeks.toml").read_text(encoding="utf-8")
        source = msgspec.convert(tomllib.loads(text), _Source)
        self.communities = source.communities
        self.people: Mapping[str, StoryPerson] = {email_of(key): one for key, one in source.people.items()}
        self._sunday = sunday
        self._domain = domain
        self._files = source.files
        self._mail = {mail.key: mail for mail in source.mail}

    def moment(self, text: str) -> datetime:
        """`3 Tue 09:30` is that weekday and wall time of the third week."""
        week, weekday, clock = text.split()
        days = 7 * (_WEEKS - int(week)) + 6 - _WEEKDAYS.index(weekday)
        return datetime.combine(self._sunday - timedelta(days=days), time.fromisoformat(clock), ZoneInfo(ZONE))

    def letters(self) -> list[Letter]:
        """All mail, in the order in which it arrives."""
        letters = [
            Letter(
                community=mail.community,
                address=self._to(mail),
                sender=email_of(mail.sender),
                arrives=self.moment(mail.arrives or mail.at),
                raw=self._message(mail).as_bytes(),
            )
            for mail in self._mail.values()
        ]
        return sorted(letters, key=lambda letter: letter.arrives)

    def _message(self, mail: _Mail) -> EmailMessage:
        above = self._above(mail)
        message = EmailMessage(policy=SMTP)
        message["From"] = self._address(mail.sender)
        community = Address(addr_spec=self._to(mail))
        message["To"] = self._address(mail.to) if mail.to else community
        if mail.to:
            message["Cc"] = community
        message["Subject"] = f"Re: {above[0].subject}" if above else mail.subject
        message["Date"] = self.moment(mail.at)
        message["Message-ID"] = self._message_id(mail)
        if above:
            message["In-Reply-To"] = self._message_id(above[-1])
            message["References"] = " ".join(map(self._message_id, above))
        message.set_content(_flowed(self._text(mail)), params={"format": "flowed"})
        for name in mail.files:
            self._attach(message, name)
        return message

    def _to(self, mail: _Mail) -> str:
        return f"{mail.community}+{mail.address}@{self._domain}" if mail.address else f"{mail.community}@{self._domain}"

    def _above(self, mail: _Mail) -> list[_Mail]:
        """The mails above one in its thread, the first of the thread first."""
        found: list[_Mail] = []
        while mail.answers:
            mail = self._mail[mail.answers]
            found.insert(0, mail)
        return found

    def _address(self, key: str) -> Address:
        return Address(self.people[email_of(key)].name, addr_spec=email_of(key))

    def _message_id(self, mail: _Mail) -> str:
        return f"<{self.moment(mail.at):%Y%m%d.%H%M}.{mail.key}@{PERSON_DOMAIN}>"

    def _text(self, mail: _Mail) -> str:
        person = self.people[email_of(mail.sender)]
        text = mail.text
        if mail.answers:
            parent = self._mail[mail.answers]
            author = self.people[email_of(parent.sender)].name
            text = text.replace("{wrote}", attribution(author, self.moment(parent.at), person.language))
        # RFC 3676 4.3: dash, dash, space.
        return text + (f"\n-- \n{person.signature.strip()}\n" if person.signature else "")

    def _attach(self, message: EmailMessage, name: str) -> None:
        file = self._files[name]
        data = chart.png(file.points) if file.points else file.text.encode()
        kind, _, subtype = (mimetypes.guess_type(name)[0] or "application/octet-stream").partition("/")
        message.add_attachment(data, maintype=kind, subtype=subtype, filename=name)


def _flowed(text: str) -> str:
    """The text as format=flowed (RFC 3676 4.2): a line that goes on ends in a blank, and a phone sets it anew."""
    lines = text.splitlines()
    following = [*lines[1:], ""]
    return "".join(line + " " * _goes_on(line, after) + "\n" for line, after in zip(lines, following, strict=True))


def _goes_on(line: str, after: str) -> bool:
    return len(line) > _HALF and not line.startswith(">") and bool(after) and not after.startswith((">", "-"))


def email_of(key: str) -> str:
    """The address of the person with this key in the file."""
    return f"{key}@{PERSON_DOMAIN}"


def attribution(author: str, at: datetime, language: str = "en") -> str:
    """The line that a mail program puts above what it quotes."""
    if language == "de":
        return f"Am {at:%d.%m.%Y} um {at:%H:%M} schrieb {author}:"
    return f"On {_WEEKDAYS[at.weekday()]}, {at.day} {_MONTHS[at.month - 1]} {at.year} at {at:%H:%M}, {author} wrote:"
