"""The words with which members answer an item: in four languages, and only where they stand alone."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.mailer import item_words
from tidings.mailer.commands import Command, Problem, read_word

TODAY = date(2026, 10, 19)


@pytest.mark.parametrize(
    ("text", "verb"),
    [
        *(
            (word, "mute")
            for word in ("mute", "Mute.", "MUTE!", "Stummschalten", "stumm", "silenciar", "Muet", "sourdine")
        ),
        *((word, "follow") for word in ("follow", "Folgen", "seguir.", "Suivre !")),
        *((word, "resume") for word in ("resume", "fortsetzen", "reanudar", "reprendre")),
        *((word, "leave") for word in ("leave", "unsubscribe", "abmelden", "baja", "désabonner")),
        *((word, "keep") for word in ("keep all", "Keep  all.", "alles behalten", "conservar todo", "tout garder")),
        *((word, "pause") for word in ("pause", "Pausa", "pausieren")),
    ],
)
def test_a_word_alone_is_a_command_in_each_language(text: str, verb: str) -> None:
    for below in ("", "\n", "\n\nSam", "\n\nDanke, Sam", "\n-- \nSam Okafor\nNight shift, line 3, hall B"):
        assert read_word(text + below, TODAY) == Command(verb=verb)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "pause until 3 Nov",
        "Pause bis 3. November",
        "pause bis zum 3. Nov.",
        "Pausieren bis 3. Nov",
        "Pausa hasta el 3 de noviembre",
        "pausa hasta 3 nov",
        "Pause jusqu'au 3 novembre",
        "pause jusqu’au 3 nov.",
        "pause until Nov 3",
        "pause until 2026-11-03",
    ],
)
def test_a_pause_until_a_day_is_read_in_each_language(text: str) -> None:
    assert read_word(text, TODAY) == Command(verb="pause", argument="2026-11-03")


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("pause bis 1. März", "2027-03-01"),
        ("pause hasta 2 enero", "2027-01-02"),
        ("pause jusqu'au 1er février", "2027-02-01"),
        ("pause jusqu'au 14 juil", "2027-07-14"),
        ("pause bis 24. Dez", "2026-12-24"),
        ("pausa hasta 6 de agosto de 2027", "2027-08-06"),
    ],
)
def test_months_are_known_in_each_language(text: str, day: str) -> None:
    assert read_word(text, TODAY) == Command(verb="pause", argument=day)


def test_a_month_that_may_be_two_is_asked_about() -> None:
    assert isinstance(read_word("pause jusqu'au 3 jui", TODAY), Problem)


@pytest.mark.parametrize(
    "text",
    [
        "mute the alarm first",
        "Follow me to line 3.",
        "yes, but the seal is worn",
        "no",
        "Yes",
        "ja",
        "keep all of the old seals",
        "Pause bis die Dichtung hält",
        "pausa hasta que llegue",
        "mute\n\nbut tell me first when the new seal is there",
        "suivre les instructions",
        "",
    ],
)
def test_a_sentence_is_a_post(text: str) -> None:
    assert read_word(text, TODAY) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("used: the grey one", "used"),
        ("USED: on line 3\nTwo nights now.", "used"),
        ("Verwendet: auf Linie 3", "used"),
        ("usado: en la línea 3", "used"),
        ("appliqué : ligne 3", "used"),
        ("used:", None),
        ("we used: it", None),
        ("used the grey one", None),
        ("answered", "answer"),
        ("That worked.\n\nThanks, Ana", "answer"),
        ("Das hat geholfen!", "answer"),
        ("¡Funcionó!", "answer"),
        ("ça a marché", "answer"),
        ("That worked, but not for long", None),
        ("", None),
    ],
)
def test_what_was_learned_stands_in_the_first_line(text: str, found: str | None) -> None:
    assert item_words.meaning(text) == found


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_error(text: str) -> None:
    item_words.meaning(text)
    for line in text.split("\n"):
        asked = item_words.command(line)
        assert asked is None or asked.split()[0] in ("mute", "follow", "resume", "leave", "pause", "keep")
