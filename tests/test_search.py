"""Search: every part of the query language on both engines, no query that fails, and snippets that show why."""

import string
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlalchemy import text

from tests import seed
from tidings.archive import text_index
from tidings.archive.search import search, sort_order
from tidings.database.engine import Database
from tidings.errors import UsageError


@pytest.fixture
def archive(database: Database) -> Iterator[Database]:
    """Four posts of `pump` (community 1) and one of `valve` (community 2)."""
    with database.write() as connection:
        pump, valve = seed.community(connection, "pump"), seed.community(connection, "valve")
        seed.post(connection, pump, message_id="seal", date=datetime(2026, 3, 2, 9, tzinfo=UTC))
        seed.post(
            connection,
            pump,
            message_id="dry-run",
            subject="Dry run of the spare",
            author=("José Ødegård", "jose@example.org"),
            recipients="pump@lists.example.org, night.crew@example.org",
            text="We did a dry run with --force at 03:00.\n> The bearing sings\nÜberdruck was fine; the seal leaks.\n",
            folds=((40, 60, "quote"),),
            date=datetime(2026, 3, 14, 23, 30, tzinfo=UTC),
        )
        seed.post(
            connection,
            pump,
            message_id="photo",
            subject="Photo of the multi-agent seal",
            text="See the photo. Run it dry, not wet.\n",
            attachments=((1, "seal.jpg", "image/jpeg", 900),),
            date=datetime(2026, 4, 1, tzinfo=UTC),
        )
        seed.post(connection, pump, message_id="empty", subject="", text="", date=datetime(2026, 5, 1, tzinfo=UTC))
        seed.post(connection, valve, message_id="valve", text="A seal of a valve.\n")
    yield database


def _found(database: Database, query: str, communities: tuple[int, ...] = (1,)) -> list[str]:
    with database.read() as connection:
        return [hit.post.message_id for hit in search(connection, communities, query)]


_QUERIES = {
    "seal": ["photo", "dry-run", "seal"],
    "SEAL leaks": ["dry-run", "seal"],
    '"dry run"': ["dry-run"],
    '"dry run': ["dry-run"],
    "uberdruck": ["dry-run"],
    "bearing": [],
    "leaking seals": ["dry-run", "seal"],
    '"leaking seals"': [],
    '"seals leaked"': ["dry-run"],
    "seal.jpg": ["photo"],
    "from:jose": ["dry-run"],
    "from:jose@example.org": ["dry-run"],
    'from:"Maria Lindgren" photo': ["photo"],
    "to:night.crew": ["dry-run"],
    "subject:seal": ["photo", "seal"],
    "Subject:photo": ["photo"],
    "seal -leaks": ["photo"],
    "seal -subject:photo -from:jose": ["seal"],
    "-seal": ["empty"],
    "-seal -from:nobody": ["empty"],
    "--force": ["dry-run"],
    "multi-agent": ["photo"],
    "after:2026-03-14": ["empty", "photo", "dry-run"],
    "before:2026-03-14": ["seal"],
    "after:2026-03-14 before:2026-03-15": ["dry-run"],
    "after:2026-04": ["empty", "photo"],
    "-after:2026-04 leaks": ["dry-run", "seal"],
    "before:2026": [],
    "after:2026-13-45": [],
    "has:attachment": ["photo"],
    "-has:attachment seal": ["dry-run", "seal"],
    "has:wheels": [],
    "": [],
    "   ": [],
    '"" * - :': [],
    "nothinglikethis": [],
}


def test_the_query_language(archive: Database) -> None:
    assert {query: _found(archive, query) for query in _QUERIES} == _QUERIES


def _write(database: Database, texts: Sequence[str], **community: object) -> None:
    """A community with a post for each text, which has its text for a name."""
    with database.write() as connection:
        target = seed.community(connection, **community)
        for one in texts:
            seed.post(connection, target, message_id=one, text=one)


