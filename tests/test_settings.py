"""The settings: every key typed, with a default and docs; what cannot be is refused with the key and what to write."""

import re
import smtplib
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.running import RunningSite, settings_for
from tests.smtp_sink import STALL, SmtpSink
from tidings.app import open_site, push_clock
from tidings.clock import FixedClock
from tidings.communities import joining
from tidings.errors import MessageTooComplexError, SettingsError
from tidings.intake.filing import arrival_of
from tidings.mailer import outbox
from tidings.mailer import parse as mail
from tidings.settings import LimitSettings, Settings, example, host_port, keys, load, parse, tables

NOW = datetime(2026, 10, 14, 7, 0, tzinfo=UTC)
PUMP, ANA = "pump@lists.example.org", "ana@example.org"


def refused(text: str) -> str:
    with pytest.raises(SettingsError) as refusal:
        parse(text, "tidings.toml")
    assert str(refusal.value).startswith("tidings.toml")
    return str(refusal.value)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ('[site]\ndomian = "x"', "domian", "domain"),
        ("[smtp]\nmaxsize = 1", "maxsize", "max_size"),
        ("[limits]\nparse_second = 1", "parse_second", "parse_seconds"),
        ('[delivery]\nhostname = "x"', "hostname", "host"),
        ("[web]\nq = 1", "q", "listen"),  # near to nothing, and still told what there is
    ],
)
def test_an_unknown_key_is_refused_with_its_table_and_the_nearest_name(text: str, key: str, nearest: str) -> None:
    table = text.split("]")[0] + "]"
    assert refused(text) == f"tidings.toml: unknown key {key!r} in {table}; did you mean {nearest!r}?"


@pytest.mark.parametrize(("name", "nearest"), [("smpt", "smtp"), ("limit", "limits"), ("databse", "database")])
def test_an_unknown_table_is_refused_with_the_nearest_name(name: str, nearest: str) -> None:
    said = f"tidings.toml: unknown key {name!r} in the file; did you mean {nearest!r}?"
    assert refused(f"[{name}]") == said
    assert refused(f"{name} = 1") == said


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('[smtp]\nmax_size = "25 MB"', "smtp.max_size"),
        ("[site]\nname = 5", "site.name"),
        ('[site]\nadmins = "ana@example.org"', "site.admins"),
        ("[site]\nadmins = [5]", "site.admins[0]"),
        ('[site]\ndemo = "yes"', "site.demo"),
        ('[delivery]\ntls = "ssl"', "delivery.tls"),
        ("[delivery]\nport = 70000", "delivery.port"),
        ("[limits]\nparts = 0", "limits.parts"),
        ("smtp = 25", "smtp"),
    ],
)
def test_a_value_of_the_wrong_type_or_size_is_refused_with_its_path(text: str, path: str) -> None:
    assert f"`{path}`" in refused(text)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("https://api.example.org/v1", ""),
        ("http://127.0.0.1:11434/v1", ""),
        ("http://[::1]:11434/v1", ""),
        ("http://models.example.org/v1", "in the clear; write https"),
        ("", "is no address of an API"),
        ("api.example.org/v1", "is no address of an API"),
        ("ftp://api.example.org/v1", "is no address of an API"),
        ("https://user:key@api.example.org/v1", "is no address of an API"),
        ("https://api.example.org/v1?key=x", "is no address of an API"),
        ("https://[api/v1", "is no address of an API"),
    ],
)
def test_a_model_is_reached_encrypted_or_on_this_machine(url: str, complaint: str) -> None:
    text = f'[summary]\nprovider = "openai"\nmodel = "small"\nurl = "{url}"'
    if complaint:
        assert complaint in refused(text)
    else:
        assert parse(text).summary.url == url


def test_a_model_has_a_name_and_is_off_by_default() -> None:
    assert parse("").summary.provider == "extractive"
    assert "summary.model is empty" in refused('[summary]\nprovider = "openai"\nurl = "https://api.example.org/v1"')


@pytest.mark.parametrize("domain", ["Lists.example.org", "", "lists example.org", "a@example.org", "example.org."])
def test_a_domain_that_can_be_no_mail_domain_is_refused(domain: str) -> None:
    assert f"site.domain {domain!r} is no domain name in lower case" in refused(f'[site]\ndomain = "{domain}"')


