"""The commands of meetings: `tidings meeting ...`, each as those of the command line are."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidings.communities.entries import parse_day
from tidings.console import At, Json, group, key_values, opened, print_cells, print_json, print_lines
from tidings.errors import NotFoundError, TidingsError, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from tidings.communities.directory import Community, Member
    from tidings.digests.meetings.agenda import Agenda
    from tidings.digests.meetings.diary import Meeting, Sitting
    from tidings.digests.meetings.report import Willing
    from tidings.digests.meetings.roles import Role
    from tidings.digests.meetings.series import Series
    from tidings.digests.meetings.topics import Topic

meetings = group("meeting", "Meetings: when, what is on their agendas, who does what, and the hour that suits most.")

agendas = group("agenda", "The agendas that are mailed before meetings.")

Day = Annotated[
    str, typer.Option("--day", metavar="DATE", help="The meeting of that day, as `list` shows it; the next by default.")
]
Which = Annotated[
    list[str] | None, typer.Argument(metavar="[SERIES]", help="The series; where there is only one, it needs no name.")
]


# --- series ----------------------------------------------------------------------------------------------------------


@meetings.command("add")
def meeting_add(
    community: str,
    name: Annotated[str, typer.Option("--name", help="What the series is called in commands.")],
    on: Annotated[str, typer.Option("--on", metavar="DAY", help="The first day: a date, or the next Tue.")],
    at: Annotated[str, typer.Option("--at", metavar="HH:MM", help="When it begins; 14:00=A,B: for these crews.")],
    session: Annotated[
        list[str] | None,
        typer.Option("--session", metavar="HH:MM", help="Once more, for others: '22:00', '+1 06:30=C' (a day later)."),
    ] = None,
    title: Annotated[str, typer.Option(help="What it is called in mail; as the community by default.")] = "",
    repeats: Annotated[
        str, typer.Option(help="weekly, monthly, once ... or a rule: FREQ=MONTHLY;BYDAY=1TU.")
    ] = "weekly",
    zone: Annotated[str, typer.Option(help="IANA time zone; the community's by default.")] = "",
    format_: Annotated[
        str, typer.Option("--format", help="hour, open-space, or blocks of its own: '10 Round; 40 Cases; 10 Next'.")
    ] = "hour",
    place: Annotated[str, typer.Option(help="Where, or a link.")] = "",
    notice: Annotated[
        int | None, typer.Option(metavar="HOURS", help="How long before it input is taken; 18 hours by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a series of meetings, and plan the first ones."""
    from tidings.clock import zone as zone_named
    from tidings.communities import directory
    from tidings.digests.meetings import diary, series

    with opened() as site, site.database.write() as connection:
        found, now = directory.community(connection, community), site.clock.now()
        made = series.add(
            connection,
            found,
            name=name,
            title=title,
            first_day=parse_day(on, now.astimezone(zone_named(zone or found.zone)).date()),
            sessions=[series.parse_session(one) for one in (at, *(session or ()))],
            repeats=repeats,
            zone=zone,
            format_=format_,
            place=place,
            notice=series.NOTICE if notice is None else notice,
            now=now,
        )
        if not diary.plan_ahead(connection, made, now):
            raise UsageError(f"No meeting of it would be to come: the last one was to be on {made.first_day}.")
        _print_series(connection, [made], now, as_json)


@meetings.command("list")
def meeting_list(community: str, as_json: Json = False) -> None:
    """The series of a community, and the meetings to come."""
    from tidings.communities import directory
    from tidings.digests.meetings import series

    with opened() as site, site.database.read() as connection:
        found = series.of_community(connection, directory.community(connection, community).id)
        _print_series(connection, found, site.clock.now(), as_json)


def _print_series(connection: Connection, found: Sequence[Series], now: datetime, as_json: bool) -> None:
    from tidings.digests.meetings import diary, report

    crews = _crews(connection)
    coming = {
        one.id: [meeting for meeting in diary.of_series(connection, one.id) if meeting.ends_at > now] for one in found
    }
    if as_json:
        print_lines(report.series_document(one, coming[one.id], crews, now) for one in found)
        return
    for one in found:
        typer.echo(report.series_line(one, crews))
    in_time = sorted((meeting for one in coming.values() for meeting in one), key=lambda meeting: meeting.starts_at)
    if in_time:
        typer.echo()
        print_cells(report.MEETING_HEADINGS, [line for one in in_time for line in report.meeting_cells(one, now)])
    if not found:
        typer.echo("It has no meetings yet; `tidings meeting add` makes a series.")


