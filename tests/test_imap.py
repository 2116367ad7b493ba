"""IMAP mailboxes on a real Dovecot: fetched, kept, marked, whatever happens in between."""

import re
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from imapclient import SEEN
from sqlalchemy import select

from tests.dovecot import Dovecot
from tests.fetching import DOMAIN, MAX_SIZE, QUICK, fetcher, held, mail, mailbox, running, spooled, troubles
from tests.imap_kills import Kill, KillingProxy
from tests.running import RunningSite, message, settings_for, wait_until
from tests.smtp_sink import SmtpSink
from tidings.communities import joining
from tidings.database import tables
from tidings.database.engine import Database
from tidings.errors import SettingsError
from tidings.mailer.addresses import Addresses
from tidings.mailer.door import Admitted
from tidings.mailer.imap_in import Fetcher, mailbox_name
from tidings.mailer.imap_session import RefusedError
from tidings.mailer.spool import Spool
from tidings.settings import Settings, parse

pytestmark = [pytest.mark.needs("dovecot"), pytest.mark.slow]
_NUMBERS = count(1)


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    with Dovecot() as server:
        yield server


@pytest.fixture
def user() -> str:
    """A mailbox that nobody used before."""
    return f"box{next(_NUMBERS)}@{DOMAIN}"


def rows(database: Database) -> list[tuple[str, str, str, str]]:
    """Of what waits in the spool: return path, recipient, way and subject's number."""
    found = [(one.mail_from, one.recipient, one.via, one.raw) for one in Spool(database).waiting(1000)]
    return [(sender, to, via, re.findall(rb"Subject: Mail (\d+)", raw)[0].decode()) for sender, to, via, raw in found]


# --- fetched and kept -------------------------------------------------------------------------------------------------


def test_mail_is_kept_in_the_spool_and_flagged_as_seen(database: Database, dovecot: Dovecot, user: str) -> None:
    dovecot.append(user, mail(1), mail(2))
    made = fetcher(database, mailbox(dovecot.imap_port, user))
    assert made.run_once() == 2
    assert spooled(database) == [mail(1), mail(2)]
    assert rows(database)[0] == ("ana@example.org", "pump@lists.example.org", "imap", "1")
    assert dovecot.unseen(user) == 0
    assert dovecot.messages(user) == [mail(1), mail(2)]


def test_mail_is_moved_to_a_folder_that_is_made_where_it_is_missing(
    database: Database, dovecot: Dovecot, user: str
) -> None:
    dovecot.append(user, mail(1), mail(2))
    made = fetcher(database, mailbox(dovecot.imap_port, user, move_to="Erledigt/Größe & Maß"))
    assert made.run_once() == 2
    assert dovecot.messages(user) == []
    assert dovecot.messages(user, "Erledigt/Größe & Maß") == [mail(1), mail(2)]
    with dovecot.client(user) as owner:
        assert "Erledigt/Größe & Maß" in [name for _, _, name in owner.list_sub_folders()], "owners see it"


def test_nothing_is_fetched_twice_and_what_a_person_has_read_is_fetched_too(
    database: Database, dovecot: Dovecot, user: str
) -> None:
    made = fetcher(database, mailbox(dovecot.imap_port, user))
    dovecot.append(user, mail(1))
    assert (made.run_once(), made.run_once()) == (1, 0)
    dovecot.append(user, mail(2))
    with dovecot.client(user) as owner:
        owner.add_flags(owner.search(), [SEEN])
    assert (made.run_once(), made.run_once()) == (1, 0)
    assert spooled(database) == [mail(1), mail(2)]


def test_hundreds_of_messages_come_in_their_order(database: Database, dovecot: Dovecot, user: str) -> None:
    sent = [mail(number) for number in range(130)]
    dovecot.append(user, *sent)
    assert fetcher(database, mailbox(dovecot.imap_port, user, move_to="Done")).run_once() == 130
    assert spooled(database) == sent
    assert len(dovecot.messages(user, "Done")) == 130