def test_a_zone_that_is_none_is_refused_before_anybody_waits_for_a_digest() -> None:
    message = refused('[site]\nzone = "CET+1"')
    assert "site.zone" in message
    assert "'CET+1'" in message


HOSPITAL = 'name = "hospital"\nhost = "mail.hospital.example"\ndomains = ["hospital.example"]\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('name = "a"\ndomains = ["a.example"]', "route a has no host"),
        ('name = "a"\nhost = "mail.example"', "route a has no domains"),
        (HOSPITAL.replace('["h', '["H'), "'Hospital.example' is no domain name in lower"),
        (HOSPITAL.replace('["h', '["ana@h'), "is no domain name in lower case"),
        (HOSPITAL.replace('["hospital.example"]', '["hospital.example."]'), "is no domain name in lower case"),
        (HOSPITAL.replace('"hospital"', '"The hospital"'), "route.name 'The hospital' is no name"),
        (HOSPITAL.partition("\n")[2], "route.name '' is no name"),
        (f"{HOSPITAL}[[route]]\n{HOSPITAL}", "or that of two routes"),
        (
            HOSPITAL + "[[route]]\n" + HOSPITAL.replace('"hospital"', '"other"'),
            "stands in two routes, hospital and other",
        ),
        (HOSPITAL + 'user = "x"\n', "route hospital: user would go to 'mail.hospital.example' in the clear"),
        (HOSPITAL + 'user = "x"\ntls = "try"\n', "route hospital: user would go to"),
        (HOSPITAL + "port = 0\n", "`route[0].port`"),
    ],
)
def test_a_route_that_can_carry_nothing_or_would_give_its_password_away_is_refused(text: str, words: str) -> None:
    assert words in refused(f"[[route]]\n{text}")


def test_a_user_goes_to_another_machine_by_tls_only_where_that_is_not_said_to_be_off() -> None:
    user = 'user = "tidings"\n'
    elsewhere, here = f'[delivery]\nhost = "mail.example.org"\n{user}', f'[delivery]\nhost = "127.0.0.1"\n{user}'
    assert "delivery.user would go to 'mail.example.org' in the clear" in refused(f'{elsewhere}tls = "try"')
    for text in (f'{here}tls = "try"', elsewhere, f'{elsewhere}tls = "starttls"'):
        assert parse(text).delivery.user == "tidings"
    for tls in ("starttls", "tls"):
        (route,) = parse(f'[[route]]\n{HOSPITAL}{user}tls = "{tls}"').route
        assert (route.user, route.tls) == ("tidings", tls)


def test_what_is_no_toml_is_refused_with_the_place() -> None:
    assert "is not TOML" in refused("[site\n")
    assert "line 1" in refused("[site\n")


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"No such file.*tidings init"):
        load(tmp_path / "tidings.toml")
    (tmp_path / "latin.toml").write_bytes('[site]\nname = "Pumpenräder"\n'.encode("latin-1"))
    with pytest.raises(SettingsError, match="it is not UTF-8"):
        load(tmp_path / "latin.toml")


# --- what they say ---------------------------------------------------------------------------------------------------


def test_an_empty_file_gives_the_defaults() -> None:
    assert parse("") == Settings()


def test_settings_cannot_be_changed_once_they_are_read() -> None:
    with pytest.raises(AttributeError):
        parse("").site.name = "Other"  # type: ignore[misc]


def test_the_folder_of_the_data_is_relative_to_the_file(tmp_path: Path) -> None:
    config = tmp_path / "etc" / "tidings.toml"
    config.parent.mkdir()
    config.write_text('[site]\ndata_dir = "../data"\n')
    settings = load(config)
    assert Path(settings.site.data_dir).resolve() == tmp_path / "data"
    assert settings.path("outbox").resolve() == tmp_path / "data" / "outbox"
    assert settings.path("/srv/outbox") == Path("/srv/outbox")

    config.write_text('[site]\ndata_dir = "/srv/tidings"\n')
    assert load(config).site.data_dir == "/srv/tidings"


def test_without_a_folder_the_data_stands_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "tidings.toml").write_text("")
    assert Path(load(tmp_path / "tidings.toml").site.data_dir) == tmp_path


# --- the example -----------------------------------------------------------------------------------------------------