@meetings.command("set")
def meeting_set(
    community: str,
    words: Annotated[list[str], typer.Argument(metavar="[SERIES] KEY=VALUE...")],
    as_json: Json = False,
) -> None:
    """Change a series: title, place, notice, format, repeats; meetings that are planned keep their time."""
    from tidings.digests.meetings import diary, series

    name, changes = ("", words) if "=" in words[0] else (words[0], words[1:])
    with opened() as site, site.database.write() as connection:
        now = site.clock.now()
        changed = series.change(connection, _series(connection, community, name)[1], key_values(changes))
        diary.plan_ahead(connection, changed, now)
        if as_json:
            _print_series(connection, [changed], now, as_json)


@meetings.command("end")
def meeting_end(community: str, words: Which = None, as_json: Json = False) -> None:
    """Let a series end: what is to come of it is cancelled, and who was told of that is told."""
    from tidings.digests.meetings import changes

    name = _name(words)
    with opened() as site, site.database.write() as connection:
        found, now = _series(connection, community, name)[1], site.clock.now()
        gone = changes.end(connection, found, now, site=site.settings.site)
        _print_meetings(connection, gone, now, as_json)
        if not as_json:
            typer.echo(f"{found.name} has ended; {len(gone)} meetings are cancelled.")


# --- meetings --------------------------------------------------------------------------------------------------------


@meetings.command("show")
def meeting_show(community: str, words: Which = None, day: Day = "", as_json: Json = False) -> None:
    """The agenda of a meeting: what is on it, who does what, who comes, what was written and what came of it."""
    from tidings.digests.meetings import report, turnout

    name = _name(words)
    with opened() as site, site.database.read() as connection:
        found, of = _series(connection, community, name)
        now = site.clock.now()
        meeting = _meeting(connection, of, day, now)
        made = _agenda(connection, found, meeting, site.settings.site.domain)
        willing, people = _willing(connection, of, now), turnout.read(connection, meeting)
        crews = _crews(connection)
    if as_json:
        print_json(report.document(made, willing, people, crews, now))
        return
    typer.echo(report.series_line(of, crews))
    typer.echo()
    print_cells(report.MEETING_HEADINGS, report.meeting_cells(meeting, now))
    typer.echo()
    print_cells(report.ITEM_HEADINGS, report.item_cells(made))
    typer.echo()
    for sentence in report.sentences(made, willing, people):
        typer.echo(sentence)


@meetings.command("move")
def meeting_move(
    community: str,
    words: Annotated[list[str], typer.Argument(metavar="[SERIES] DATE")],
    to: Annotated[str, typer.Option("--to", metavar="TIME", help="When it begins now: '2026-10-21 15:00'.")] = "",
    session: Annotated[int | None, typer.Option(metavar="N", help="Which session, as `show` numbers them.")] = None,
    place: Annotated[str, typer.Option(help="Where it is now, or a link.")] = "",
    as_json: Json = False,
) -> None:
    """Move a session of a meeting to another time, another place or both; who was told of it is told again."""
    from tidings.clock import parse_moment
    from tidings.digests.meetings import changes

    name, day = _name_and(words, "a DATE")
    if not to and not place:
        raise UsageError("Say where it is moved: --to TIME, --place PLACE, or both.")
    with opened() as site, site.database.write() as connection:
        of, now = _series(connection, community, name)[1], site.clock.now()
        meeting = _meeting(connection, of, day, now)
        moved = changes.move(
            connection,
            meeting,
            _session(meeting, session),
            parse_moment(to, of.zone) if to else None,
            now,
            place=place,
            site=site.settings.site,
        )
        _print_meetings(connection, [moved], now, as_json)


@meetings.command("cancel")
def meeting_cancel(
    community: str, words: Annotated[list[str], typer.Argument(metavar="[SERIES] DATE")], as_json: Json = False
) -> None:
    """Cancel a meeting; what is on its agenda goes on the next one, and who was told of it is told."""
    from tidings.digests.meetings import changes

    name, day = _name_and(words, "a DATE")
    with opened() as site, site.database.write() as connection:
        of, now = _series(connection, community, name)[1], site.clock.now()
        gone = changes.cancel(connection, _meeting(connection, of, day, now), now, site=site.settings.site)
        _print_meetings(connection, [gone], now, as_json)


