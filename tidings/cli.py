"""The command line: one function per command, which reads its arguments, calls the parts and prints.

It is long because there are many commands; none of them does more than that. Those of meetings are in meeting_commands.
The heavy parts are imported when a command needs them, so that `--help` answers at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from tidings import settings as settings_module
from tidings.console import (
    At,
    Json,
    bytes_of,
    community_named,
    given,
    group,
    key_values,
    opened,
    plain,
    print_changed,
    print_json,
    print_lines,
    print_object,
    print_rows,
    print_table,
)
from tidings.errors import NotFoundError, TidingsError, UsageError
from tidings.meeting_commands import agendas, meetings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tidings.communities.changes import Scope
    from tidings.communities.roster import Shift
    from tidings.communities.rota import Rota
    from tidings.intake.desk import Choice

app = typer.Typer(
    name="tidings",
    help="E-mail lists and digests for communities of practice that work in shifts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
_GROUPS = {
    "community": "Communities of this site.",
    "member": "Who is in a community, and how each is told.",
    "rota": "Shift times and repeating patterns.",
    "crew": "Who walks which pattern, from when.",
    "thread": "What people decided of threads: split, attach, merge, and undo of each.",
    "digest": "Editions: preview, send now, list, lint.",
    "hold": "Mail that waits for a person's decision.",
    "shunt": "Mail that Tidings failed on.",
    "mailbox": "Mailboxes that mail is fetched from.",
    "stopped": "Addresses that mail is not sent to any more, since too much came back.",
    "config": "The settings.",
}
_groups = {name: group(name, text) for name, text in _GROUPS.items()}
for _group in (*_groups.values(), meetings, agendas):
    app.add_typer(_group)

Key = Annotated[str, typer.Argument(help="The key, or its beginning, as `list` shows it.")]


@app.callback()
def options(
    config: Annotated[Path, typer.Option("-c", "--config", envvar="TIDINGS_CONFIG", help="The settings.")] = Path(
        "tidings.toml"
    ),
) -> None:
    """E-mail lists and digests for communities of practice that work in shifts."""
    given.config = config


def main() -> None:
    """The program. Exit status: 0 done, 1 failed or refused, 2 wrong use."""
    logging.basicConfig(level=os.environ.get("TIDINGS_LOG", "WARNING"), format="%(levelname)s %(name)s: %(message)s")
    try:
        app()
    except UsageError as error:
        print(f"tidings: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except TidingsError as error:
        print(f"tidings: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except OSError as error:  # a file that was named cannot be written; of a broken pipe Typer makes a silent 1
        print(f"tidings: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


_BY = "an admin"  # who decides by a command

# --- sites ----------------------------------------------------------------------------------------------


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where the demo is kept.")] = Path("demo-site"),
    listen: Annotated[str, typer.Option(help="HOST:PORT of the pages; 127.0.0.1:8080 unless the folder says.")] = "",
) -> None:
    """A small made-up site, served at once, with a clock to push and a box to reply as anybody."""
    from tidings.operations.demo import LISTEN, listening_at, settings_text
    from tidings.serving import serve_demo

    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "tidings.toml"
    if not config.exists():
        config.write_text(settings_text(listen or LISTEN), encoding="utf-8")
    chosen = settings_module.load(config)
    asyncio.run(serve_demo(listening_at(chosen, listen) if listen else chosen, typer.echo))


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]")] = Path(),
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    name: Annotated[str, typer.Option(help="What the site is called.")] = "Tidings",
    domain: Annotated[str, typer.Option(help="Mail domain of the communities.")] = "lists.example.org",
    base_url: Annotated[str, typer.Option(help="Where the pages are reached.")] = "http://127.0.0.1:8080",
    zone: Annotated[str, typer.Option(help="IANA time zone.")] = "Europe/Berlin",
    admin: Annotated[str, typer.Option(help="Your address.")] = "",
) -> None:
    """Ask five things, write the settings and the database, print the admin's sign-in link."""
    from tidings.app import open_site
    from tidings.clock import zone as zone_named
    from tidings.communities import sessions
    from tidings.communities.entries import parse_email

    config = folder / "tidings.toml"
    if config.exists():
        raise UsageError(f"{config} is there already; edit it, or choose another folder.")
    if not yes:
        name = typer.prompt("What is the site called?", default=name)
        domain = typer.prompt("The mail domain of its communities?", default=domain)
        base_url = typer.prompt("Where are its pages reached?", default=base_url)
        zone = typer.prompt("Its time zone?", default=zone)
        admin = typer.prompt("Your e-mail address?", default=admin or None)
    admins = [parse_email(admin)] if admin else []
    zone_named(zone)
    given = {"name": name, "domain": domain, "base_url": base_url, "zone": zone, "admins": admins}
    text = settings_module.example(given)
    settings_module.parse(text)
    folder.mkdir(parents=True, exist_ok=True)
    config.write_text(text, encoding="utf-8")
    site = open_site(settings_module.load(config))
    try:
        typer.echo(f"Wrote {config}.")
        if admins:
            with site.database.write() as connection:
                token = sessions.new_link(connection, admins[0], site.clock.now())
            typer.echo(f"Sign in as admin (once, within 72 hours): {base_url.rstrip('/')}/sign-in/{token}")
    finally:
        site.close()
    typer.echo(f"Next: tidings -c {config} community add pump --name 'Pump team', then tidings -c {config} serve")


@app.command()
def serve(
    only: Annotated[str, typer.Option(help="Parts to run: smtp, imap, web, worker, scheduler; all by default.")] = "",
) -> None:
    """Run the site; prints `ready` when all parts answer, and ends within 10 s of SIGTERM."""
    from tidings.serving import PARTS, Server
    from tidings.serving import serve as serve_parts

    parts = [part.strip() for part in only.split(",")] if only else list(PARTS)
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise UsageError(f"There is no part {unknown[0]!r}; there are {', '.join(PARTS)}.")
    with opened() as site:

        async def run() -> None:
            def ready(ports: object) -> None:
                typer.echo(f"ready {json.dumps(plain(ports))}")

            await serve_parts(Server(site, site.web(), parts), ready)

        try:
            asyncio.run(run())
        except OSError as error:
            raise TidingsError(f"Cannot listen: {error}. Is another Tidings running?") from error


# --- communities and members ----------------------------------------------------------------------------