def test_large_messages_are_fetched_few_at_a_time(sqlite_database: Database, dovecot: Dovecot, user: str) -> None:
    sent = [mail(number, body="x" * 3_000_000) for number in range(4)]
    dovecot.append(user, *sent)
    made = fetcher(sqlite_database, mailbox(dovecot.imap_port, user), max_size=4_000_000)
    assert made.run_once() == 4
    with sqlite_database.read() as connection:
        assert connection.execute(select(tables.spool.c.raw).order_by(tables.spool.c.id)).scalars().all() == sent
    assert dovecot.unseen(user) == 0


def test_line_ends_are_made_cr_lf_whatever_came(sqlite_database: Database, dovecot: Dovecot, user: str) -> None:
    dovecot.append(user, mail(1).replace(b"\r\n", b"\n"), mail(2, body="bare\rcr"))
    fetcher(sqlite_database, mailbox(dovecot.imap_port, user)).run_once()
    assert spooled(sqlite_database) == [mail(1), mail(2, body="bare\r\ncr")]


@pytest.mark.acceptance(102)
def test_what_is_too_big_stays_unread_where_it_is_and_is_listed(
    database: Database, dovecot: Dovecot, user: str
) -> None:
    big = mail(1, body="x" * MAX_SIZE)
    dovecot.append(user, big, mail(2))
    made = fetcher(database, mailbox(dovecot.imap_port, user, move_to="Done"))
    assert (made.run_once(), made.run_once()) == (1, 0)
    assert dovecot.messages(user) == [big]
    assert dovecot.unseen(user) == 1
    assert [(one.uid, one.given_up) for one in troubles(database)] == [(1, True)]
    with dovecot.client(user) as owner:
        owner.delete_messages([1])
        owner.expunge()
    made.run_once()
    assert troubles(database) == [], "a person took it away"


def test_a_folder_other_than_the_inbox_is_read(sqlite_database: Database, dovecot: Dovecot, user: str) -> None:
    with dovecot.client(user) as owner:
        owner.create_folder("Lists (old)/pump & co")
        owner.append("Lists (old)/pump & co", mail(1))
    fetcher(sqlite_database, mailbox(dovecot.imap_port, user, folder="Lists (old)/pump & co")).run_once()
    assert spooled(sqlite_database) == [mail(1)]


def test_the_wrong_password_is_a_refusal(sqlite_database: Database, dovecot: Dovecot, user: str) -> None:
    with pytest.raises(RefusedError, match="refuses the sign-in"):
        fetcher(sqlite_database, mailbox(dovecot.imap_port, user), password="wrong").run_once()


# --- the envelope -----------------------------------------------------------------------------------------------------


def test_delivered_mail_has_the_envelope_that_the_server_wrote_down(
    sqlite_database: Database, dovecot: Dovecot
) -> None:
    user = f"pump@{DOMAIN}"  # to which its details are delivered too
    dovecot.deliver("bounces@example.org", f"pump@{DOMAIN}", mail(1, to="everybody@example.org"))
    dovecot.deliver("ana@example.org", f"pump+r.k3dq7x@{DOMAIN}", mail(2))
    dovecot.deliver("", f"pump+b.abc@{DOMAIN}", mail(3, to="someone@example.org"))
    fetcher(sqlite_database, mailbox(dovecot.imap_port, user)).run_once()
    assert rows(sqlite_database) == [
        ("bounces@example.org", f"pump@{DOMAIN}", "imap", "1"),
        ("ana@example.org", f"pump+r.k3dq7x@{DOMAIN}", "imap", "2"),
        ("", f"pump+b.abc@{DOMAIN}", "imap", "3"),
    ]


def test_mail_for_several_communities_waits_once_for_each(
    sqlite_database: Database, dovecot: Dovecot, user: str
) -> None:
    dovecot.append(user, mail(1, to=f"pump@{DOMAIN}, x@example.org, open@{DOMAIN}"))
    assert fetcher(sqlite_database, mailbox(dovecot.imap_port, user)).run_once() == 1
    assert [row[1] for row in rows(sqlite_database)] == [f"pump@{DOMAIN}", f"open@{DOMAIN}"]