def test_the_example_has_every_key_with_its_docs_and_reads_as_the_defaults() -> None:
    text = example()
    assert parse(text) == Settings()
    text = re.sub(r"(?m)^# (?=\[\[|\w+ = )", "", text)  # a table that may be repeated stands there as a comment
    given_keys = {table: list(one_table(values)) for table, values in tomllib.loads(text).items()}
    assert given_keys == {table: [key.name for key in keys() if key.table == table] for table in tables()}
    for key in keys():
        assert f"\n# {key.doc}\n{key.name} = " in text


def one_table(values: Any) -> dict[str, Any]:
    """A table of a file, or the only one of those that may be repeated."""
    (found,) = values if isinstance(values, list) else [values]
    return dict(found)


@given(
    name=st.text(st.characters(exclude_categories=("Cs", "Cc"))),
    admins=st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc")))),
)
def test_the_example_with_values_of_a_site_reads_as_those_values(name: str, admins: list[str]) -> None:
    made = parse(example({"name": name, "admins": admins, "domain": "lists.example.net"}))
    assert (made.site.name, made.site.admins, made.site.domain) == (name, admins, "lists.example.net")
    assert made.smtp == Settings().smtp


def test_a_value_for_the_site_is_none_for_a_key_of_the_same_name_elsewhere() -> None:
    assert parse(example({"url": "x", "host": "mail.example.org"})) == Settings()


# --- HOST:PORT -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("127.0.0.1:8025", ("127.0.0.1", 8025)),
        ("mail.example.org:0", ("mail.example.org", 0)),
        ("[::1]:25", ("::1", 25)),
        ("[2001:db8::1]:65535", ("2001:db8::1", 65535)),
        (":8080", ("", 8080)),
    ],
)
def test_a_place_to_listen_is_host_and_port(listen: str, expected: tuple[str, int]) -> None:
    assert host_port(listen) == expected


@pytest.mark.parametrize(
    "listen", ["127.0.0.1", "8025", "127.0.0.1:", "127.0.0.1:smtp", "127.0.0.1:65536", "[::1]", ""]
)
def test_a_place_without_a_port_is_refused(listen: str) -> None:
    with pytest.raises(SettingsError, match="HOST:PORT"):
        host_port(listen)


# --- what keys change, where no other test turns them -----------------------------------------------------------------

HEAD = b"From: ana@example.org\nSubject: Seal\n"
NESTED = b'Content-Type: multipart/mixed; boundary="a"\n\n--a\nContent-Type: multipart/mixed; boundary="b"\n\n--b\n'
NESTED += b"Content-Type: text/plain\n\nWhich seal?\n--b--\n--a--\n"


def read_with(raw: bytes, **limits: int) -> str:
    """The text that is shown of a message, or why it is not read."""
    try:
        return mail.parse(raw, LimitSettings(**limits)).text
    except MessageTooComplexError as error:
        return str(error)


@pytest.mark.parametrize(
    ("limit", "raw", "usual", "bounded"),
    [
        ("header_bytes", HEAD + b"X-Long: " + b"x" * 1024 + b"\n\nHello.\n", "Hello.", "larger than 1024 bytes"),
        ("field_bytes", HEAD + b"X-Long: " + b"x" * 1000 + b"\n\nHello.\n", "Hello.", "larger than 998 bytes"),
        ("fields", HEAD + b"X-A: 1\n" * 9 + b"\nHello.\n", "Hello.", "more than 10 header fields"),
        ("depth", HEAD + NESTED, "Which seal?", ""),
        ("parts", HEAD + NESTED, "Which seal?", ""),
        ("text_bytes", HEAD + b"\n" + b"Hello. " * 200, "Hello. " * 200, "Hello. " * 100),
    ],
)
def test_a_limit_of_the_parser_bounds_what_it_is_named_for(limit: str, raw: bytes, usual: str, bounded: str) -> None:
    least = {"header_bytes": 1024, "field_bytes": 998, "fields": 10, "depth": 1, "parts": 1, "text_bytes": 1024}
    shown = read_with(raw)
    assert usual.strip() in shown
    cut = read_with(raw, **{limit: least[limit]})
    assert bounded.strip() in cut
    assert usual.strip() not in cut


def test_the_last_references_count_and_their_number_is_set() -> None:
    message = mail.parse(HEAD + b"References: <1@x> <2@x> <3@x>\n\nHello.\n", LimitSettings())

    def parents(references: int) -> list[str]:
        settings = Settings(limits=LimitSettings(references=references))
        now = datetime.now(UTC)
        arrival = arrival_of(message, settings, message_id="4@x", post_id=1, date=now, answers=None)
        return [candidate.message_id for candidate in arrival.candidates]

    assert parents(100) == ["3@x", "2@x", "1@x"]
    assert parents(2) == ["3@x", "2@x"]