def _print_meetings(connection: Connection, found: Sequence[Meeting], now: datetime, as_json: bool) -> None:
    from tidings.digests.meetings import report

    if as_json:
        crews = _crews(connection)
        print_lines({"series": one.series.name, **report.meeting_document(one, crews, now)} for one in found)
    elif found:
        print_cells(report.MEETING_HEADINGS, [line for one in found for line in report.meeting_cells(one, now)])


@agendas.command("preview")
def agenda_preview(
    community: str,
    words: Annotated[list[str], typer.Argument(metavar="[SERIES] EMAIL")],
    day: Day = "",
    eml: Annotated[Path | None, typer.Option(metavar="F", help="Keep the message.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="F", help="Keep the HTML part.")] = None,
    at: At = None,
    as_json: Json = False,
) -> None:
    """The agenda that a member would get; nothing is stored, and its addresses are refused."""
    from tidings.digests import previews

    name, email = _name_and(words, "an EMAIL")
    with opened(at) as site, site.database.read() as connection:
        found, of = _series(connection, community, name)
        now = site.clock.now()
        meeting = _meeting(connection, of, day, now)
        made = previews.agenda_preview(connection, found, meeting, email, now, site=site.settings.site)
    if eml:
        eml.write_bytes(made.raw)
    if html:
        html.write_text(made.html, encoding="utf-8")
    if as_json:
        print_json(made)
    else:
        typer.echo(f"Subject: {made.subject}\n\n{made.text}")


# --- roles -----------------------------------------------------------------------------------------------------------


@meetings.command("role")
def meeting_role(
    community: str,
    words: Annotated[list[str], typer.Argument(metavar="[SERIES] EMAIL")],
    role: Annotated[str, typer.Option(help="lead, host or scribe.")],
    not_: Annotated[bool, typer.Option("--not", help="Not any more; with --for whose turn it is next has it.")] = False,
    day: Annotated[str, typer.Option("--for", metavar="DATE", help="Only the meeting of that day.")] = "",
    as_json: Json = False,
) -> None:
    """Say who is willing to lead, host or take notes, or who does so at one meeting."""
    from tidings.communities.entries import choice
    from tidings.digests.meetings import roles

    name, email = _name_and(words, "an EMAIL")
    wanted: Role = next(one for one in roles.ROLES if one == choice(role, roles.ROLES, "role"))
    with opened() as site, site.database.write() as connection:
        found, of = _series(connection, community, name)
        member, now = _member(connection, found, email), site.clock.now()
        if day:
            _give(connection, _meeting(connection, of, day, now), wanted, member, now, away=not_)
        elif not_ and not roles.decline(connection, of.id, member.person_id, wanted):
            raise NotFoundError(f"{email} did not say that they would: {wanted}.")
        elif not not_:
            roles.offer(connection, of.id, member.person_id, wanted, now)
        if as_json:
            print_lines(_willing(connection, of, now))


def _give(connection: Connection, meeting: Meeting, role: Role, member: Member, now: datetime, *, away: bool) -> None:
    """Let a member have a role at a meeting, or let whose turn it is next have it instead of them."""
    from tidings.digests.meetings import roles

    if meeting.cancelled_at is not None or meeting.ends_at <= now:
        raise UsageError(f"The meeting of {meeting.day} is {'cancelled' if meeting.cancelled_at else 'over'}.")
    if not away:
        roles.give(connection, meeting, role, member, now)
        return
    has = [one for one in roles.of_meeting(connection, meeting) if one.role == role]
    if not has or has[0].person_id != member.person_id:
        raise NotFoundError(f"{member.email} does not have that role on {meeting.day}: {role}.")
    if roles.swap(connection, meeting, has[0], now) is None:
        raise TidingsError(f"Nobody else is willing ({role}), so {member.email} keeps it; name somebody with --for.")


def _willing(connection: Connection, of: Series, now: datetime) -> list[Willing]:
    from tidings.digests.meetings import people, roles
    from tidings.digests.meetings.report import Willing

    found, loads = roles.willing(connection, of.id), roles.load(connection, of.id, now)
    names = people.called(connection, of.community_id, {one for ids in found.values() for one in ids})
    return [
        Willing(role=role, name=names[person_id], load=loads[role].get(person_id, 0))
        for role, ids in found.items()
        for person_id in ids
    ]


# --- topics ----------------------------------------------------------------------------------------------------------

_ACTIONS = {"add": "a TITLE", "drop": "a NUMBER", "order": "NUMBERS", "time": "a NUMBER and MINUTES"}


@meetings.command("topic")
def meeting_topic(
    community: str,
    words: Annotated[
        list[str],
        typer.Argument(metavar="[SERIES] ACTION...", help="add TITLE, drop N, order N N ..., time N MINUTES."),
    ],
    by: Annotated[str, typer.Option("--by", metavar="EMAIL", help="Who proposes what is added.")] = "",
    minutes: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=24 * 60, help="How long what is added takes.")
    ] = None,
    day: Day = "",
    as_json: Json = False,
) -> None:
    """Add a topic to an agenda, drop one, give it time, or say what comes first; by the numbers that `show` prints."""
    from tidings.digests.meetings import report, topics
    from tidings.digests.meetings.topics import ON_THE_AGENDA

    name, action, rest = _action(words)
    with opened() as site, site.database.write() as connection:
        found, of = _series(connection, community, name)
        now, domain = site.clock.now(), site.settings.site.domain
        meeting = _meeting(connection, of, day, now)
        if meeting.cancelled_at is not None or meeting.closed_at is not None:
            raise UsageError(f"The meeting of {meeting.day} is {'cancelled' if meeting.cancelled_at else 'closed'}.")
        if action == "add":
            _add_topic(connection, found, meeting, rest[0], by=by, minutes=minutes, now=now, domain=domain)
        else:
            items = [one.topic for one in _agenda(connection, found, meeting, domain).items]
            numbers = rest[:1] if action == "time" else rest
            chosen = [_item(items, one) for one in numbers]
            if gone := [one.title for one in chosen if one.state not in ON_THE_AGENDA]:
                raise UsageError(f"A meeting has come to it already: {gone[0]}")
            match action:
                case "drop":
                    topics.settle(connection, chosen[0].id, "dropped")
                case "order":
                    topics.order(connection, list(dict.fromkeys(one.id for one in chosen)))
                case _:
                    topics.give_time(connection, chosen[0].id, _minutes(rest[1]))
        made = _agenda(connection, found, meeting, domain)
    if as_json:
        print_lines(report.item_document(made, number, item) for number, item in enumerate(made.items, 1))
    else:
        print_cells(report.ITEM_HEADINGS, report.item_cells(made))


