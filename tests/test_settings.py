"""The settings: every key typed, with a default and docs; what cannot be is refused with the key and what to write."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import SettingsError
from tidings.settings import Settings, example, host_port, keys, load, parse, tables


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


@pytest.mark.parametrize("domain", ["Lists.example.org", "", "lists example.org", "a@example.org", "example.org."])
def test_a_domain_that_can_be_no_mail_domain_is_refused(domain: str) -> None:
    assert f"site.domain {domain!r} is no domain name in lower case" in refused(f'[site]\ndomain = "{domain}"')


def test_a_zone_that_is_none_is_refused_before_anybody_waits_for_a_digest() -> None:
    message = refused('[site]\nzone = "CET+1"')
    assert "site.zone" in message
    assert "'CET+1'" in message


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
    given_keys = {table: list(values) for table, values in tomllib.loads(text).items()}
    assert given_keys == {table: [key.name for key in keys() if key.table == table] for table in tables()}
    for key in keys():
        assert f"\n# {key.doc}\n{key.name} = " in text


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