def changed(settings: Settings, table: str, **values: Any) -> Settings:
    return replace(settings, **{table: replace(getattr(settings, table), **values)})


def test_the_limits_of_the_listener_are_set(tmp_path: Path) -> None:
    settings = changed(
        settings_for(tmp_path), "smtp", max_size=1024, max_recipients=1, max_received=1, max_connections=1, timeout=1
    )
    with RunningSite(settings, NOW, parts=("smtp",)) as running:
        with running.site.database.write() as connection:
            joining.add_community(connection, name="pump", title="Pump", zone="UTC", posting="open", now=NOW)
        with running.smtp() as client:
            assert b"SIZE 1024" in client.ehlo()[1]
            with pytest.raises(smtplib.SMTPConnectError, match="421"):
                running.smtp()
            client.mail(ANA)
            assert client.rcpt(PUMP)[0] == 250
            assert client.rcpt("pump+owner@lists.example.org")[0] == 452
            assert client.data(f"{HEAD.decode()}Received: x\nReceived: y\n\nHello.\n")[0] == 554
            client.mail(ANA)
            client.rcpt(PUMP)
            assert client.data(HEAD.decode() + "\n" + "Hello.\n" * 200)[0] == 552
            client.mail(ANA)
            client.rcpt(PUMP)
            assert client.data(f"{HEAD.decode()}Received: x\n\nHello.\n")[0] == 250
            assert client.sock is not None
            client.sock.settimeout(20)
            assert client.sock.recv(200)[:3] in (b"", b"421"), "after a second of silence"
            client.close()


def test_mail_out_goes_to_the_maildir_of_the_settings(tmp_path: Path) -> None:
    site = open_site(settings_for(tmp_path, more='[delivery]\nmaildir = "sent/here"\n'), FixedClock(NOW))
    with site.database.write() as connection:
        outbox.add_notice(connection, key="1", recipient=ANA, raw=HEAD + b"\nHello.\n", now=NOW)
    assert site.deliverer().run_once() == 1
    site.close()
    assert len(list((tmp_path / "sent" / "here" / "new").iterdir())) == 1
    assert not (tmp_path / "outbox").exists()


@pytest.mark.parametrize(("hours", "state"), [(1, "failed"), (3, "queued")])
def test_a_delivery_is_given_up_after_so_many_hours(hours: int, state: str, tmp_path: Path) -> None:
    clock = FixedClock(NOW)
    with SmtpSink() as sink:
        sink.on("RCPT", "450 4.2.0 later")
        site = open_site(settings_for(tmp_path, sink, more=f"give_up_after = {hours}\n"), clock)
        with site.database.write() as connection:
            outbox.add_notice(connection, key="1", recipient=ANA, raw=HEAD + b"\nHello.\n", now=NOW)
        clock.advance(timedelta(hours=2))
        site.deliverer().run_once()
        with site.database.read() as connection:
            assert [(one.state, one.count) for one in outbox.counts(connection)] == [(state, 1)]
        site.close()


def test_a_host_that_says_nothing_is_waited_for_as_long_as_is_set(tmp_path: Path) -> None:
    with SmtpSink() as sink:
        sink.on("RCPT", STALL)
        site = open_site(settings_for(tmp_path, sink, more="timeout = 1\n"), FixedClock(NOW))
        with site.database.write() as connection:
            outbox.add_notice(connection, key="1", recipient=ANA, raw=HEAD + b"\nHello.\n", now=NOW)
        site.deliverer().run_once()  # returns: the usual two minutes are longer than any test
        with site.database.read() as connection:
            assert [one.state for one in outbox.counts(connection)] == ["queued"]
        site.close()


def test_only_the_clock_of_a_demo_can_be_pushed(tmp_path: Path) -> None:
    for demo, days in ((True, 7), (False, 0)):
        settings = changed(settings_for(tmp_path), "site", demo=demo)
        site = open_site(settings)
        push_clock(site.database, timedelta(days=7))
        ahead = site.clock.now() - datetime.now(UTC)
        site.close()
        assert abs(ahead - timedelta(days=days)) < timedelta(hours=1)