@_groups["community"].command("add")
def community_add(
    address: Annotated[str, typer.Argument(help="Its address, or the part before the @.")],
    name: Annotated[str, typer.Option("--name", help="What it is called.")],
    description: str = "",
    zone: Annotated[str, typer.Option(help="IANA time zone; the site's by default.")] = "",
    posting: Annotated[str, typer.Option(help="members, open, screened, moderated or announce.")] = "members",
    mailbox: Annotated[bool, typer.Option("--mailbox", help="Its address is a mailbox elsewhere.")] = False,
    as_json: Json = False,
) -> None:
    """Make a community."""
    from tidings.communities import joining

    with opened() as site:
        local, _, domain = address.partition("@")
        elsewhere = domain.lower() not in ("", site.settings.site.domain)
        if elsewhere and not mailbox:
            raise UsageError(
                f"The communities of this site are at {site.settings.site.domain}, not {domain}; where {address} is a "
                "mailbox that Tidings reads, add --mailbox."
            )
        with site.database.write() as connection:
            made = joining.add_community(
                connection,
                name=local.lower(),
                domain=domain if elsewhere else None,
                title=name,
                description=description,
                zone=zone or site.settings.site.zone,
                posting=posting,
                now=site.clock.now(),
            )
        print_object(made, as_json)


@_groups["community"].command("list")
def community_list(as_json: Json = False) -> None:
    """All communities."""
    from tidings.communities import directory

    with opened() as site, site.database.read() as connection:
        rows = directory.communities(connection)
        print_rows(rows, ("name", "title", "posting", "last_number", "archived"), "There is none yet.", as_json)


@_groups["community"].command("show")
def community_show(name: str, as_json: Json = False) -> None:
    """One community."""
    from tidings.communities import directory

    with opened() as site, site.database.read() as connection:
        found = directory.community(connection, name)
        members = directory.members(connection, found.id)
        print_object({**asdict(found), "members": len(members)}, as_json)


@_groups["community"].command("set")
def community_set(
    name: str, changes: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...")], as_json: Json = False
) -> None:
    """Change a community: its title, rhythm or rules of posting; docs/commands.md has the keys."""
    from tidings.communities import joining
    from tidings.digests import periods

    with opened() as site, site.database.write() as connection:
        now = site.clock.now()
        periods.catch_up(connection, name, now, site=site.settings.site)
        print_changed(joining.set_community(connection, name, key_values(changes), now), as_json)


@_groups["community"].command("archive")
def community_archive(name: str, as_json: Json = False) -> None:
    """Take no more mail; the archive stays."""
    from tidings.communities import joining

    with opened() as site, site.database.write() as connection:
        print_changed(joining.archive_community(connection, name, site.clock.now()), as_json)


@_groups["community"].command("senders")
def community_senders(name: str, as_json: Json = False) -> None:
    """Addresses whose mail is always let pass, or always refused."""
    from tidings.communities import senders

    with opened() as site:
        found = community_named(site, name)
        with site.database.read() as connection:
            rows = senders.rules(connection, found.id)
        print_rows(rows, ("email", "rule", "created_at"), "Nothing was said of anybody.", as_json)


@_groups["community"].command("sender")
def community_sender(
    name: str,
    email: str,
    rule: Annotated[str, typer.Argument(metavar="RULE", help="allow, ban or none.")],
    as_json: Json = False,
) -> None:
    """Let pass or refuse whatever an address sends, or neither."""
    from tidings.communities import senders
    from tidings.communities.entries import choice, parse_email

    address = parse_email(email)
    choice(rule, (*senders.RULES, "none"), "rule")
    with opened() as site:
        found = community_named(site, name)
        with site.database.write() as connection:
            senders.forget_rule(connection, found.id, address)
            for one in senders.RULES:
                if one == rule:
                    senders.set_rule(connection, found.id, address, one, site.clock.now())
        print_changed({"email": address, "rule": rule}, as_json)


_MEMBER_COLUMNS = (
    "email",
    "name",
    "role",
    "delivery",
    "digest_at",
    "digest_weekday",
    "digest_time",
    "format",
    "quiet",
    "zone",
)


@_groups["member"].command("add")
def member_add(
    community: str,
    email: str,
    name: str = "",
    role: Annotated[str, typer.Option(help="member, moderator, leader or owner.")] = "member",
    delivery: Annotated[str, typer.Option(help="each, daily, weekly or none.")] = "each",
    crew: Annotated[str, typer.Option(help="The crew whose rota this person works.")] = "",
    zone: Annotated[str, typer.Option(help="IANA time zone; the site's by default.")] = "",
    language: Annotated[str, typer.Option(help="en, de, es or fr; the community's by default.")] = "",
    as_json: Json = False,
) -> None:
    """Take somebody into a community."""
    from tidings.communities import joining

    with opened() as site, site.database.write() as connection:
        now = site.clock.now()
        if site.is_list_address(email):
            raise UsageError(f"{email} is an address of a community here; mail to it would go round in circles.")
        made = joining.add_member(
            connection,
            community=community,
            email=email,
            name=name,
            role=role,
            delivery=delivery,
            crew=crew or None,
            zone=zone or None,
            language=language or None,
            now=now,
        )
        site.replan(connection, now, person_id=made.person_id)
        print_object(made, as_json)


@_groups["member"].command("list")
def member_list(community: str, as_json: Json = False) -> None:
    """Who is in a community."""
    from tidings.communities import directory

    with opened() as site, site.database.read() as connection:
        rows = directory.members(connection, directory.community(connection, community).id)
        print_rows(rows, _MEMBER_COLUMNS, "Nobody yet.", as_json)


@_groups["member"].command("show")
def member_show(community: str, email: str, at: At = None, as_json: Json = False) -> None:
    """One member: how they are told, in words, and when the next digest is due."""
    from tidings.communities import directory
    from tidings.digests import plans

    with opened(at) as site, site.database.read() as connection:
        found = directory.community(connection, community)
        member = directory.member_by_address(connection, found.id, email)
        if member is None:
            raise NotFoundError(f"{email} is not a member of {community}.")
        told = plans.outlook(connection, found, member, site.clock.now(), site=site.settings.site)
        print_object({**plain(member), **plain(told)}, as_json)


@_groups["member"].command("set")
def member_set(
    community: str,
    email: str,
    changes: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...")],
    as_json: Json = False,
) -> None:
    """Change a member: name, role, delivery, crew, zone, language, digest, format, quiet and yes or no settings."""
    from tidings.communities import joining

    with opened() as site, site.database.write() as connection:
        now = site.clock.now()
        made = joining.set_member(connection, community=community, email=email, changes=key_values(changes), now=now)
        site.replan(connection, now, person_id=made.person_id)
        print_changed(made, as_json)


@_groups["member"].command("remove")
def member_remove(community: str, email: str, as_json: Json = False) -> None:
    """Let somebody leave."""
    from tidings.communities import directory, joining

    with opened() as site, site.database.write() as connection:
        found = directory.member_by_address(connection, directory.community(connection, community).id, email)
        if found is None:
            raise NotFoundError(f"{email} is not a member of {community}.")
        joining.remove_member(connection, membership_id=found.membership_id, now=site.clock.now())
        print_changed(found, as_json)