@pytest.mark.parametrize(
    ("language", "texts", "queries"),
    [
        ("german", ("die Häuser", "ein Haus", "Straßen"), {"hauser": 2, "HÄUSERN": 2, "strasse": 1, "houses": 0}),
        ("russian", ("красивый насос", "красивая помпа"), {"красивые": 2, "НАСОСЫ": 1}),
        ("none", ("valves", "valve"), {"valve": 1, "valves": 1}),
        (
            "english",
            ("日本語のポンプ", "東京の日本", "パイプ"),
            {"日本": 2, "日本語": 1, "本": 2, "語の": 1, "ホンフ": 0},
        ),
        (
            "english",
            ("ポンプ v2 が漏れる", "본관 펌프를 교체"),
            {"ﾎﾟﾝﾌﾟ": 1, "ポンプv2が": 1, "v2 が": 1, "펌프": 1, "-펌프 v2": 1},
        ),
        ("english", ("ปั๊มรั่วแล้ว",), {"รั่ว": 1, "แล้ว": 1, "วันนี้": 0}),
        ("english", ("a café", "a cafe\u0301", "CAFE"), {"cafe": 3, "café": 3, "cafés": 3}),
    ],
)
def test_words_are_found_in_each_script_by_their_stems(
    database: Database, language: str, texts: tuple[str, ...], queries: dict[str, int]
) -> None:
    _write(database, texts, language=language)
    assert {query: len(_found(database, query)) for query in queries} == queries


def test_communities_of_two_languages_are_searched_together(database: Database) -> None:
    _write(database, ["Die Ventile laufen"], name="haus", language="german")
    _write(database, ["It is running"])
    assert _found(database, "ventil", (1, 2)) == ["Die Ventile laufen"]
    assert _found(database, "runs", (1, 2)) == ["It is running"]


def test_no_phrase_reaches_from_one_part_of_a_post_into_the_next(database: Database) -> None:
    with database.write() as connection:
        community = seed.community(connection)
        files = ((1, "plan.pdf", "application/pdf", 9),)
        quoted = "one\n> gone\ntwo"
        seed.post(connection, community, subject="first", text=quoted, folds=((4, 11, "quote"),), attachments=files)
    for query in ('"first maria"', '"example.org pump"', '"example.org one"', '"one two"', '"two plan"', "gone"):
        assert _found(database, query) == []
    assert len(_found(database, '"maria lindgren" one two plan.pdf')) == 1


def test_tags_of_the_subject_are_found_as_they_are_written(database: Database) -> None:
    subjects = ["[PATCH v2 3/7] md: seals", "Re: [pump-users] [Seals] patch", "pump users"]
    with database.write() as connection:
        community = seed.community(connection)
        for subject in subjects:
            seed.post(connection, community, message_id=subject, subject=subject)
    first, second, third = subjects
    wanted = {"tag:patch": [first], "tag:PUMP-users": [second], 'tag:"patch v2"': [first], "tag:seal": []}
    wanted |= {
        "tag:seals": [second],
        "-tag:patch": [third, second],
        "tag:[pump-users]": [second],
        "tag:users-seals": [],
    }
    wanted |= {"tag:": [], "tag_patch": [], "from:tag:patch": []}
    assert {query: _found(database, query) for query in wanted} == wanted


def test_only_the_communities_that_are_named_are_searched(archive: Database) -> None:
    assert _found(archive, "valve", (1,)) == []
    assert _found(archive, "valve", (1, 2)) == ["valve"]
    assert _found(archive, "seal", ()) == []


def test_results_come_page_by_page(archive: Database) -> None:
    with archive.read() as connection:
        pages = [search(connection, [1], "seal", limit=2, offset=offset) for offset in (0, 2, 4)]
    assert [[hit.post.message_id for hit in page] for page in pages] == [["photo", "dry-run"], ["seal"], []]


def test_the_most_relevant_of_the_newest_come_first(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {
        "old": ("Spare parts", "The gasket of the gasket maker: gasket.", 2016),
        "subject": ("Gasket", "It is worn.", 2025),
        "often": ("Spare parts", "A gasket, a gasket and a gasket.", 2025),
        "once": ("Spare parts", "One gasket " + "and other parts " * 50, 2026),
        "without": ("Spare parts", "None.", 2026),
    }
    with database.write() as connection:
        pump = seed.community(connection)
        for name, (subject, shown, year) in texts.items():
            date = datetime(year, 3, 2, tzinfo=UTC)
            seed.post(connection, pump, message_id=name, subject=subject, text=shown, date=date)

    def relevant(query: str = "gasket", **page: int) -> list[str]:
        with database.read() as connection:
            return [hit.post.message_id for hit in search(connection, [1], query, sort="relevance", **page)]

    found = relevant()
    assert set(found[:2]) == {"subject", "often"}
    assert set(found) == {"old", "subject", "often", "once"}
    assert found.index("often") < found.index("old")
    assert relevant(limit=2) + relevant(limit=2, offset=2) == found
    assert relevant("after:2026") == ["without", "once"]
    monkeypatch.setattr("tidings.archive.search.CANDIDATES", 2)
    assert set(relevant()) == {"often", "once"}


def test_no_order_but_the_two_is_known() -> None:
    with pytest.raises(UsageError, match="say newest or relevance"):
        sort_order("oldest")


_HOSTILE = [
    *(
        '"',
        "a'b",
        "NEAR(",
        "NEAR(a b, 3)",
        "*",
        "col:x",
        "AND AND",
        "OR",
        "NOT",
        "a AND",
        "{subject} : x",
        "^seal",
        "seal*",
    ),
    *(
        "(",
        "a + b",
        "x" * 10_000,
        '"' + "x " * 5_000,
        "seal " * 1_000,
        "-" * 500,
        "from:",
        'from:"',
        "a\0b",
        "\ud800",
        "%",
    ),
    *("\\", "after:0000", "after:9999-12-31", "has:", "& | !", "<->", "':*", "\u202eevil", "subject:" + "(" * 300),
    " ".join(f"-w{number}" for number in range(1_000)),
]


@pytest.mark.acceptance(115)
def test_no_query_fails(archive: Database) -> None:
    for query in _HOSTILE:
        assert len(_found(archive, query)) <= 4
        with archive.read() as connection:
            assert len(search(connection, [1], query, sort="relevance")) <= 4


@pytest.mark.acceptance(115)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=some.text(alphabet=string.printable + "\0äß\u0301日\ud800", max_size=60))
def test_no_made_up_query_fails(archive: Database, query: str) -> None:
    _found(archive, query)
    _found(archive, f'from:{query} -subject:"{query}')


