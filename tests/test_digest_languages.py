"""Digests in the languages of their readers: complete catalogs, days as they are written there, words kept apart."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from babel.messages.catalog import Message
from hatchling.builders.wheel import WheelBuilder
from playwright.sync_api import Browser
from sqlalchemy import select

from docs import catalogs
from tests import digest_site
from tests.digest_site import SITE
from tests.house import ROOT
from tests.small_site import SAM, SmallSite, makings, small_site
from tests.test_digest_render import GOLDEN, SHIFT, Page, assembled, browser, html_of, looked_at, text_of, the_digest
from tests.test_item_replies import Digested
from tests.test_several_items import replies_of
from tidings import jobs
from tidings.communities import joining, languages
from tidings.database import tables
from tidings.database.engine import Database
from tidings.digests import agendas, layouts, lint
from tidings.digests.columns import width, wrap
from tidings.digests.fragments import Heading, Timing
from tidings.digests.meetings import diary, series
from tidings.digests.words import Words
from tidings.errors import UsageError

FIXTURES = (browser, makings, small_site)
ALL = tuple(languages.NAMES)
_PLACE = re.compile(r"%\((\w+)\)s")
HEBREW = "דליפה במשאבה 4"
ARABIC = (
    "تسرب الزيت من المضخة 4 منذ يوم الأحد. استبدلنا الحلقة القديمة لكن التسرب عاد بعد ساعتين من التشغيل. "
    "لا توجد قطعة أخرى في المخزن ونحتاج إلى واحدة قبل يوم الخميس."
)
BEGIN, END = "\u2068", "\u2069"


def words(language: str, zone: str = "Europe/Berlin", year: int = 2026) -> Words:
    return Words(language=language, zone=zone, year=year)


# --- catalogs --------------------------------------------------------------------------------------------------------


def _forms(said: object) -> tuple[str, ...]:
    return tuple(map(str, said)) if isinstance(said, list | tuple) else (str(said),)


def _faults(message: Message) -> Iterator[str]:
    """What is wrong with the translation of a sentence."""
    places = {name for form in _forms(message.id) for name in _PLACE.findall(form)}
    if message.fuzzy:
        yield "fuzzy"
    for form in _forms(message.string):
        if not form:
            yield "missing"
        elif set(_PLACE.findall(form)) != places or form.count("%") != len(_PLACE.findall(form)):
            yield f"other placeholders: {form}"


@pytest.mark.parametrize("language", catalogs.TRANSLATED)
def test_a_catalog_has_every_sentence_with_the_placeholders_of_the_english_one(language: str) -> None:
    catalog, said = catalogs.catalog(language), [message for message in catalogs.messages() if message.id]
    assert len(said) > 70
    assert not catalog.obsolete
    assert {message.id for message in catalog if message.id} == {message.id for message in said}
    found = {str(message.id): faults for message in catalog if message.id and (faults := [*_faults(message)])}
    assert found == {}


def test_every_sentence_that_is_said_stands_in_the_call_where_it_is_gathered() -> None:
    for path in sorted((ROOT / "tidings" / "digests").glob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "say":
                assert isinstance(call.args[0], ast.Constant), f"{path.name}:{call.lineno}"


def test_a_catalog_that_lacks_a_sentence_or_turns_a_placeholder_is_told() -> None:
    catalog = catalogs.catalog("de")
    catalog["%(size)s kB"].string = "%(groesse)s kB"
    catalog["%(number)s new post"].string = ("%(number)s neuer Beitrag", "")
    faults = {str(message.id): [*_faults(message)] for message in catalog if message.id and [*_faults(message)]}
    assert faults == {
        "%(size)s kB": ["other placeholders: %(groesse)s kB"],
        "('%(number)s new post', '%(number)s new posts')": ["missing"],
    }


def test_the_catalogs_are_in_the_wheel() -> None:
    shipped = {Path(file.distribution_path).as_posix() for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert {f"tidings/digests/locale/{language}.po" for language in catalogs.TRANSLATED} <= shipped


# --- whole editions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "kind"), [*((language, "txt") for language in catalogs.TRANSLATED), ("fr", "html")]
)
def test_an_edition_is_printed_as_in_the_golden_file_of_its_language(
    sqlite_database: Database, language: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layouts, "random_token", lambda: "aaaaaaaaaaaaaaaaaaaaaaaaaa")
    digest = the_digest(sqlite_database, language)
    printed = text_of(digest) if kind == "txt" else html_of(digest)
    assert printed == (GOLDEN / f"digest.{language}.{kind}").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("language", "subject", "sender"),
    [
        ("en", "Pump team weekly: 2 for you, meeting Tue 14:00", "Pump team weekly"),
        ("de", "Wochenpost Pump team: 2 für dich, Treffen Di. 14:00", "Wochenpost Pump team"),
        ("es", "Resumen semanal de Pump team: 2 para ti, reunión mar 14:00", "Resumen semanal de Pump team"),
        ("fr", "L’hebdo Pump team\u00a0: 2 pour toi, réunion mar. 14:00", "L’hebdo Pump team"),
    ],
)
def test_subject_and_sender_are_in_the_readers_language_and_lint_finds_nothing(
    sqlite_database: Database, language: str, subject: str, sender: str
) -> None:
    digest = the_digest(sqlite_database, language)
    assert (digest["Subject"], digest["From"].addresses[0].display_name) == (subject, sender)
    assert len(subject) <= 60
    assert digest["List-Id"] == "<pump.lists.example.org>"
    assert f'<html lang="{language}"' in html_of(digest)
    assert lint.lint(digest.as_bytes()) == []


@pytest.mark.parametrize("language", ALL)
def test_a_long_title_leaves_a_subject_of_sixty_characters_in_each_language(
    sqlite_database: Database, language: str
) -> None:
    with sqlite_database.write() as connection:
        pump = digest_site.community(connection, title="Maintenance of pumps, valves and pipes in the northern halls")
        digest_site.member(connection, "sam@example.org", language=language)
        digest_site.post(connection, pump.id)
    jobs.run_due(sqlite_database, SHIFT, site=SITE)
    subject = str(assembled(sqlite_database)["Subject"])
    assert len(subject) <= 60
    assert "Maintenance of" in subject
    assert subject.endswith(words(language).count("%(number)s new post", "%(number)s new posts", 1))


# --- whose language it is --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "community", "read"),
    [
        (None, "english", "en"),
        (None, "german", "de"),
        (None, "spanish", "es"),
        (None, "french", "fr"),
        (None, "finnish", "en"),
        (None, "none", "en"),
        ("fr", "german", "fr"),
        ("en", "german", "en"),
    ],
)
def test_a_member_reads_their_own_language_else_that_of_the_community_else_english(
    own: str | None, community: str, read: str
) -> None:
    assert languages.read_by(own, community) == read


@pytest.mark.parametrize(
    ("text", "code"),
    [
        *(("de", "de"), ("DE", "de"), ("German", "de"), ("Deutsch", "de"), ("alemán", "de"), ("aleman", "de")),
        *(("français", "fr"), ("Francais", "fr"), ("Französisch", "fr"), ("español", "es"), ("anglais", "en")),
        *(("none", None), ("", None)),
    ],
)
def test_a_language_is_named_by_its_code_or_in_any_of_them(text: str, code: str | None) -> None:
    assert languages.parse(text) == code


def test_a_language_that_digests_do_not_speak_is_refused_with_those_that_they_do() -> None:
    with pytest.raises(UsageError, match="en, de, es, fr, or none"):
        languages.parse("Finnish")


def test_who_chose_no_language_is_told_in_that_of_the_community(database: Database) -> None:
    with database.write() as connection:
        pump = digest_site.community(connection, language="german")
        digest_site.member(connection, "sam@example.org")
        digest_site.post(connection, pump.id)
    jobs.run_due(database, SHIFT, site=SITE)
    with database.read() as connection:
        assert connection.execute(select(tables.edition.c.language)).scalars().all() == ["de"]
    assert "WARUM DU DAS BEKOMMST" in text_of(assembled(database))


def test_an_edition_keeps_the_language_that_it_was_composed_in(sqlite_database: Database) -> None:
    first = the_digest(sqlite_database, "es").as_bytes()
    with sqlite_database.write() as connection:
        told = {"community": "pump", "email": "sam@example.org", "changes": {"language": "fr"}}
        joining.set_member(connection, **told, now=SHIFT)
    assert assembled(sqlite_database).as_bytes() == first


def test_a_meeting_has_one_subject_for_all_its_readers_in_the_language_of_the_community(
    sqlite_database: Database,
) -> None:
    with sqlite_database.write() as connection:
        pump = digest_site.community(connection, language="french", meeting="Tue 14:00")
        (found,) = series.of_community(connection, pump.id)
        meeting = diary.following(connection, found.id, SHIFT)
        assert meeting is not None
        assert agendas.subject(pump, meeting) == "Réunion Pump team, mar. 13 oct. 14:00"
        digest_site.member(connection, "sam@example.org", language="de")
        digest_site.post(connection, pump.id)
    jobs.run_due(sqlite_database, SHIFT, site=SITE)
    digest = assembled(sqlite_database)
    assert "Nächstes Treffen" in html_of(digest)
    assert "subject=R%C3%A9union%20Pump%20team%2C%20mar.%2013%20oct.%2014%3A00" in html_of(digest)


@pytest.mark.parametrize("language", catalogs.TRANSLATED)
def test_a_reply_that_repeats_a_digest_in_another_language_is_posted_without_it(
    small_site: SmallSite, language: str
) -> None:
    with small_site.site.database.write() as connection:
        told = {"community": "pump", "email": SAM, "changes": {"language": language}}
        joining.set_member(connection, **told, now=small_site.clock.now())
    box = Digested(small_site)
    assert words(language).block("meeting").upper() in box.printed()
    box.answer("Seal", f"It held.\n\n{box.printed()}")
    assert [(subject, text) for _, subject, text in replies_of(box)] == [("Re: Seal", "It held.")]


# --- days, counts and sizes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "full", "another_year", "weekday"),
    [
        ("en", "Tue 13 Oct 14:00", "Mon 13 Oct 2025", "Tue 14:00"),
        ("de", "Di., 13. Okt. 14:00", "Mo., 13. Okt. 2025", "Di. 14:00"),
        ("es", "mar, 13 oct, 14:00", "lun, 13 oct 2025", "mar 14:00"),
        ("fr", "mar. 13 oct. 14:00", "lun. 13 oct. 2025", "mar. 14:00"),
    ],
)
def test_days_are_written_as_they_are_in_each_language(
    language: str, full: str, another_year: str, weekday: str
) -> None:
    moment = datetime(2026, 10, 13, 12, 0, tzinfo=UTC)
    assert words(language).full(moment) == full
    assert words(language).day(moment.replace(year=2025)) == another_year
    assert words(language).weekday(moment) == weekday


@pytest.mark.parametrize(
    ("language", "counted"),
    [
        ("en", ["0 new posts", "1 new post", "2 new posts"]),
        ("de", ["0 neue Beiträge", "1 neuer Beitrag", "2 neue Beiträge"]),
        ("es", ["0 mensajes nuevos", "1 mensaje nuevo", "2 mensajes nuevos"]),
        ("fr", ["0 nouveau message", "1 nouveau message", "2 nouveaux messages"]),
    ],
)
def test_posts_are_counted_as_in_each_language(language: str, counted: list[str]) -> None:
    said = words(language)
    assert [said.count("%(number)s new post", "%(number)s new posts", number) for number in range(3)] == counted


@pytest.mark.parametrize(
    ("timing", "sentences"),
    [
        (
            Timing(comes="day", weekday=0, time="08:00"),
            (
                "It comes on Mondays at 08:00.",
                "Sie kommt jeden Montag um 08:00 Uhr.",
                "Llega cada lunes a las 08:00.",
                "Il arrive chaque lundi à 08:00.",
            ),
        ),
        (
            Timing(comes="end", weekday=6, time="18:00", zone="Europe/Paris", minutes=60),
            (
                "It comes 60 minutes before your first shift after Sunday 18:00 (Europe/Paris) ends.",
                "Sie kommt 60 Minuten vor dem Ende deiner ersten Schicht nach Sonntag 18:00 Uhr (Europe/Paris).",
                "Llega 60 minutos antes de que termine tu primer turno tras el domingo a las 18:00 (Europe/Paris).",
                "Il arrive 60 minutes avant la fin de ton premier poste après dimanche 18:00 (Europe/Paris).",
            ),
        ),
        (
            Timing(comes="off", time="18:00", zone="Europe/Paris", hour="10:00"),
            (
                "It comes at 10:00 on your first day off after 18:00 (Europe/Paris).",
                "Sie kommt um 10:00 Uhr an deinem ersten freien Tag nach 18:00 Uhr (Europe/Paris).",
                "Llega a las 10:00 de tu primer día libre tras las 18:00 (Europe/Paris).",
                "Il arrive à 10:00, ton premier jour de repos après 18:00 (Europe/Paris).",
            ),
        ),
    ],
)
def test_when_it_comes_is_said_in_each_language(timing: Timing, sentences: tuple[str, ...]) -> None:
    assert tuple(words(language).comes(timing) for language in ALL) == sentences


def test_a_stored_edition_that_says_in_a_sentence_when_it_comes_still_says_it() -> None:
    timing = Timing(comes="day", weekday=0, time="08:00")
    told = {"title": "Pump team", "rhythm": "weekly", "since": None, "quiet": [], "more_threads": 0, "more_posts": 0}
    for one in (timing, "It comes on Mondays at 08:00."):
        read = msgspec.json.decode(msgspec.json.encode({**told, "timing": one}), type=Heading)
        assert read.timing == one
        assert words("en").comes(read.timing) == "It comes on Mondays at 08:00."


# --- words from right to left ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "title"), [("german", "(ohne Betreff)"), ("spanish", "(sin asunto)"), ("french", "(sans objet)")]
)
def test_a_thread_without_a_subject_is_called_so_in_the_readers_language(
    sqlite_database: Database, language: str, title: str
) -> None:
    with sqlite_database.write() as connection:
        pump = digest_site.community(connection, language=language)
        digest_site.member(connection, "sam@example.org")
        digest_site.post(connection, pump.id, "The seal leaks again.", subject="")
        digest_site.post(connection, pump.id, "Who has a spare pump?", subject="")
    jobs.run_due(sqlite_database, SHIFT, site=SITE)
    printed = text_of(assembled(sqlite_database)), html_of(assembled(sqlite_database))
    assert all(title in part and "(no subject)" not in part for part in printed)


def test_every_title_of_a_thread_is_printed_in_the_readers_words() -> None:
    templates = (ROOT / "tidings/digests/templates").glob("*")
    assert not [file.name for file in templates if re.search(r"\bit(?:\.seen)?\.title \|", file.read_text("utf-8"))]


def a_week_from_right_to_left(database: Database, title: str = "Pump team") -> tuple[str, str]:
    """Text and HTML of an edition that tells Hebrew and Arabic posts beside English ones."""
    with database.write() as connection:
        pump = digest_site.community(connection, title=title)
        digest_site.member(connection, "sam@example.org")
        digest_site.post(connection, pump.id, ARABIC, author="ليلى", subject=HEBREW)
        digest_site.post(connection, pump.id, "A plain post.", author="ana", subject="Seal on line 3")
    jobs.run_due(database, SHIFT, site=SITE)
    digest = assembled(database)
    assert lint.lint(digest.as_bytes()) == []
    return text_of(digest), html_of(digest)


def test_in_text_words_from_right_to_left_are_kept_apart_in_each_line_and_others_have_no_marks(
    sqlite_database: Database,
) -> None:
    text, _ = a_week_from_right_to_left(sqlite_database)
    lines = text.splitlines()
    assert f" {BEGIN}{HEBREW}{END} (1 new post: {BEGIN}ليلى{END})" in text
    told = [line for line in lines if re.search("[\u0600-\u06ff]{3}", line) and "#" not in line]
    assert len(told) > 2
    for line in told:
        assert re.match(r" {3}\S| {5}", line)
        assert line.count(BEGIN) == line.count(END) > 0
        assert line.endswith(END)
        assert width(line) <= 72
    assert not [line for line in lines if BEGIN in line and not re.search("[\u0590-\u06ff]", line)]


def test_in_html_every_name_title_and_text_is_an_element_of_its_own_direction(sqlite_database: Database) -> None:
    _, html = a_week_from_right_to_left(sqlite_database)
    assert re.search(rf"<h3[^>]*>#\d+ <bdi>{HEBREW}</bdi></h3>", html)
    assert re.search(r"<strong><bdi>ليلى</bdi></strong>, Mon 5 Oct: <bdi>تسرب", html)
    assert "<bdi>Seal on line 3</bdi>" in html
    assert not re.search(f"[{BEGIN}{END}]", html)
    Page(html)


def test_a_plain_digest_has_no_marks_of_direction(sqlite_database: Database) -> None:
    digest = the_digest(sqlite_database)
    assert not re.search("[\u200e\u200f\u202a-\u202e\u2066-\u2069]", text_of(digest) + html_of(digest))


def test_a_title_from_right_to_left_is_kept_apart_in_subject_and_from(sqlite_database: Database) -> None:
    a_week_from_right_to_left(sqlite_database, title=HEBREW)
    digest = assembled(sqlite_database)
    assert digest["Subject"] == f"{BEGIN}{HEBREW}{END} weekly: 2 new posts"
    assert digest["From"].addresses[0].display_name == f"{BEGIN}{HEBREW}{END} weekly"
    assert f"<title>{HEBREW} weekly: 2 new posts</title>" in html_of(digest)


def test_a_long_title_from_right_to_left_is_cut_inside_its_marks(sqlite_database: Database) -> None:
    a_week_from_right_to_left(sqlite_database, title=f"{HEBREW} " * 6)
    subject = str(assembled(sqlite_database)["Subject"])
    assert len(subject) <= 60
    assert re.fullmatch(f"{BEGIN}[^{BEGIN}{END}]+\\.\\.\\.{END} weekly: 2 new posts", subject)


# --- columns ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "columns"), [("seal", 4), ("Größe", 5), ("漏れ", 4), ("ﾎﾟﾝﾌﾟ", 5), ("e\u0301", 1), (f"{BEGIN}x{END}", 1)]
)
def test_a_text_is_as_wide_as_its_characters(text: str, columns: int) -> None:
    assert width(text) == columns


def test_words_without_spaces_are_wrapped_at_72_columns_and_no_line_begins_with_a_stop() -> None:
    lines = wrap("ポンプ4の「シール」が漏れています。" * 12, "   * ", "     ").split("\n")
    assert len(lines) > 4
    assert all(66 < width(line) <= 72 for line in lines[:-1])
    assert not [line for line in lines if line.strip()[0] in "。」ー" or line[-1] == "「"]


def test_a_link_is_never_broken() -> None:
    link = "https://tidings.example.org/" + "x" * 90
    assert wrap(f"See {link} now", "  ", "  ").split("\n") == ["  See", f"  {link}", "  now"]


# --- a phone ---------------------------------------------------------------------------------------------------------


@pytest.mark.needs("chromium")
@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_german_digest_fits_a_phone(sqlite_database: Database, browser: Browser, scheme: str) -> None:
    html = html_of(the_digest(sqlite_database, "de"))
    question = """[
        document.documentElement.scrollWidth,
        Math.min(...[...document.querySelectorAll('a')].map(a => a.getBoundingClientRect().height)),
        getComputedStyle(document.querySelector('.item p')).color,
    ]"""
    wide, lowest, colour = looked_at(browser, html, scheme, question)  # type: ignore[arg-type]
    assert wide == 360
    assert lowest >= 44
    assert colour == {"light": "rgb(0, 0, 0)", "dark": "rgb(255, 255, 255)"}[scheme]