@_groups["member"].command("import")
def member_import(
    community: str, file: Annotated[Path, typer.Argument(metavar="FILE.csv")], as_json: Json = False
) -> None:
    """Take in the people of a CSV file; its first line names the columns."""
    import csv

    from tidings.communities import joining

    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"Cannot read {file}: {error}") from error
    with opened() as site:
        now = site.clock.now()
        with site.database.write() as connection:
            verdicts = joining.import_members(
                connection, community=community, rows=rows, now=now, is_ours=site.is_list_address
            )
            site.replan(connection, now)
        print_rows(verdicts, ("row", "email", "verdict", "reason"), "The file has no rows.", as_json)


# --- rotas ----------------------------------------------------------------------------------------------


@_groups["rota"].command("add")
def rota_add(
    name: str,
    pattern: Annotated[
        list[str],
        typer.Option(help="A letter a day, O is off: DDNNOOOO; several: A=DDOO, B=OODD; or a known name: dupont."),
    ],
    shifts: Annotated[str, typer.Option(help="D=07:00-19:00,N=19:00-07:00; known patterns have theirs.")] = "",
    zone: Annotated[str, typer.Option(help="IANA time zone; the site's by default.")] = "",
    as_json: Json = False,
) -> None:
    """Make a rota."""
    from tidings.communities import rota

    with opened() as site, site.database.write() as connection:
        made = rota.add_rota(
            connection, name=name, zone=zone or site.settings.site.zone, pattern=",".join(pattern), shifts=shifts
        )
        print_object(made, as_json)


@_groups["rota"].command("set")
def rota_set(
    name: str, changes: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...")], as_json: Json = False
) -> None:
    """Change a rota: zone, shifts, pattern (pattern=B=DDNNOOOO changes B or adds it)."""
    from tidings.communities import rota

    with _replanning() as connection:
        print_changed(rota.set_rota(connection, name, key_values(changes)), as_json)


@contextlib.contextmanager
def _replanning() -> Iterator[Connection]:
    """A transaction after which what waits is due when the rotas now say."""
    with opened() as site, site.database.write() as connection:
        yield connection
        site.replan(connection, site.clock.now())


@_groups["rota"].command("list")
def rota_list(as_json: Json = False) -> None:
    """All rotas."""
    from tidings.communities import rota

    with opened() as site, site.database.read() as connection:
        found = rota.rotas(connection)
    if as_json:
        print_lines(found)
        return
    rows = [_walked(one, name, cycle) for one in found for name, cycle in one.patterns.items()]
    print_table(rows, ("name", "zone", "shifts", "pattern", "days"), "There is none yet.")


def _walked(one: Rota, pattern: str, cycle: str) -> dict[str, str]:
    """A pattern of a rota as a line of the table."""
    times = ",".join(f"{letter}={starts}-{ends}" for letter, (starts, ends) in one.shifts.items())
    return {"name": one.name, "zone": one.zone, "shifts": times, "pattern": pattern, "days": cycle or "a calendar"}


@_groups["rota"].command("show")
def rota_show(
    crew: Annotated[str, typer.Argument(help="The crew; --member names a person instead.")] = "",
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="First day; today by default.")] = "",
    days: Annotated[int, typer.Option(min=1, max=3660)] = 28,
    member: Annotated[str, typer.Option(metavar="EMAIL", help="A person, with their own swaps and leave.")] = "",
    at: At = None,
    as_json: Json = False,
) -> None:
    """The shifts of a crew, or of a person: start, end and letter."""
    from tidings.communities import calendars, rosters
    from tidings.communities.entries import parse_date

    with opened(at) as site, site.database.read() as connection:
        roster = rosters.named(connection, crew=crew, email=member)
        begin = parse_date(first) if first else site.clock.now().astimezone(roster.zone).date()
        shifts = roster.shifts(begin, days)
        troubled = [one for one in calendars.listing(connection) if one.error and crew in ("", one.pattern)]
    if as_json:
        print_json([{"start": shift.start, "end": shift.end, "shift": shift.letter} for shift in shifts])
        return
    columns = ("day", "shift", "from", "until", "hours")
    print_table([_duty(shift) for shift in shifts], columns, "No shift in that time.")
    for one in troubled:
        typer.echo(f"The calendar of {one.pattern} is that of {one.read_at:%Y-%m-%d %H:%M} UTC. {one.error}")


def _duty(shift: Shift) -> dict[str, str]:
    """A shift as a line of the table, in the rota's wall-clock time."""
    next_day = "" if shift.end.date() == shift.start.date() else f" {shift.end:%a}"
    return {
        "day": f"{shift.start:%a %Y-%m-%d}",
        "shift": shift.letter,
        "from": f"{shift.start:%H:%M}",
        "until": f"{shift.end:%H:%M}{next_day}",
        "hours": f"{shift.length / timedelta(hours=1):.4g}",
    }


@_groups["rota"].command("import")
def rota_import(
    source: Annotated[str, typer.Argument(metavar="FILE.ics|URL", help="A URL is asked again each day.")],
    name: Annotated[str, typer.Option(help="The rota; made where there is none. The file's name by default.")] = "",
    crew: Annotated[str, typer.Option(help="The crew that works these shifts; of the rota's name by default.")] = "",
    zone: Annotated[str, typer.Option(help="IANA time zone of a new rota; the site's by default.")] = "",
    shifts: Annotated[str, typer.Option(help="When whole days called D or N are: D=07:00-19:00,N=19:00-07:00.")] = "",
    as_json: Json = False,
) -> None:
    """Let a crew work the shifts of an iCalendar file or feed."""
    from tidings.communities import calendars

    name = name or Path(source).stem
    to = calendars.Target(rota=name, crew=crew or name, zone=zone, shifts=shifts)
    with opened() as site:
        now = site.clock.now()
        found = calendars.bring_in(
            site.database,
            source=source,
            to=to,
            default_zone=site.settings.site.zone,
            now=now,
            changed=lambda connection: site.replan(connection, now),
        )
    print_object({**plain(found.calendar), "shifts": found.shifts}, as_json)


@_groups["rota"].command("calendars")
def rota_calendars(as_json: Json = False) -> None:
    """Where shifts are imported from, when they were last read, and what went wrong since."""
    from tidings.communities import calendars

    columns = ("rota", "pattern", "source", "checked_at", "read_at", "error", "left_out")
    with opened() as site, site.database.read() as connection:
        print_rows(calendars.listing(connection), columns, "There is none.", as_json)


_CHANGE_COLUMNS = ("id", "scope", "name", "first_day", "last_day", "days", "only", "note")
Until = Annotated[str, typer.Option("--until", metavar="DATE", help="The last day, which counts too.")]
Note = Annotated[str, typer.Option(help="What for; shown in the list.")]