def test_mail_for_nobody_is_held_and_never_dropped(sqlite_database: Database, dovecot: Dovecot, user: str) -> None:
    dovecot.append(user, mail(1, to="someone@example.org"))
    fetcher(sqlite_database, mailbox(dovecot.imap_port, user)).run_once()
    assert spooled(sqlite_database) == []
    [entry] = held(sqlite_database)
    assert (entry.recipient, entry.subject, entry.message_id) == (user, "Mail 1", "mail1@example.org")
    assert entry.author == "ana@example.org"
    assert entry.reason == "None of the addresses in its header is one of ours."
    assert Spool(sqlite_database).raw(entry.key) == mail(1, to="someone@example.org")
    assert dovecot.unseen(user) == 0


# --- the thread -------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(101)
def test_new_mail_comes_as_soon_as_the_server_tells_of_it(
    sqlite_database: Database, dovecot: Dovecot, user: str
) -> None:
    with running(fetcher(sqlite_database, mailbox(dovecot.imap_port, user, move_to="Done"))) as made:
        wait_until(lambda: made.status.last_success is not None, "the first look")
        for number in range(3):
            dovecot.append(user, mail(number))
            wait_until(lambda number=number: len(spooled(sqlite_database)) == number + 1, "the mail")
        wait_until(lambda: dovecot.messages(user) == [], "the move")
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("imap ")] == []


def test_whoever_waits_for_mail_is_told_of_each_commit(sqlite_database: Database, dovecot: Dovecot, user: str) -> None:
    told = threading.Event()
    made = Fetcher(
        mailbox(dovecot.imap_port, user),
        password="secret",
        spool_database=sqlite_database,
        knows=lambda _: True,
        post_address=lambda _: None,
        clock=fetcher(sqlite_database, mailbox(1))._desk.clock,
        max_size=MAX_SIZE,
        on_commit=told.set,
        timing=QUICK,
    )
    with running(made):
        wait_until(lambda: made.status.last_success is not None, "the first look")
        assert not told.is_set()
        dovecot.append(user, mail(1))
        assert told.wait(20)
        assert spooled(sqlite_database) == [mail(1)]


def test_stopping_takes_no_time(sqlite_database: Database, dovecot: Dovecot, user: str) -> None:
    made = fetcher(sqlite_database, mailbox(dovecot.imap_port, user))
    with running(made):
        wait_until(lambda: made.status.last_success is not None, "the first look")
        began = time.monotonic()
    assert time.monotonic() - began < 3


@pytest.mark.acceptance(101)
def test_a_server_that_was_restarted_is_found_again(sqlite_database: Database, user: str) -> None:
    with Dovecot() as server, running(fetcher(sqlite_database, mailbox(server.imap_port, user))) as made:
        wait_until(lambda: made.status.last_success is not None, "the first look")
        with server.down():
            wait_until(lambda: made.status.error != "", "the failure")
        server.append(user, mail(1))
        wait_until(lambda: spooled(sqlite_database) == [mail(1)], "the mail")
        wait_until(lambda: made.status.error == "", "its status")


def test_two_fetchers_of_one_mailbox_keep_nothing_twice(database: Database, dovecot: Dovecot, user: str) -> None:
    with running(fetcher(database, mailbox(dovecot.imap_port, user, move_to="Done"))):
        other = fetcher(database, mailbox(dovecot.imap_port, user, move_to="Done"))
        other._thread.name = "other"
        other.start()
        for number in range(30):
            dovecot.append(user, mail(number))
        wait_until(lambda: dovecot.messages(user) == [], "the move")
        other.stop()
    assert sorted(spooled(database)) == sorted(mail(number) for number in range(30))
    assert troubles(database) == []


# --- UIDs that begin anew ---------------------------------------------------------------------------------------------


@pytest.mark.acceptance(100)
def test_a_folder_that_was_made_anew_gives_nothing_twice(database: Database, dovecot: Dovecot, user: str) -> None:
    made = fetcher(database, mailbox(dovecot.imap_port, user, folder="Box"))
    with dovecot.client(user) as owner:
        owner.create_folder("Box")
        for number in range(5):
            owner.append("Box", mail(number))
        assert made.run_once() == 5
        before = owner.folder_status("Box", ["UIDVALIDITY"])
        owner.delete_folder("Box")
        owner.create_folder("Box")
        assert owner.folder_status("Box", ["UIDVALIDITY"]) != before
        for number in (3, 7, 1):
            owner.append("Box", mail(number))
    assert made.run_once() == 1
    assert spooled(database) == [*(mail(number) for number in range(5)), mail(7)]
    with dovecot.client(user, "Box") as owner:
        assert owner.search("UNSEEN") == []