def _action(words: Sequence[str]) -> tuple[str, str, Sequence[str]]:
    """The series that is named, what is done to its agenda, and with what."""
    named = words[0] not in _ACTIONS or (len(words) > 1 and words[1] in _ACTIONS)
    name, (action, *rest) = (words[0], words[1:] or [""]) if named else ("", words)
    if action not in _ACTIONS:
        raise UsageError(f"Say what is done: {', '.join(f'{one} {what}' for one, what in _ACTIONS.items())}.")
    few, many = {"add": (1, 1), "drop": (1, 1), "order": (1, 100), "time": (2, 2)}[action]
    if not few <= len(rest) <= many:
        raise UsageError(f"After {action} write {_ACTIONS[action]}.")
    return name, action, rest


def _add_topic(
    connection: Connection,
    found: Community,
    meeting: Meeting,
    title: str,
    *,
    by: str,
    minutes: int | None,
    now: datetime,
    domain: str,
) -> None:
    from tidings.communities.entries import line
    from tidings.digests.meetings import agenda, topics

    made = topics.propose(
        connection,
        series_id=meeting.series.id,
        meeting_id=meeting.id,
        title=line(title, "title", topics.TITLE_LENGTH),
        minutes=minutes,
        person_id=_member(connection, found, by).person_id if by else None,
        message_id=agenda.topic_message_id(found, secrets.token_hex(12), domain),
        now=now,
    )
    if made is None:
        raise TidingsError(f"The agenda of {meeting.day} has {topics.MOST} topics already; drop one first.")


def _item(items: Sequence[Topic], number: str) -> Topic:
    bare = number.removeprefix("#")
    if not bare.isdecimal() or not 1 <= int(bare) <= len(items):
        raise UsageError(
            f"{number!r} is no item of the agenda, which has {len(items)}; `tidings meeting show` has them."
        )
    return items[int(bare) - 1]


def _minutes(text: str) -> int:
    from tidings.digests.meetings.topics import MINUTES_MOST

    if not text.isdecimal() or not 1 <= int(text) <= MINUTES_MOST:
        raise UsageError(f"{text!r} is no number of minutes from 1 to {MINUTES_MOST}.")
    return int(text)