@_groups["rota"].command("holiday")
def rota_holiday(
    rota_name: Annotated[str, typer.Argument(metavar="ROTA")],
    day: Annotated[str, typer.Argument(metavar="DATE")],
    until: Until = "",
    only: Annotated[str, typer.Option(help="The letters of the shifts that are not worked; all by default.")] = "",
    note: Note = "",
    as_json: Json = False,
) -> None:
    """Say that a rota's shifts, or some of them, are not worked on these days."""
    _add_change("rota", rota_name, day, until or day, only=only, note=note, as_json=as_json)


@_groups["rota"].command("swap")
def rota_swap(
    day: Annotated[str, typer.Argument(metavar="DATE")],
    shift: Annotated[str, typer.Argument(help="The letter of what is worked instead; O for off.")],
    crew: Annotated[str, typer.Option(help="The whole crew.")] = "",
    member: Annotated[str, typer.Option(metavar="EMAIL", help="One person.")] = "",
    note: Note = "",
    as_json: Json = False,
) -> None:
    """Say that a crew or a person works another shift on one day."""
    if bool(crew) == bool(member):
        raise UsageError("Name a crew with --crew, or a person with --member.")
    _add_change("crew" if crew else "member", crew or member, day, day, days=shift, note=note, as_json=as_json)


@_groups["rota"].command("leave")
def rota_leave(
    email: str,
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="The first day away.")],
    until: Until = "",
    note: Note = "",
    as_json: Json = False,
) -> None:
    """Say that a person is away; without --until, until it is undone."""
    _add_change("member", email, first, until, note=note, as_json=as_json)


@_groups["rota"].command("part-time")
def rota_part_time(
    email: str,
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="The first day of it.")],
    weekdays: Annotated[str, typer.Option(help="The only weekdays that are worked: Mon,Tue,Wed.")] = "",
    days: Annotated[str, typer.Option(help="A letter a day from --from on, repeated: x as the crew, O off.")] = "",
    until: Until = "",
    note: Note = "",
    as_json: Json = False,
) -> None:
    """Say that a person works only a part of the crew's shifts."""
    from tidings.communities import changes
    from tidings.communities.entries import parse_date

    if bool(weekdays) == bool(days):
        raise UsageError("Give the days that are worked: --weekdays Mon,Tue,Wed or --days xxxxOOOO.")
    letters = changes.part_time(parse_date(first), weekdays) if weekdays else changes.parse_days(days)
    _add_change("member", email, first, until, days=letters, note=note, as_json=as_json)


def _add_change(scope: Scope, name: str, first: str, last: str, *, as_json: bool, **values: str) -> None:
    from tidings.communities import changes
    from tidings.communities.entries import parse_date

    first_day, last_day = parse_date(first), parse_date(last) if last else None
    with _replanning() as connection:
        made = changes.add(connection, scope=scope, name=name, first_day=first_day, last_day=last_day, **values)
        print_object(made, as_json)


@_groups["rota"].command("changes")
def rota_changes(as_json: Json = False) -> None:
    """Holidays, swaps, leave and part-time, with the number that undoes each."""
    from tidings.communities import changes

    with opened() as site, site.database.read() as connection:
        print_rows(changes.listing(connection), _CHANGE_COLUMNS, "There is none.", as_json)


@_groups["rota"].command("undo")
def rota_undo(number: Annotated[int, typer.Argument(help="As `changes` shows it.")], as_json: Json = False) -> None:
    """Take a holiday, swap, leave or part-time back."""
    from tidings.communities import changes

    with _replanning() as connection:
        print_changed(changes.remove(connection, number), as_json)


@_groups["crew"].command("add")
def crew_add(
    name: str,
    rota_name: Annotated[str, typer.Option("--rota")],
    start: Annotated[str, typer.Option(metavar="DATE", help="The day of the cycle's first letter.")],
    pattern: Annotated[str, typer.Option(help="Which pattern of the rota, where it has several.")] = "",
    as_json: Json = False,
) -> None:
    """Make a crew."""
    from tidings.communities import rota
    from tidings.communities.entries import parse_date

    start_date = parse_date(start)
    with opened() as site, site.database.write() as connection:
        made = rota.add_crew(connection, name=name, rota=rota_name, start_date=start_date, pattern=pattern or None)
        print_object(made, as_json)


@_groups["crew"].command("set")
def crew_set(
    name: str, changes: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...")], as_json: Json = False
) -> None:
    """Change a crew: name, pattern, start."""
    from tidings.communities import rota

    with _replanning() as connection:
        print_changed(rota.set_crew(connection, name, key_values(changes)), as_json)


@_groups["crew"].command("list")
def crew_list(as_json: Json = False) -> None:
    """All crews."""
    from tidings.communities import rota

    with opened() as site, site.database.read() as connection:
        columns = ("name", "rota", "pattern", "start_date")
        print_rows(rota.crews(connection), columns, "There is none yet.", as_json)


# --- the archive ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _progress(total: int, what: str) -> Iterator[Any]:
    """A progress bar on stderr, which is silent where nobody watches."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn(what),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        MofNCompleteColumn() if not what else TextColumn("{task.fields[count]} messages"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task(what, total=total, count=0)

        def advance(done: int, count: int) -> None:
            bar.update(task, completed=done, count=count)

        yield advance


@app.command("import")
def import_mail(
    community: str,
    file: Annotated[Path, typer.Argument(help="mbox, mbox.gz, Maildir, .eml, or a folder of them.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    verdicts: Annotated[Path | None, typer.Option(metavar="F.jsonl", help="Write each verdict, a line each.")] = None,
    list_address: Annotated[
        str, typer.Option("--list", metavar="ADDRESS", help="Take only what names this list, out of a mailbox.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Archive old mail, repeatably; no mail is sent and no digest tells of it."""
    from tidings.archive import mbox
    from tidings.communities.entries import parse_email

    wanted = parse_email(list_address) if list_address else ""
    counts = {"stored": 0, "duplicate": 0, "held": 0, "refused": 0}
    with opened() as site, contextlib.ExitStack() as stack:
        entries = mbox.read(file)
        worker = site.worker()
        stack.callback(worker.close)
        worker.start()  # it loads what it needs while this process does, too
        from tidings.operations.importing import Importer

        importer = Importer(
            database=site.database,
            spool=site.spool,
            worker=worker,
            community=community_named(site, community),
            clock=site.clock,
            settings=site.settings,
            tokens=site.tokens,
            wanted=wanted,
            dry_run=dry_run,
        )
        log = stack.enter_context(verdicts.open("w", encoding="utf-8")) if verdicts else None
        advance = stack.enter_context(_progress(mbox.size_hint(file), f"import {file.name}"))
        for one in importer.run(entries):
            counts[one.verdict] += 1
            advance(one.offset, sum(counts.values()))
            if log:
                log.write(json.dumps(plain(one), ensure_ascii=False) + "\n")
    print_object(counts, as_json)