# --- one message by several ways --------------------------------------------------------------------------------------

MORNING = datetime(2026, 10, 14, 9, 0, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.mark.acceptance(104)
def test_a_message_by_smtp_and_imap_or_twice_in_the_mailbox_is_one_post(
    tmp_path: Path, dovecot: Dovecot, user: str
) -> None:
    with RunningSite(settings_for(tmp_path), MORNING, parts=("smtp", "worker")) as site:
        with site.site.database.write() as connection:
            joining.add_community(connection, name="pump", title="Pump", zone="UTC", now=site.clock.now())
            joining.add_member(connection, community="pump", email="ana@example.org", now=site.clock.now())
        made = fetcher(site.site.spool_database, mailbox(dovecot.imap_port, user))
        raw = message("ana@example.org", f"pump@{DOMAIN}", "Seal leaks", "It drips.", "seal@example.org")
        site.post(raw)
        wait_until(site.settled, "the post by SMTP")
        whole = raw.as_bytes().replace(b"\n", b"\r\n")
        # As the list's copy and the one of a Bcc: the same message on two ways.
        dovecot.append(user, b"Received: from a.example.org\r\n" + whole, b"Received: from b.example.org\r\n" + whole)
        assert made.run_once() == 2
        wait_until(site.settled, "the copies by IMAP")
        with site.site.database.read() as connection:
            posts = connection.execute(select(tables.post.c.message_id)).scalars().all()
            verdicts = connection.execute(select(tables.decision.c.verdict).order_by(tables.decision.c.id)).scalars()
            assert (posts, list(verdicts)) == (["seal@example.org"], ["accept", "duplicate", "duplicate"])


# --- killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.acceptance(98)
@pytest.mark.parametrize("move_to", ["Done", ""])
def test_killed_at_any_command_it_loses_nothing_and_keeps_nothing_twice(
    sqlite_database: Database, dovecot: Dovecot, user: str, move_to: str
) -> None:
    sent: list[bytes] = []

    def fetch(kill: Kill | None) -> KillingProxy:
        new = [mail(len(sent) + number) for number in range(2)]
        sent.extend(new)
        dovecot.append(user, *new)
        with KillingProxy(dovecot.imap_port, kill) as proxy:
            assert sqlite_database.path is not None
            proxy.fetch(sqlite_database.path, user, move_to)
        return proxy

    fetch(None)
    whole = fetch(None)
    assert spooled(sqlite_database) == sent
    [bodies] = [n for n, line in enumerate(whole.commands, 1) if b"BODY.PEEK" in line]
    [mark] = [n for n, line in enumerate(whole.commands, 1) if b"UID MOVE" in line or b"UID STORE" in line]
    kills = [Kill(command=n, moment="before") for n in (bodies, mark, mark + 1)]
    kills += [Kill(command=n, moment="answered") for n in (bodies, mark)]
    # While it is kept: to fetch, to commit and to ask for the next thing takes some milliseconds.
    kills += [Kill(command=bodies, moment="told", after=one / 1000) for one in (0, 3, 6, 12)]
    proxies = [fetch(kill) for kill in kills]
    assert [kill for kill, proxy in zip(kills, proxies, strict=True) if not proxy.fired] == []
    fetch(None)
    assert sorted(spooled(sqlite_database)) == sorted(sent)
    assert troubles(sqlite_database) == []
    if move_to:
        assert dovecot.messages(user) == []
        assert sorted(dovecot.messages(user, move_to)) == sorted(sent)
    else:
        assert dovecot.unseen(user) == 0


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(105)
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"host": ""}, "imap.host"),
        ({"user": ""}, "imap.user"),
        ({"user": "ana\r\nA1 DELETE INBOX"}, "imap.user"),
        ({"folder": ""}, "imap.folder"),
        ({"move_to": "INBOX"}, "imap.move_to is the folder that is read"),
        ({"recipient_headers": ["X-To:"]}, "no name of a header field"),
        ({"recipient_headers": ["X To"]}, "no name of a header field"),
        ({"recipient_headers": [""]}, "no name of a header field"),
        ({"folder": "x" * 250}, "more than 255 characters"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_their_key(changes: dict[str, str], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        mailbox_name(mailbox(993, **changes))  # type: ignore[arg-type]


@pytest.mark.acceptance(105)
def test_a_password_with_a_line_end_is_refused(sqlite_database: Database) -> None:
    with pytest.raises(SettingsError, match="has a control character"):
        fetcher(sqlite_database, mailbox(993), password="secret\r\nA1 DELETE INBOX")


def test_a_mailbox_is_called_by_user_host_and_folder() -> None:
    assert mailbox_name(mailbox(993, "pump@example.org", folder="Päckchen (alt)")) == (
        "pump@example.org@127.0.0.1/Päckchen (alt)"
    )


# --- docs/mailbox-only.md ---------------------------------------------------------------------------------------------


def _page(folder: Path, dovecot: Dovecot, sink: SmtpSink) -> Settings:
    """The settings of the page, for the servers of this machine."""
    page = (Path(__file__).parent.parent / "docs/mailbox-only.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    settings = parse(block)
    (folder / "mailbox-password").write_text("secret\n")
    replace = msgspec.structs.replace
    return replace(
        settings,
        site=replace(settings.site, data_dir=str(folder)),
        imap=[replace(box, host="127.0.0.1", port=dovecot.imap_port, tls="none") for box in settings.imap],
        delivery=replace(settings.delivery, host="127.0.0.1", port=sink.port, tls="none", user=""),
    )


@pytest.mark.slow
def test_a_site_that_has_a_mailbox_only_does_what_its_page_says(tmp_path: Path, dovecot: Dovecot) -> None:
    with SmtpSink() as sink:
        settings = _page(tmp_path, dovecot, sink)
        [box] = settings.imap
        post, detail = box.user, box.user.replace("@", "+help@")
        with RunningSite(settings, MORNING, parts=("worker",)) as site:
            with site.site.database.write() as connection:
                joining.add_community(connection, name=box.community, title="Pump", zone="UTC", now=site.clock.now())
                for email in ("ana@example.org", "li@example.org"):
                    joining.add_member(connection, community=box.community, email=email, now=site.clock.now())
            door = site.site.door()
            addresses = Addresses(settings.site)

            def post_address(name: str) -> str | None:
                community = site.site.communities.find(name)
                return addresses.of(community).post if community else None

            made = Fetcher(
                box,
                password=settings.path(box.password_file).read_text().splitlines()[0],
                spool_database=site.site.spool_database,
                knows=lambda address: isinstance(
                    door.recipient(address, now=site.clock.now(), asker=address), Admitted
                ),
                post_address=post_address,
                clock=site.clock,
                max_size=settings.smtp.max_size,
                timing=QUICK,
            )
            with running(made):
                dovecot.deliver("ana@example.org", post, mail(1, to=post))
                dovecot.deliver("ana@example.org", post, mail(2, to="colleagues@example.org"))
                dovecot.deliver("ana@example.org", detail, mail(3, to=detail))
                dovecot.append(post, mail(4, to=post.replace("@", "+r.forged@")))
                wait_until(lambda: len(dovecot.messages(post, box.move_to)) == 4, "the moves")
                wait_until(site.settled, "intake")
            wait_until(lambda: sink.recipients().count("li@example.org") == 2, "the copies")
            copies = [one for one in sink.messages if one.recipients == ("li@example.org",)]
            assert all(f"List-Post: <mailto:{post}>".encode() in one.data for one in copies)
            with site.site.database.read() as connection:
                rows = connection.execute(select(tables.post.c.message_id).order_by(tables.post.c.id)).scalars().all()
                assert rows == ["mail1@example.org", "mail2@example.org"]
                query = select(tables.decision.c.recipient).order_by(tables.decision.c.id)
                assert connection.execute(query).scalars().all() == [post, post, detail]
            [waiting] = held(site.site.spool_database)
            assert (waiting.recipient, waiting.message_id) == (post, "mail4@example.org")
            assert waiting.reason is not None
            assert "whose token is not one of ours" in waiting.reason
        assert dovecot.messages(post) == []
