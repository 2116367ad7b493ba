"""A letterbox at a small site: what is written goes in by the pipeline, what the site writes back is read."""

import email
import email.policy
from dataclasses import dataclass, replace
from datetime import datetime
from email.message import EmailMessage

from sqlalchemy import select

from tests.running import message
from tests.signing import MadeUpDns, Signer
from tests.small_site import SmallSite
from tidings.communities import directory
from tidings.communities.directory import Member
from tidings.database import tables

NOOR, SAM = "noor@example.org", "sam@example.org"
"""A stranger, and a member."""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A notice that was written: to whom, from where, and what it says."""

    to: str
    sender: str
    subject: str
    text: str
    message: EmailMessage


class Letterbox:
    """Writes to a small site, and reads the notices that it writes."""

    def __init__(self, site: SmallSite) -> None:
        self.site = site
        self.signer = Signer()
        site.site = replace(site.site, dns=MadeUpDns(self.signer.record()))
        self._read = 0
        self._written = 0

    def write(self, to: str, text: str = "", sender: str = NOOR, subject: str = "", **fields: str) -> list[Sent]:
        """Write a mail; returns what was answered."""
        return self.take_in(self.mail(to, text, sender, subject, **fields), to)

    def signed(self, to: str, text: str, sender: str = SAM, **fields: str) -> list[Sent]:
        """Write a mail that the sender's domain signs."""
        return self.take_in(self.sign(self.mail(to, text, sender, **fields)), to)

    def mail(self, to: str, text: str = "", sender: str = NOOR, subject: str = "", **fields: str) -> bytes:
        self._written += 1
        fields.setdefault("Date", "Wed, 14 Oct 2026 09:00:00 +0200")
        made = message(sender, fields.pop("To", to), subject, text, f"{self._written}.w@example.org", **fields)
        return made.as_bytes().replace(b"\n", b"\r\n")

    def sign(self, raw: bytes, at: datetime | None = None) -> bytes:
        return self.signer.sign(raw, at or self.site.clock.now())

    def take_in(self, raw: bytes, to: str, return_path: str = "x@example.org") -> list[Sent]:
        self.site.take_in(_Raw(raw), to, return_path)  # type: ignore[arg-type]
        return self.answers()

    def reply(self, to: Sent, text: str = "", sender: str | None = None, **fields: str) -> list[Sent]:
        """Answer a notice as a mail program does."""
        subject = fields.pop("subject", f"Re: {to.subject}")
        quoted = "\n".join(f"> {line}" for line in to.text.splitlines())
        body = f"{text}\n\nOn Wed, 14 Oct 2026 at 09:02, {to.sender} wrote:\n{quoted}\n"
        return self.write(to.sender, body, sender or to.to, subject, **fields)

    def answers(self) -> list[Sent]:
        """The notices since the last look."""
        with self.site.site.database.read() as connection:
            rows = connection.execute(
                select(tables.outbox.c.raw, tables.delivery.c.recipient, tables.outbox.c.mail_from)
                .join(tables.delivery, tables.delivery.c.outbox_id == tables.outbox.c.id)
                .where(tables.outbox.c.kind == "notice")
                .order_by(tables.outbox.c.id)
            ).all()
        new, self._read = rows[self._read :], len(rows)
        return [_sent(row.raw, row.recipient, row.mail_from) for row in new]

    def why(self) -> tuple[str, str]:
        """Verdict and reason of what came in last."""
        with self.site.site.database.read() as connection:
            query = select(tables.decision.c.verdict, tables.decision.c.reason).order_by(tables.decision.c.id.desc())
            verdict, reason = connection.execute(query.limit(1)).one()
        return verdict, reason

    def member(self, who: str, community: str = "pump") -> Member | None:
        with self.site.site.database.read() as connection:
            found = directory.community(connection, community)
            return directory.member_by_address(connection, found.id, who)

    def present(self, who: str) -> Member:
        found = self.member(who)
        assert found is not None
        return found

    def open_questions(self) -> int:
        return self.site.count("confirmation")


class _Raw:
    """Raw bytes, where SmallSite takes a message."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def as_bytes(self) -> bytes:
        return self._raw


def _sent(raw: bytes, recipient: str, mail_from: str) -> Sent:
    made = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(made, EmailMessage)
    assert mail_from == ""
    assert made["Auto-Submitted"].startswith("auto-")
    address = made["From"].addresses[0]
    return Sent(
        to=recipient,
        sender=address.addr_spec,
        subject=str(made["Subject"]),
        text=made.get_content().replace("\r\n", "\n"),
        message=made,
    )