@app.command("export")
def export_mail(
    community: str,
    mbox_file: Annotated[Path | None, typer.Option("--mbox", metavar="F", help="An mbox (mboxrd).")] = None,
    maildir: Annotated[Path | None, typer.Option("--maildir", metavar="D", help="A Maildir.")] = None,
    as_json: Json = False,
) -> None:
    """Write the archive as it was received."""
    from tidings.operations import exporting

    with opened() as site:
        found = community_named(site, community)
        if (mbox_file is None) == (maildir is None):
            raise UsageError("Say --mbox FILE or --maildir FOLDER.")
        if mbox_file:
            numbers = exporting.to_mbox(site.database, found.id, mbox_file)
        else:
            assert maildir is not None
            numbers = exporting.to_maildir(site.database, found.id, maildir)
        with _progress(found.last_number, "export") as advance:
            written = 0
            for written, number in enumerate(numbers, 1):
                advance(number, written)
    print_object({"written": written}, as_json)


@app.command()
def simulate(
    weeks: Annotated[int, typer.Option(metavar="N", min=1, max=520, help="How many weeks are played.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the mails.")],
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Old mail that comes in as if it were new.")
    ] = None,
    community: Annotated[str, typer.Option(help="Where that mail comes in.")] = "",
    at: At = None,
    as_json: Json = False,
) -> None:
    """Rehearse weeks on a copy of the site: every mail that would be sent as a file, and a page of them."""
    from tidings.archive import mbox
    from tidings.rehearsing import rehearse

    with opened(at) as site, _progress(weeks, "simulate") as advance:
        over = count(1)
        made = rehearse(
            site,
            out,
            weeks=weeks,
            community=community,
            entries=list(mbox.read(source)) if source else (),
            begins=site.clock.now(),
            each_week=lambda: advance(done := next(over), done),
        )
    print_object(asdict(made), as_json)
    if not as_json:
        typer.echo(f"Open {out / 'index.html'}")


@app.command()
def tree(community: str, as_json: Json = False) -> None:
    """The threads of a community."""
    from tidings.archive import read
    from tidings.threading import nodes
    from tidings.threading.tree import arrange

    with opened() as site:
        found = community_named(site, community)
        with site.database.read() as connection:
            titles = read.headings(connection, found.id)
            for thread in nodes.all_threads(connection, found.id):
                branches = arrange(thread)
                for branch in branches:
                    assert branch.node.post_id is not None
                    subject, author = titles[branch.node.post_id]
                    if as_json:
                        print_json(
                            {
                                "message_id": branch.node.message_id,
                                "parent": branch.parent.message_id if branch.parent else None,
                                "thread": branches[0].node.message_id,
                                "subject": subject,
                                "date": branch.node.date,
                                "author": author,
                                "why": "loop" if branch.cut else branch.node.why,
                            }
                        )
                    else:
                        typer.echo(f"{'  ' * min(branch.depth, 20)}{branch.node.date:%Y-%m-%d} {author}: {subject}")


MessageId = Annotated[str, typer.Argument(metavar="MESSAGE-ID")]


def _print_decided(made: Iterable[Any], said: str, as_json: bool) -> None:
    """What was decided of a thread, or undone: for people a sentence, since a merge may decide of many messages."""
    if as_json:
        print_lines(made)
    else:
        typer.echo(said)


@_groups["thread"].command("split")
def thread_split(community: str, message_id: MessageId, as_json: Json = False) -> None:
    """Let a message begin a thread of its own, with all that stands under it."""
    from tidings.operations import threads

    with opened() as site:
        found = community_named(site, community)
        with site.database.write() as connection:
            made = threads.split(connection, found.id, message_id.strip("<>"), by=_BY, now=site.clock.now())
    _print_decided([made], f"{made.message_id} begins a thread.", as_json)


@_groups["thread"].command("attach")
def thread_attach(
    community: str,
    message_id: MessageId,
    parent_id: Annotated[str, typer.Argument(metavar="PARENT-ID")],
    as_json: Json = False,
) -> None:
    """Let a message, with all that stands under it, be a reply to another."""
    from tidings.operations import threads

    with opened() as site:
        found, above = community_named(site, community), parent_id.strip("<>")
        with site.database.write() as connection:
            made = threads.attach(connection, found.id, message_id.strip("<>"), above, by=_BY, now=site.clock.now())
    _print_decided([made], f"{made.message_id} is a reply to {made.parent_message_id}.", as_json)


@_groups["thread"].command("merge")
def thread_merge(
    community: str,
    message_id: MessageId,
    into_id: Annotated[str, typer.Argument(metavar="INTO-ID")],
    as_json: Json = False,
) -> None:
    """Let the thread of a message go on in the thread of another."""
    from tidings.operations import threads

    with opened() as site:
        found, into = community_named(site, community), into_id.strip("<>")
        with site.database.write() as connection:
            made = threads.merge(connection, found.id, message_id.strip("<>"), into, by=_BY, now=site.clock.now())
    _print_decided(made, f"The thread goes on under {made[0].parent_message_id}.", as_json)


@_groups["thread"].command("undo")
def thread_undo(community: str, message_id: MessageId, as_json: Json = False) -> None:
    """Take back the last decision about a message; of a merge, all of it."""
    from tidings.operations import threads

    with opened() as site:
        found = community_named(site, community)
        with site.database.write() as connection:
            undone = threads.undo(connection, found.id, message_id.strip("<>"), site.clock.now())
    _print_decided(undone, f"Undone: {undone[-1].kind} of {', '.join(one.message_id for one in undone)}.", as_json)


@_groups["thread"].command("list")
def thread_list(community: str, as_json: Json = False) -> None:
    """What people decided of the threads of a community, oldest first; what was undone too."""
    from tidings.threading import decisions

    with opened() as site:
        found = community_named(site, community)
        with site.database.read() as connection:
            kept = decisions.listing(connection, found.id)
    columns = ("created_at", "by", "kind", "message_id", "parent_message_id", "undone_at")
    print_rows(kept, columns, "Nothing was decided of its threads.", as_json)


@_groups["thread"].command("offers")
def thread_offers(community: str, as_json: Json = False) -> None:
    """Replies that might be split: their subject is wholly new, and they quote nothing."""
    from tidings.operations import threads

    with opened() as site:
        found = community_named(site, community)
        with site.database.read() as connection:
            made = list(threads.offers(connection, found.id))
    columns = ("message_id", "subject", "author", "parent_subject")
    print_rows(made, columns, "There is nothing that looks like a thread of its own.", as_json)