# --- what they have in common ----------------------------------------------------------------------------------------


def _name(words: Sequence[str] | None) -> str:
    """The series that is named, or empty."""
    if words and len(words) > 1:
        raise UsageError(f"One series is named, not {len(words)}; a name of several words stands in quotes.")
    return words[0] if words else ""


def _name_and(words: Sequence[str], what: str) -> tuple[str, str]:
    """The series that is named, or empty, and the one word behind it; `what` says what that is."""
    if len(words) > 2:
        raise UsageError(
            f"Write a series, where there are several, and {what}; a name of several words stands in quotes."
        )
    return (words[0] if len(words) == 2 else "", words[-1])


def _series(connection: Connection, community: str, name: str) -> tuple[Community, Series]:
    from tidings.communities import directory
    from tidings.digests.meetings import series

    found = directory.community(connection, community)
    return found, series.named(connection, found, name)


def _meeting(connection: Connection, of: Series, day: str, now: datetime) -> Meeting:
    """The meeting of that day, or that is held on it; the next one where none is named. Raises NotFoundError."""
    from tidings.communities.entries import parse_date
    from tidings.digests.meetings import diary

    if not day:
        following = diary.following(connection, of.id, now)
        if following is None:
            raise NotFoundError(f"{of.name} has no meeting to come; name one with its day.")
        return following
    wanted = parse_date(day)
    found = diary.on_day(connection, of.id, wanted) or diary.held_on(connection, of, wanted)
    if found is None:
        coming = [f"{one.day}" for one in diary.of_series(connection, of.id) if one.ends_at > now]
        raise NotFoundError(f"{of.name} has no meeting on {wanted}; there is {', '.join(coming) or 'none to come'}.")
    return found


def _session(meeting: Meeting, number: int | None) -> Sitting:
    many = len(meeting.sittings)
    if number is None and many > 1:
        raise UsageError(f"The meeting of {meeting.day} has {many} sessions; say which: --session 1 to {many}.")
    if not 1 <= (number or 1) <= many:
        raise UsageError(f"The meeting of {meeting.day} has no session {number}, but {many}.")
    return meeting.sittings[(number or 1) - 1]


def _member(connection: Connection, found: Community, email: str) -> Member:
    from tidings.communities import directory

    member = directory.member_by_address(connection, found.id, email)
    if member is None:
        raise NotFoundError(f"{email} is not a member of {found.name}.")
    return member


def _agenda(connection: Connection, found: Community, meeting: Meeting, domain: str) -> Agenda:
    from tidings.digests.meetings import agenda

    return agenda.read_agenda(connection, found, meeting, domain=domain)


def _crews(connection: Connection) -> dict[int, str]:
    from tidings.communities import rota

    return {one.id: one.name for one in rota.crews(connection)}


# --- when to meet ----------------------------------------------------------------------------------------------------


@meetings.command("plan")
def meeting_plan(
    community: str,
    first: Annotated[
        str, typer.Option("--from", metavar="DATE", help="A day of the first week; the next Monday by default.")
    ] = "",
    weeks: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=52, help="By default until the shifts repeat, at most 12."),
    ] = None,
    slots: Annotated[
        list[str] | None,
        typer.Option(help="Hours to choose from: 'Mon-Fri 08:00-17:00', 'Tue,Thu 14:00'; may be given several times."),
    ] = None,
    svg: Annotated[Path | None, typer.Option(metavar="F", help="Draw who is on shift when, as an SVG file.")] = None,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Who is on shift at each hour of the week, the best hour, the best two, and a fair rotation."""
    from tidings.communities.entries import parse_date
    from tidings.digests import planner
    from tidings.digests.planner import heatmap, report
    from tidings.digests.planner.slots import BY_DEFAULT, parse

    chosen = parse(slots or [BY_DEFAULT])
    day = parse_date(first) if first else None
    with opened(at) as site, site.database.read() as connection:
        made = planner.plan(connection, community, chosen, site.clock.now(), day=day, weeks=weeks)
    if svg:
        svg.write_text(heatmap.svg(made), encoding="utf-8")
    if as_json:
        print_json(report.document(made))
        return
    if made.reach.groups:
        headings, *lines = report.table(made)
        print_cells(headings, lines)
        typer.echo()
    for sentence in report.sentences(made):
        typer.echo(sentence)
