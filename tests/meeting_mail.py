"""A letterbox at a site with a weekly meeting, whose agenda its members were sent."""

import json
from datetime import date, datetime, timedelta

from sqlalchemy import select

from tests.imip_mails import crlf, mail, multi, part
from tests.letterbox import Letterbox, Sent
from tests.small_site import ANA, BERLIN, SmallSite
from tidings.archive import cards
from tidings.archive.cards import Card
from tidings.communities import joining
from tidings.database import tables
from tidings.digests.meetings import agenda, attendance, calendar, diary, invites, roles, series, topics
from tidings.digests.meetings.agenda import Agenda
from tidings.digests.meetings.attendance import Said
from tidings.digests.meetings.diary import Meeting
from tidings.digests.meetings.roles import Role
from tidings.digests.meetings.topics import Topic

AGENDA = "pump+agenda@lists.example.org"
RAJ = "raj@example.org"
"""A member who leads the community."""
MONDAY = datetime(2026, 10, 19, 8, 0, tzinfo=BERLIN)
MEETING = datetime(2026, 10, 20, 14, 0, tzinfo=BERLIN)
AFTER = MEETING + timedelta(hours=2)


class Met(Letterbox):
    """A letterbox of a community that meets on Tuesdays at 14:00, from 20 October 2026 on."""

    def __init__(self, site: SmallSite, sessions: tuple[str, ...] = ("14:00",)) -> None:
        super().__init__(site)
        now = site.clock.now()
        with site.site.database.write() as connection:
            made = {"name": "Raj Patel", "delivery": "each", "role": "leader"}
            joining.add_member(connection, community="pump", email=RAJ, now=now, **made)
            found = series.add(
                connection,
                site.community(),
                name="hour",
                title="Pump hour",
                first_day=date(2026, 10, 20),
                sessions=[series.parse_session(one) for one in sessions],
                now=now,
                place="Room 2",
            )
            diary.plan_ahead(connection, found, now)
        self.series_id = found.id

    # --- mail --------------------------------------------------------------------------------------------------------

    def propose(self, text: str, subject: str = "", sender: str = ANA, **fields: str) -> list[Sent]:
        return self.write(AGENDA, text, sender, subject, **fields)

    def send_agendas(self) -> None:
        """Send everybody the agenda of the first meeting, on Monday morning."""
        self.send_agenda(1)

    def send_agenda(self, number: int) -> None:
        """Send everybody the agenda of a meeting on the day before it."""
        self.invite(number)
        self.site.clock.set(MONDAY + (number - 1) * timedelta(days=7))
        assert self.site.site.run_due().failed == 0

    def invite(self, number: int) -> None:
        now, site = self.site.clock.now(), self.site.site.settings.site
        with self.site.site.database.write() as connection:
            invites.invite(connection, self.site.community(), self.meeting(number), now, site=site)

    def address(self, who: str, block: str = "", about: str = "") -> str:
        """The reply address of a member's newest item of a block with `about` in its subject; empty: of the whole."""
        item, section = tables.item.c, tables.edition_section.c
        with self.site.site.database.read() as connection:
            rows = connection.execute(
                select(item.id, item.number, item.block, item.subject, section.membership_id)
                .join_from(tables.item, tables.edition_section, section.id == item.section_id)
                .where(section.membership_id == self.present(who).membership_id)
                .order_by(item.id.desc())
            ).all()
        row = next(row for row in rows if (row.block == block and about in row.subject if block else row.number == 0))
        token = self.site.site.tokens.item(row.id, row.membership_id, self.site.clock.now().date())
        return f"pump+r.{token}@lists.example.org"

    def number(self, who: str, block: str, about: str = "") -> int:
        item, section = tables.item.c, tables.edition_section.c
        with self.site.site.database.read() as connection:
            query = select(item.number).join_from(tables.item, tables.edition_section, section.id == item.section_id)
            query = query.where(section.membership_id == self.present(who).membership_id, item.block == block)
            return (
                connection.execute(query.where(item.subject.contains(about)).order_by(item.id.desc())).scalars().first()
                or 0
            )

    def answer(
        self, who: str, text: str, block: str = "", about: str = "", sender: str = "", **fields: str
    ) -> list[Sent]:
        return self.write(self.address(who, block, about), text, sender or who, "Re: the agenda", **fields)

    def calendar_mail(
        self,
        attendee: str,
        partstat: str = "ACCEPTED",
        *,
        sender: str = "",
        method: str = "REPLY",
        params: str = "",
        more: str = "",
        uid: str = "",
        sequence: int = 0,
        stamp: str = "20261018T090000Z",
    ) -> bytes:
        """A mail of a calendar program, as RFC 6047 has it."""
        data = crlf(
            f"BEGIN:VCALENDAR\nPRODID:-//Example//EN\nVERSION:2.0\nMETHOD:{method}\nBEGIN:VEVENT\n"
            f"ORGANIZER:mailto:{AGENDA}\nATTENDEE;PARTSTAT={partstat}{params}:mailto:{attendee}\nDTSTAMP:{stamp}\n"
            f"UID:{uid or self.uid()}\nSEQUENCE:{sequence}\n{more}SUMMARY:Pump hour\nEND:VEVENT\nEND:VCALENDAR"
        )
        words = part("text/plain; charset=utf-8", b"Sam Fox has accepted this invitation.\r\n")
        shown = part(f"text/calendar; charset=utf-8; method={method}", data)
        self._written += 1
        raw = mail(
            multi("alternative", words, shown), sender=sender or attendee, more="Auto-Submitted: auto-generated\n"
        )
        return raw.replace(b"<1@example.org>", b"<%d.c@example.org>" % self._written)

    def accept(self, attendee: str, partstat: str = "ACCEPTED", **values: object) -> list[Sent]:
        return self.take_in(self.calendar_mail(attendee, partstat, **values), AGENDA)  # type: ignore[arg-type]

    # --- what is there -----------------------------------------------------------------------------------------------

    def meeting(self, number: int = 1) -> Meeting:
        with self.site.site.database.read() as connection:
            return next(one for one in diary.of_series(connection, self.series_id) if one.number == number)

    def uid(self, sitting: int = 0) -> str:
        meeting = self.meeting()
        return calendar.uid(self.site.community(), meeting, meeting.sittings[sitting], "lists.example.org")

    def agenda(self, number: int = 1) -> Agenda:
        with self.site.site.database.read() as connection:
            return agenda.read_agenda(
                connection, self.site.community(), self.meeting(number), domain=self.site.site.settings.site.domain
            )

    def topics(self, number: int = 1) -> list[Topic]:
        with self.site.site.database.read() as connection:
            return topics.of_meeting(connection, self.meeting(number).id)

    def titles(self, number: int = 1) -> list[str]:
        return [one.title for one in self.topics(number)]

    def said(self) -> dict[str, tuple[str, str]]:
        """By address what everybody said, and why."""
        return {one.email_key: (one.answer, one.comment) for one in self.all_said()}

    def all_said(self) -> list[Said]:
        with self.site.site.database.read() as connection:
            return attendance.of_meeting(connection, self.meeting().id)

    def duties(self) -> dict[str, str]:
        with self.site.site.database.read() as connection:
            return {one.role: one.name for one in roles.of_meeting(connection, self.meeting())}

    def give(self, role: Role, who: str) -> None:
        with self.site.site.database.write() as connection:
            roles.give(connection, self.meeting(), role, self.present(who), self.site.clock.now())

    def cards(self) -> list[Card]:
        with self.site.site.database.read() as connection:
            return cards.of_meeting(connection, self.meeting().id)

    def copies(self) -> list[tuple[dict[str, str | None], str | None]]:
        """What of their header and text the copies of each post replace, in the order of the posts."""
        outbox = tables.outbox.c
        with self.site.site.database.read() as connection:
            query = select(outbox.fields, outbox.body).where(outbox.kind == "post").order_by(outbox.id)
            return [(json.loads(row.fields) if row.fields else {}, row.body) for row in connection.execute(query)]