@app.command()
def show(
    message_id: Annotated[str, typer.Argument(metavar="MESSAGE-ID")],
    raw: Annotated[bool, typer.Option("--raw", help="The bytes as they came.")] = False,
    as_json: Json = False,
) -> None:
    """One post: what is shown, what is folded, attachments."""
    from tidings.archive import files, read

    with opened() as site, site.database.read() as connection:
        found = read.anywhere(connection, message_id.strip("<>"))
        if found is None:
            raise NotFoundError(f"No post has the Message-ID {message_id}.")
        if raw:
            sys.stdout.buffer.write(read.raw(connection, found.id))
            return
        attached = files.described(connection, found)
        pieces = list(read.pieces(found))
        shown: dict[str, Any] = {
            "message_id": found.message_id,
            "number": found.number,
            "subject": found.subject,
            "author": found.author_name,
            "date": found.date,
            "text": "".join(text for kind, text in pieces if kind == "own").strip(),
            "folded": [text.strip("\n") for kind, text in pieces if kind != "own"],
            "attachments": [{**asdict(one), "sha256": one.sha256 and one.sha256.hex()} for one in attached],
        }
    if as_json:
        print_json(shown)
        return
    typer.echo(f"{shown['author']}, {shown['date']}\n{shown['subject']}\n\n{shown['text']}")
    for text in shown["folded"]:
        typer.echo(f"\n[folded: {len(text.splitlines())} lines]")
    for one in attached:
        also = f", also in {', '.join(f'<{other}>' for other in one.also_in)}" if one.also_in else ""
        typer.echo(f"[attached: {one.filename}, {one.size} bytes{also}]")


@app.command()
def fold(file: Annotated[Path | None, typer.Argument(metavar="[FILE]")] = None, as_json: Json = False) -> None:
    """What the person wrote in a message or a plain text, and what is folded."""
    from tidings.mailer.parse import looks_like_a_message, parse
    from tidings.threading import quotes

    try:
        data = file.read_bytes() if file else sys.stdin.buffer.read()
    except OSError as error:
        raise UsageError(f"Cannot read {file}: {error.strerror}.") from error
    if looks_like_a_message(data):
        message = parse(data, settings_module.LimitSettings())
        text, folds = message.text, [quotes.Fold(*one) for one in message.folds]
    else:
        text = data.decode("utf-8", "replace").replace("\r\n", "\n")
        folds = list(quotes.fold(text))
    reply = quotes.shown(text, folds)
    pieces = [(one.kind, text[one.start : one.end].strip("\n")) for one in folds]
    if as_json:
        signature = "\n".join(piece for kind, piece in pieces if kind == "signature")
        quoted = [piece for kind, piece in pieces if kind != "signature"]
        print_json({"reply": reply, "folded": quoted, "signature": signature})
    else:
        typer.echo(reply)
        for kind, piece in pieces:
            typer.echo(f"\n[folded {kind}: {len(piece.splitlines())} lines]")


@app.command()
def bounce(file: Annotated[Path | None, typer.Argument(metavar="[FILE]")] = None, as_json: Json = False) -> None:
    """Whom a message did not reach, by the bounce that came back for it."""
    from tidings.mailer.bounces import read_bounce

    reading = read_bounce(bytes_of(file))
    if as_json:
        names = ("address", "permanent", "status", "reason")
        print_json([{name: getattr(one, name) for name in names} for one in reading.returned])
        return
    rows = [
        {
            "address": one.address,
            "failure": "permanent" if one.permanent else "of the message" if one.about_message else "temporary",
            "status": one.status,
            "reason": one.reason,
        }
        for one in reading.returned
    ]
    print_table(rows, ("address", "failure", "status", "reason"), "This is no bounce, or one that names nobody.")
    if reading.kind == "delayed":
        typer.echo("The mail system goes on trying.")


@app.command()
def search(
    community: str,
    query: Annotated[
        list[str], typer.Argument(help='Words, from: to: subject: tag: after: before: has: "a phrase" -not')
    ],
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    sort: Annotated[str, typer.Option(help="newest or relevance")] = "newest",
    as_json: Json = False,
) -> None:
    """Find posts, the newest or the most relevant first."""
    from tidings.archive import read
    from tidings.archive import search as searching

    with opened() as site:
        found = community_named(site, community)
        with site.database.read() as connection:
            hits = searching.search(
                connection, [found.id], " ".join(query), sort=searching.sort_order(sort), limit=limit
            )
            threads = {
                thread_id: next((post.message_id for post in read.thread(connection, found.id, thread_id)), None)
                for thread_id in {hit.post.thread_id for hit in hits}
            }
        rows = [
            {
                "message_id": hit.post.message_id,
                "thread": threads[hit.post.thread_id],
                "subject": hit.post.subject,
                "date": hit.post.date,
                "author": hit.post.author_name,
                "snippet": hit.snippet,
            }
            for hit in hits
        ]
        print_rows(rows, ("date", "author", "subject", "snippet"), "Nothing found.", as_json)


# --- digests --------------------------------------------------------------------------------------------


@_groups["digest"].command("preview")
def digest_preview(
    community: str,
    email: str,
    eml: Annotated[Path | None, typer.Option(metavar="F", help="Keep the message.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="F", help="Keep the HTML part.")] = None,
    at: At = None,
    as_json: Json = False,
) -> None:
    """The digest that a member would get; nothing is stored, and its addresses are refused."""
    from tidings.digests import previews

    with opened(at) as site, site.database.read() as connection:
        made = previews.preview(connection, community, email, site.clock.now(), site=site.settings.site)
    if eml:
        eml.write_bytes(made.raw)
    if html:
        html.write_text(made.html, encoding="utf-8")
    if as_json:
        print_json(made)
    else:
        typer.echo(f"Subject: {made.subject}\n\n{made.text}")


@_groups["digest"].command("send")
def digest_send(community: str, as_json: Json = False) -> None:
    """End the period now: every digest of the community is due at once, and put in the outbox."""
    from tidings.digests import periods

    with opened() as site:
        with site.database.write() as connection:
            periods.send_now(connection, community, site.clock.now(), site=site.settings.site)
        print_object(site.run_due(), as_json)


@_groups["digest"].command("lint")
def digest_lint(file: Annotated[Path | None, typer.Argument(metavar="[FILE]")] = None, as_json: Json = False) -> None:
    """What a reader of a digest could trip over: size, headings, links, colours, and parts that differ."""
    from tidings.digests.lint import lint

    try:
        findings = lint(bytes_of(file))
    except ValueError as error:
        raise UsageError(str(error)) from error
    if as_json:
        print_json(findings)
    else:
        print_table([asdict(one) for one in findings], ("check", "detail"), "Nothing is wrong with it.")
    if findings:
        raise typer.Exit(1)


@_groups["digest"].command("list")
def digest_list(community: Annotated[str, typer.Argument(metavar="[COMMUNITY]")] = "", as_json: Json = False) -> None:
    """Periods, and how many editions of each wait, were composed, or had nothing to tell."""
    from tidings.communities import directory
    from tidings.digests import periods

    columns = ("community", "rhythm", "number", "cut_off_at", "waiting", "composed", "quiet", "dropped", "next_due")
    with opened() as site, site.database.read() as connection:
        community_id = directory.community(connection, community).id if community else None
        print_rows(periods.listing(connection, community_id), columns, "No period yet.", as_json)


# --- what waits, what went wrong ------------------------------------------------------------------------


def _spool_list(state: str, as_json: bool) -> None:
    with opened() as site:
        rows = [{**plain(entry), "key": entry.key[:12]} for entry in site.spool.listing(state)]
        detail = "reason" if state == "held" else "subject"
        print_rows(rows, ("key", "received_at", "mail_from", "recipient", detail), f"Nothing is {state}.", as_json)


@_groups["hold"].command("list")
def hold_list(as_json: Json = False) -> None:
    """What is held, and why."""
    _spool_list("held", as_json)


Keys = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY]...", help="The keys, or their beginnings, as `list` shows them.")
]
AllOf = Annotated[str, typer.Option("--all-of", metavar="COMMUNITY", help="All that is held for this community.")]