def test_more_than_32_terms_are_not_looked_at(archive: Database) -> None:
    assert _found(archive, "seal " * 32 + "nothinglikethis") == ["photo", "dry-run", "seal"]


def _snippet(database: Database, text_of: str, query: str, folds: tuple[tuple[int, int, str], ...] = ()) -> str:
    with database.write() as connection:
        seed.post(connection, seed.community(connection), text=text_of, folds=folds)
    with database.read() as connection:
        (hit,) = search(connection, [1], query)
        return hit.snippet


def test_a_snippet_shows_the_words_around_the_find(sqlite_database: Database) -> None:
    snippet = _snippet(sqlite_database, "start " * 100 + "the dry\n run was  long " + "end " * 100, '"dry run"')
    assert "the dry run was long" in snippet
    assert snippet.startswith("… start") and snippet.endswith("end …")
    assert len(snippet) <= 200


@pytest.mark.parametrize(
    ("shown", "query", "marked"),
    [
        ("Seals: the seal was sealed.", "seal", ["Seals", "seal", "sealed"]),
        ("Dry runs, dry or run.", '"dry run"', ["Dry runs"]),
        ("Das cafe\u0301 dort", "café", ["cafe\u0301"]),
        ("この日本語のポンプ", "日本語 本", ["日本語"]),
        ("A seal of Maria.", "from:maria seal -wet", ["seal"]),
        ("<b>seal</b> & run", "seal run", ["seal", "run"]),
    ],
)
def test_what_was_looked_for_is_marked(sqlite_database: Database, shown: str, query: str, marked: list[str]) -> None:
    with sqlite_database.write() as connection:
        seed.post(connection, seed.community(connection), text=shown)
    with sqlite_database.read() as connection:
        (hit,) = search(connection, [1], query)
    assert [hit.snippet[start:end] for start, end in hit.marks] == marked


def test_a_snippet_prefers_the_authors_own_words(sqlite_database: Database) -> None:
    quoted = "> a seal is quoted here\n"
    assert _snippet(sqlite_database, quoted + "I changed the seal.\n", "seal", ((0, len(quoted), "quote"),)) == (
        "I changed the seal."
    )


def test_a_snippet_without_the_word_shows_how_the_post_begins(sqlite_database: Database) -> None:
    assert _snippet(sqlite_database, "Hello all.\n", "from:maria") == "Hello all."


def test_a_snippet_of_one_endless_word_is_cut(sqlite_database: Database) -> None:
    assert len(_snippet(sqlite_database, "x" * 100_000, "from:maria")) <= 200


def test_what_is_taken_out_of_the_index_is_not_found(archive: Database) -> None:
    with archive.write() as connection:
        post_id = connection.execute(text("SELECT id FROM post WHERE message_id = 'photo'")).scalar_one()
        text_index.unindex(connection, post_id)
        text_index.unindex(connection, 12345)
    assert _found(archive, "seal") == ["dry-run", "seal"]


def test_a_post_as_large_as_allowed_can_be_indexed(database: Database) -> None:
    large = " ".join(f"wörter{number}" for number in range(80_000))[:1_000_000]
    with database.write() as connection:
        seed.post(connection, seed.community(connection), message_id="large", text=large)
    assert _found(database, "worter1") == ["large"]