def _decide(keys: Sequence[str] | None, all_of: str, choice: Choice, as_json: bool) -> None:
    """Decide about what is held, and print it; for people only what they did not say themselves."""
    if bool(keys) == bool(all_of):
        raise UsageError("Say which: keys as `tidings hold list` shows them, or --all-of COMMUNITY.")
    with opened() as site:
        if all_of:
            held = site.spool.listing("held", community_named(site, all_of).name)
        else:
            held = [site.spool.entry(key, "held") for key in keys or ()]
        done = site.desk().decide([entry.key for entry in held], choice)
    if as_json:
        print_lines(one.entry for one in done)
    elif choice.rule:
        typer.echo("\n".join(one.said for one in done))
    elif all_of:
        typer.echo(f"{len(done)} held messages.")


@_groups["hold"].command("accept")
def hold_accept(
    keys: Keys = None,
    all_of: AllOf = "",
    allow: Annotated[bool, typer.Option("--allow", help="Let pass what these senders write from now on.")] = False,
    as_json: Json = False,
) -> None:
    """Accept held messages; `serve` takes them in."""
    from tidings.intake.desk import Choice

    _decide(keys, all_of, Choice(verdict="accept", by=_BY, rule="allow" if allow else None), as_json)


@_groups["hold"].command("reject")
def hold_reject(
    keys: Keys = None,
    all_of: AllOf = "",
    reason: Annotated[str, typer.Option(metavar="TEXT", help="What the senders are told.")] = "",
    ban: Annotated[bool, typer.Option("--ban", help="Refuse what these senders write from now on.")] = False,
    as_json: Json = False,
) -> None:
    """Do not accept held messages, and tell their senders."""
    from tidings.communities.entries import line
    from tidings.intake.desk import Choice

    said = line(reason, "reason", 500) if reason else ""
    _decide(keys, all_of, Choice(verdict="reject", by=_BY, reason=said, rule="ban" if ban else None), as_json)


@_groups["hold"].command("discard")
def hold_discard(
    keys: Keys = None,
    all_of: AllOf = "",
    ban: Annotated[bool, typer.Option("--ban", help="Refuse what these senders write from now on.")] = False,
    as_json: Json = False,
) -> None:
    """Throw held messages away, and tell nobody."""
    from tidings.intake.desk import Choice

    _decide(keys, all_of, Choice(verdict="discard", by=_BY, rule="ban" if ban else None), as_json)


@_groups["shunt"].command("list")
def shunt_list(as_json: Json = False) -> None:
    """What Tidings failed on."""
    _spool_list("shunted", as_json)


@_groups["shunt"].command("show")
def shunt_show(key: Key, raw: Annotated[bool, typer.Option("--raw")] = False, as_json: Json = False) -> None:
    """A message that Tidings failed on, with the traceback."""
    with opened() as site:
        entry = site.spool.entry(key, "shunted")
        if raw:
            sys.stdout.buffer.write(site.spool.raw(entry.key))
        else:
            print_object(entry, as_json)


@_groups["shunt"].command("retry")
def shunt_retry(key: Key, as_json: Json = False) -> None:
    """Take it in again; `serve` does so at once."""
    with opened() as site:
        entry = site.spool.entry(key, "shunted")
        site.spool.retry(entry.key)
        print_changed(entry, as_json)


@_groups["shunt"].command("discard")
def shunt_discard(key: Key, as_json: Json = False) -> None:
    """Throw it away."""
    with opened() as site:
        entry = site.spool.entry(key, "shunted")
        site.desk().discard(entry.key)
        print_changed(entry, as_json)


@_groups["mailbox"].command("troubles")
def mailbox_troubles(as_json: Json = False) -> None:
    """The messages that could not be fetched, where they lie and why."""
    from tidings.mailer import mailboxes

    with opened() as site, site.spool_database.read() as connection:
        found = [{**asdict(one), "given_up": one.given_up} for one in mailboxes.troubles(connection)]
        print_rows(found, ("mailbox", "uid", "tries", "given_up", "error"), "All that came was fetched.", as_json)


@_groups["stopped"].command("list")
def stopped_list(as_json: Json = False) -> None:
    """The stopped addresses, since when and why."""
    from tidings.communities import standing

    with opened() as site, site.database.read() as connection:
        wave = standing.wave(connection, site.clock.now())
        rows = standing.stopped(connection)
        print_rows(rows, ("email", "stopped_at", "stopped_why", "probes"), "No address is stopped.", as_json)
        if wave and not as_json:
            typer.echo(f"A wave of bounces since {wave.started_at:%Y-%m-%d %H:%M} UTC, so none counts. {wave.reason}")


@_groups["stopped"].command("back")
def stopped_back(email: str, as_json: Json = False) -> None:
    """Send mail to an address again; what came back before counts no more."""
    from tidings.communities import standing

    with opened() as site, site.database.write() as connection:
        found = standing.address_at(connection, email)
        if found is None or not standing.bring_back(connection, found.id):
            raise NotFoundError(f"Mail to {email!r} is not stopped; see `tidings stopped list`.")
        print_object(standing.address_at(connection, email), as_json)


@_groups["stopped"].command("end-wave")
def stopped_end_wave(as_json: Json = False) -> None:
    """Let bounces count again, before a wave of them ends by itself."""
    from tidings.communities import standing

    with opened() as site, site.database.write() as connection:
        if not standing.end_wave(connection, site.clock.now()):
            raise NotFoundError("There is no wave of bounces now.")
        print_object({"ended_at": site.clock.now()}, as_json)


@app.command()
def queue(
    retry: Annotated[bool, typer.Option("--retry", help="Make all that waits due now.")] = False,
    paced: Annotated[bool, typer.Option("--paced", help="Only the domains that are sent little.")] = False,
    as_json: Json = False,
) -> None:
    """The outbox by state and destination, and the domains that are sent little because they put off too much."""
    from tidings.mailer import outbox, pace

    with opened() as site:
        if retry:
            with site.database.write() as connection:
                outbox.retry(connection, site.clock.now())
                pace.forget_all(connection)
        with site.database.read() as connection:
            slow = pace.listing(connection)
            if not paced:
                counts = outbox.counts(connection)
                print_rows(counts, ("state", "domain", "count", "route"), "The outbox is empty.", as_json)
    if paced or (slow and not as_json):
        print_rows(slow, ("domain", "since", "pause", "next_at", "said"), "No domain is sent less.", as_json)


@app.command()
def retract(message_id: Annotated[str, typer.Argument(metavar="MESSAGE-ID")], as_json: Json = False) -> None:
    """Send no more copies of a post; what was sent is sent, and the archive keeps it."""
    from tidings.mailer import outbox

    with opened() as site:
        with site.database.write() as connection:
            dropped = outbox.retract(connection, message_id.strip("<>"), site.clock.now())
        if as_json:
            print_json({"dropped": dropped})
        else:
            typer.echo(f"{dropped} copies that were to be sent are not.")


@app.command()
def why(
    message_id: Annotated[str, typer.Argument(metavar="MESSAGE-ID")],
    email: Annotated[str, typer.Argument(metavar="[EMAIL]")] = "",
    as_json: Json = False,
) -> None:
    """What was decided about a message and why; with EMAIL, why that member got it or not."""
    from tidings.operations import explain

    with opened() as site, site.database.read() as connection:
        steps = explain.why(connection, site.spool, message_id.strip("<>"), email or None)
    if not steps:
        raise NotFoundError(
            f"Nothing is known of {message_id}; it never came to this site, or waits in the spool unread."
        )
    if as_json:
        print_json(steps)
    else:
        print_table(steps, ("at", "what", "detail"), "")


@app.command("run-due")
def run_due(at: At = None, as_json: Json = False) -> None:
    """Do all that is due, once, and end."""
    with opened(at) as site:
        done = site.run_due()
        print_object(done, as_json)
    if done.failed:
        raise typer.Exit(1)


@app.command()
def check(
    quick: Annotated[
        bool, typer.Option("--quick", help="Only raw bytes, and whether posts are in threads and in search.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Verify the store; exit status 1 where something is wrong."""
    from tidings.operations import check as checking
    from tidings.operations.compare import compare

    with opened() as site, contextlib.closing(site.worker()) as worker:
        databases = dict.fromkeys((site.database, site.spool_database))
        findings = [one for database in databases for one in checking.check_log(database)]
        findings += checking.check(site.database)
        if not quick:
            named = {(one.community, one.message_id) for one in findings}
            differing = compare(site.database, worker, site.settings)
            findings += [one for one in differing if (one.community, one.message_id) not in named]
    print_rows(findings, ("community", "message_id", "problem"), "All is well.", as_json)
    if findings:
        raise typer.Exit(1)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Try all that the site needs, and say what to type where it is not there; exit status 1 where something failed."""
    from tidings.clock import SystemClock
    from tidings.mailer.resolver import SystemDns
    from tidings.operations import doctor as examining

    findings = []
    for finding in examining.examine(given.config, clock=SystemClock(), dns=SystemDns()):
        findings.append(finding)
        if not as_json:
            typer.echo(f"{finding.state:<8} {finding.check}: {finding.detail}")
            if finding.todo:
                typer.echo(f"{'':<8} -> {finding.todo}")
    if as_json:
        print_json(findings)
    if any(finding.state == "failed" for finding in findings):
        raise typer.Exit(1)


@app.command()
def rebuild(what: Annotated[str, typer.Argument(metavar="[threads|index|all]")] = "all", as_json: Json = False) -> None:
    """Make what is derived anew from the raw bytes."""
    from tidings.operations import check as checking

    with opened() as site, contextlib.ExitStack() as stack:
        worker = site.worker()
        stack.callback(worker.close)
        done = 0
        for done in checking.rebuild(site.database, worker, site.settings, checking.which(what)):  # noqa: B007
            pass
    print_object({"posts": done}, as_json)


@app.command()
def erase(
    email: str,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be erased.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Erase a person: what they wrote, and their name, address and words wherever else they stand. For good."""
    from tidings.communities.entries import parse_email
    from tidings.operations import erase as erasing

    if as_json and not (dry_run or yes):
        raise UsageError("With --json nothing is asked: say --dry-run or --yes.")
    with opened() as site, contextlib.ExitStack() as stack:
        worker = site.worker()
        stack.callback(worker.close)
        with site.database.read() as connection:
            person = erasing.find(connection, parse_email(email))
            posts = erasing.posts(connection)

        def run(act: bool) -> erasing.Report:
            erasure = erasing.Erasure(site=site, worker=worker, person=person, act=act)
            with _progress(posts, "erase" if act else "look") as advance:
                for done in erasure.run():
                    advance(done, done)
            return erasure.report()

        found = run(act=False)
        if not as_json:
            typer.echo(f"Addresses: {', '.join(person.emails)}\nNames: {', '.join(person.names) or 'none'}")
            for what, many in found.counts.items():
                typer.echo(f"{many:>8} {what}")
        if not found.counts:
            raise NotFoundError(f"Nothing of {email} is stored here.")
        if not dry_run:
            if not yes:
                typer.confirm("Erase this for good?", abort=True)
            found = run(act=True)
        if as_json:
            print_json({"erased": not dry_run, **asdict(person), "found": found.counts, "todo": found.todo})
        for what in () if as_json else found.todo:
            typer.echo(f"To do: {what}")


@_groups["config"].command("example")
def config_example() -> None:
    """Print config.example.toml."""
    typer.echo(settings_module.example(), nl=False)


@_groups["config"].command("postfix")
def config_postfix(
    shared: Annotated[bool, typer.Option("--shared", help="The domain has other mailboxes too.")] = False,
) -> None:
    """Print what a Postfix in front needs in its main.cf and master.cf."""
    from tidings.communities import directory
    from tidings.operations import neighbours

    with opened() as site, site.database.read() as connection:
        names = [one.name for one in directory.communities(connection) if one.domain is None]
        typer.echo(neighbours.postfix(site.settings, names, shared=shared), nl=False)


if __name__ == "__main__":
    main()
