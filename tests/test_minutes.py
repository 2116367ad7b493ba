"""Minutes as scribes write them: kinds, items, owners and days, in four languages and in many spellings."""

import re
from datetime import date
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.house import ROOT
from tidings.mailer.minutes import Line, Minutes, read

TODAY = date(2026, 10, 21)  # a Wednesday

Found = tuple[str, int | None, str]


def _lines(text: str) -> tuple[Line, ...]:
    found = read(text, TODAY)
    return found.lines if found else ()


def _found(text: str) -> list[Found]:
    return [(line.kind, line.item, line.text) for line in _lines(text)]


# --- kinds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        (
            "decision",
            "decision: x|Decision: x|DECISION: x|decided: x|Agreed: x|- decision: x|* Decided: x|*Decision:* x",
        ),
        (
            "decision",
            "**Decision**: x|_decision_: x|Decision : x|decision：x|• decision: x|[x] decision: x|Decision - x",
        ),
        (
            "decision",
            "Entscheidung: x|Beschluss: x|beschlossen: x|Vereinbart: x|decisión: x|Decision: x|acuerdo: x|Acordado: x",
        ),
        ("decision", "décision : x|Décidé : x|DÉCISION: x|on a décidé : x"),
        ("action", "action: x|Action: x|todo: x|TODO: x|To do: x|to-do: x|action item: x|Task: x|- [ ] todo: x"),
        (
            "action",
            "Aufgabe: x|Maßnahme: x|Massnahme: x|zu tun: x|acción: x|accion: x|tarea: x|por hacer: x|tâche : x|"
            "à faire : x",
        ),
        ("answer", "answer: x|Answered: x|Antwort: x|respuesta: x|réponse : x|reponse: x"),
        (
            "carry",
            "carry: x|carry over: x|Carry-over: x|carried over: x|Übertrag: x|vertagt: x|aplazado: x|reporté : x|"
            "à reporter: x",
        ),
        ("note", "note: x|Notes: x|FYI: x|Notiz: x|Anmerkung: x|nota: x|remarque : x|pour info : x"),
    ],
)
def test_a_word_with_a_colon_marks_a_line_in_each_language(kind: str, lines: str) -> None:
    for line in lines.split("|"):
        assert _found(line) == [(kind, None, "x")], line
        assert _found(f"#2 {line}") == [(kind, 2, "x")], line
        assert _found(f"2: {line}") == [(kind, 2, "x")], line
        assert _found(f"Hi all,\n\n#2 Seal failures\n\n  {line}\n\n-- \nSam") == [(kind, 2, "x")], line


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I think the seal is worn.",
        "#2 I think the seal is worn.",
        "2: we saw that in March",
        "The decision: none",
        "decision",
        "actions speak louder",
        "carry on",
        "> decision: quoted",
        "-- \ndecision: in a signature",
        "We decided nothing",
        "yes",
    ],
)
def test_what_has_no_marked_line_is_no_minutes(text: str) -> None:
    assert read(text, TODAY) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("#2\ndecision: a\n#3\nanswer: b", [("decision", 2, "a"), ("answer", 3, "b")]),
        ("#2 Seal failures\ndecision: a\ndecision: b", [("decision", 2, "a"), ("decision", 2, "b")]),
        ("2: decision: a\n3: answer: b", [("decision", 2, "a"), ("answer", 3, "b")]),
        ("*#2 Seal failures*\n- decision: a", [("decision", 2, "a")]),
        ("decision (#2): a\ndecision: b", [("decision", 2, "a"), ("decision", None, "b")]),
        ("decision #2: a", [("decision", 2, "a")]),
        ("decision [#2]: a", [("decision", 2, "a")]),
        ("decision for #2: a", [("decision", 2, "a")]),
        ("decision (#2, #3): a", [("decision", 2, "a"), ("decision", 3, "a")]),
        ("#5\ndecision: a\n1: not an item\n2: neither", [("decision", 5, "a 1: not an item 2: neither")]),
        (
            "#2\ndecision: a\n\nNobody knew why. We ask again.",
            [("decision", 2, "a"), ("note", 2, "Nobody knew why. We ask again.")],
        ),
        ("#2 Nobody knew why.\ndecision: a", [("note", 2, "Nobody knew why."), ("decision", 2, "a")]),
        (
            "#2\nthe first line\nand the second\n\na new one\ndecision: a",
            [("note", 2, "the first line and the second"), ("note", 2, "a new one"), ("decision", 2, "a")],
        ),
        ("Hello,\nhere they are.\n\ndecision: a\n\nThanks to all who came", [("decision", None, "a")]),
        ("#2\ndecision: a\n\nThanks,\nSam Okafor", [("decision", 2, "a")]),
        ("#2\ndecision: a\n\nSent from my iPhone", [("decision", 2, "a")]),
        ("decision: a\n> quoted\nanswer: b", [("decision", None, "a"), ("answer", None, "b")]),
    ],
)
def test_a_line_stands_under_the_number_above_it(text: str, found: list[Found]) -> None:
    assert _found(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "decision: use the grey grease\non line 3 only\n\nmore",
            [("decision", None, "use the grey grease on line 3 only")],
        ),
        ("decision: use the grey grease\n  on line 3 only", [("decision", None, "use the grey grease on line 3 only")]),
        ("decision: a\n  - b\n  - c", [("decision", None, "a b c")]),
        (
            "decision:\nuse the grey grease\nanswer: b",
            [("decision", None, "use the grey grease"), ("answer", None, "b")],
        ),
        ("decision:\n\nanswer: b", [("answer", None, "b")]),
        ("#2\n- decision: a\n- nobody objected", [("decision", 2, "a"), ("note", 2, "nobody objected")]),
        (
            "Decisions:\n- a\n- b\n\n- c\nAnswers:\n* d",
            [("decision", None, "a"), ("decision", None, "b"), ("decision", None, "c"), ("answer", None, "d")],
        ),
        ("## Notes:\nx\ndecision: a", [("decision", None, "a")]),
        ("Actions\n- @raj x", []),
        ("#2\nBeschlüsse:\n- a\n#3\n- b", [("decision", 2, "a"), ("note", 3, "b")]),
    ],
)
def test_a_line_goes_on_below(text: str, found: list[Found]) -> None:
    assert _found(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        *(
            (text, [("carry", 3, "")])
            for text in (
                "carry: #3",
                "carry #3",
                "Carry over: 3",
                "carried over #3.",
                "vertagt: #3",
                "aplazado #3",
                "reporté : #3",
            )
        ),
        *(
            (text, [("carry", 3, ""), ("carry", 4, "")])
            for text in (
                "carry: #3 and #4",
                "carry #3 and #4",
                "carry over 3, 4",
                "Übertrag: #3 und #4",
                "reporté : #3 et #4",
            )
        ),
        *(
            (text, [("carry", 3, "")])
            for text in ("#3 carry", "#3: carried over", "3: carry", "#3 Spares\ncarry", "#3 Spares\n- Vertagt.")
        ),
        ("carry: #3 Spares", [("carry", 3, "Spares")]),
        ("carry: item 3", [("carry", 3, "")]),
        ("#2\ncarry: the question to the vendor", [("carry", 2, "the question to the vendor")]),
        ("carry over: 3 pumps", [("carry", 3, "pumps")]),
    ],
)
def test_what_is_carried_over_names_its_items(text: str, found: list[Found]) -> None:
    assert _found(text) == found


def test_every_line_in_the_table_of_the_docs_is_read() -> None:
    page = (ROOT / "docs/meetings-by-mail.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `.*\|$", page.partition("## Minutes")[2], re.MULTILINE)
    lines = [line for row in rows for line in re.findall(r"`([^`]+)`", row)]
    assert len(lines) == 22
    assert [line for line in lines if not _lines(line)] == []
    assert [line for line in lines if "@raj" in line and not _lines(line)[0].due] == []


# --- actions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "owners", "task"),
    [
        ("action: @raj order spares", ["raj"], "order spares"),
        ("action: @Roland order spares", ["Roland"], "order spares"),
        ("action: @Silva order spares", ["Silva"], "order spares"),
        ("action: @Raj Patel und @Toby order spares", ["Raj Patel", "Toby"], "order spares"),
        ("ACTION @raj order spares", ["raj"], "order spares"),
        ("action: @raj: order spares", ["raj"], "order spares"),
        ("action: @raj to order spares", ["raj"], "order spares"),
        ("action: @raj @li order spares", ["raj", "li"], "order spares"),
        ("action: @raj, @li and @ana to order spares", ["raj", "li", "ana"], "order spares"),
        ("action: @raj/@li order spares", ["raj", "li"], "order spares"),
        ("action: @Raj Patel: order spares", ["Raj Patel"], "order spares"),
        ("action: @Raj Patel to order spares", ["Raj Patel"], "order spares"),
        ("action: @Raj order spares", ["Raj"], "order spares"),
        ("action: @Raj Order spares", ["Raj"], "Order spares"),
        ("action: order spares @raj", ["raj"], "order spares"),
        ("action: order spares (@raj, @li)", ["raj", "li"], "order spares"),
        ("action: order spares by @raj.", ["raj"], "order spares"),
        ("action: ask @raj for spares", ["raj"], "ask @raj for spares"),
        ("action: @raj ask @li for spares", ["raj"], "ask @li for spares"),
        ("action: @raj@example.org order spares", ["raj@example.org"], "order spares"),
        ("action: raj@example.org to order spares", ["raj@example.org"], "order spares"),
        ("action: @Raj Patel <raj@example.org> order spares", ["raj@example.org"], "order spares"),
        ("action: @Raj Patel <mailto:raj@example.org> order spares", ["raj@example.org"], "order spares"),
        ("action: Raj to order spares", ["Raj"], "order spares"),
        ("action: Raj: order spares", ["Raj"], "order spares"),
        ("action: Raj / order spares", ["Raj"], "order spares"),
        ("action: Raj - order spares", ["Raj"], "order spares"),
        ("action: Raj Patel will order spares", ["Raj Patel"], "order spares"),
        ("action: Raj and Li to order spares", ["Raj", "Li"], "order spares"),
        ("action: Raj/Li: order spares", ["Raj", "Li"], "order spares"),
        ("Aufgabe: Raj soll Ersatz bestellen", ["Raj"], "Ersatz bestellen"),
        ("Aufgabe: Jürgen und Änne: Ersatz bestellen", ["Jürgen", "Änne"], "Ersatz bestellen"),
        ("tarea: Raj debe pedir repuestos", ["Raj"], "pedir repuestos"),
        ("tarea: Íñigo y Ana: pedir repuestos", ["Íñigo", "Ana"], "pedir repuestos"),
        ("à faire : Zoé doit commander", ["Zoé"], "commander"),
        ("à faire : Raj et Élise : commander", ["Raj", "Élise"], "commander"),
        ("action: order spares", [""], "order spares"),
        ("action: send it to ana@example.org", [""], "send it to ana@example.org"),
        ("action: send it to ana@example.org @raj", ["raj"], "send it to ana@example.org"),
        ("action: we to order spares", [""], "we to order spares"),
        ("action: Everyone to check seals", [""], "Everyone to check seals"),
        ("action: Need to order spares", [""], "Need to order spares"),
        ("action: Talk to Raj", [""], "Talk to Raj"),
        ("action: Order spares: ten of each", [""], "Order spares: ten of each"),
    ],
)
def test_an_action_has_an_owner_or_several(text: str, owners: list[str], task: str) -> None:
    for due in ("", " by Fri", " (by Fri)", ", by Friday at the latest."):
        found = _lines(f"{text}{due}")
        assert [line.owner for line in found] == owners, text + due
        assert {line.text for line in found} == {task}, text + due
        assert {line.due for line in found} == {date(2026, 10, 23) if due else None}, text + due


@pytest.mark.parametrize(
    ("text", "day"),
    [
        *(
            (text, "2026-10-23")
            for text in (
                "by Fri",
                "by Friday",
                "until Friday",
                "due Fri",
                "due: Friday",
                "before Fri",
                "by this Friday",
                "by Fri 23 Oct",
                "within 2 days",
            )
        ),
        *(
            (text, "2026-11-03")
            for text in (
                "by 3 Nov",
                "by Nov 3",
                "by 3rd November",
                "by 2026-11-03",
                "by Tue 3 Nov 2026",
                "by the 3rd",
                "by 03.11.2026",
            )
        ),
        *(
            (text, "2026-10-22")
            for text in ("by tomorrow", "bis morgen", "para mañana", "d'ici demain", "d’ici à demain")
        ),
        *(
            (text, "2026-10-31")
            for text in (
                "by end of month",
                "by the end of the month",
                "by EOM",
                "bis Monatsende",
                "bis Ende des Monats",
                "para fin de mes",
                "d'ici la fin du mois",
                "by end of October",
            )
        ),
        *(
            (text, "2026-10-25")
            for text in ("by end of week", "bis Ende der Woche", "antes de fin de semana", "d'ici la fin de la semaine")
        ),
        *(
            (text, "2026-11-01")
            for text in (
                "by next week",
                "bis nächste Woche",
                "para la próxima semana",
                "d'ici la semaine prochaine",
            )
        ),
        *(
            (text, "2026-11-04")
            for text in (
                "in 2 weeks",
                "within two weeks",
                "in zwei Wochen",
                "en 2 semanas",
                "dentro de 2 semanas",
                "dans 2 semaines",
            )
        ),
        *(
            (text, "2026-10-23")
            for text in (
                "bis Freitag",
                "bis Fr",
                "bis zum 23.10.",
                "bis spätestens Freitag",
                "bis kommenden Freitag",
                "vor Freitag",
            )
        ),
        *(
            (text, "2026-10-23")
            for text in (
                "para el viernes",
                "antes del viernes",
                "hasta el 23 de octubre",
                "para el 23/10",
                "a más tardar el viernes",
            )
        ),
        *(
            (text, "2026-10-23")
            for text in (
                "d'ici vendredi",
                "avant vendredi",
                "pour le 23 octobre",
                "d'ici le 23/10",
                "au plus tard vendredi",
                "pour vendredi",
            )
        ),
        ("by Wed", "2026-10-28"),
        ("by 3 Jan", "2027-01-03"),
        ("bis 3.11.", "2026-11-03"),
        ("para el 3/11", "2026-11-03"),
    ],
)
def test_the_day_of_an_action_is_read_in_each_language(text: str, day: str) -> None:
    for line in (
        f"action: @raj order spares {text}",
        f"action: @raj {text}: order spares",
        f"action: {text}: @raj order spares",
    ):
        (found,) = _lines(line)
        assert (found.owner, found.text, str(found.due)) == ("raj", "order spares", day), line


@pytest.mark.parametrize(
    "text",
    [
        "by someday",
        "by Sam",
        "by Mo",
        "by Raj",
        "by 30 Feb",
        "by 3 Oct 2026",
        "by today",
        "by Tue 23 Oct",
        "by 3/11",
        "by the next meeting",
        "by 12",
    ],
)
def test_what_is_no_day_to_come_stays_in_the_text(text: str) -> None:
    (found,) = _lines(f"action: @raj order spares {text}")
    assert (found.owner, found.due) == ("raj", None)
    assert text in found.text


def test_a_day_in_the_middle_is_read_and_stays() -> None:
    (found,) = _lines("action: @raj order spares by Fri and tell line 3")
    assert (found.text, found.due) == ("order spares by Fri and tell line 3", date(2026, 10, 23))


def test_an_action_without_a_task_keeps_what_was_written() -> None:
    assert _lines("action: @raj by Fri") == (
        Line(kind="action", text="@raj by Fri", item=None, owner="raj", due=date(2026, 10, 23)),
    )


def test_actions_in_a_list_below_their_heading_are_one_each() -> None:
    text = (
        "#2 Seals\nActions:\n- @raj order spares\n  in two sizes by Fri\n- Li to call the vendor\n"
        "\n#3 Grease\n- nobody knew"
    )
    assert _lines(text) == (
        Line(kind="action", text="order spares in two sizes", item=2, owner="raj", due=date(2026, 10, 23)),
        Line(kind="action", text="call the vendor", item=2, owner="Li"),
        Line(kind="note", text="nobody knew", item=3),
    )


def test_minutes_of_a_whole_meeting_keep_their_order() -> None:
    text = """Hi all,

#1 Seal failures
Three on line 3 since March; the vendor
changed the rubber.
*Decision:* grey grease on line 3
- action: @raj @li order spares by 3 Nov
#2 Which torque?
answer: 40 Nm, see the
  plate on the cover
carry: #3 and #4

Viele Grüße
Sam
"""
    spares = date(2026, 11, 3)
    assert read(text, TODAY) == Minutes(
        lines=(
            Line(kind="note", text="Three on line 3 since March; the vendor changed the rubber.", item=1),
            Line(kind="decision", text="grey grease on line 3", item=1),
            Line(kind="action", text="order spares", item=1, owner="raj", due=spares),
            Line(kind="action", text="order spares", item=1, owner="li", due=spares),
            Line(kind="answer", text="40 Nm, see the plate on the cover", item=2),
            Line(kind="carry", text="", item=3),
            Line(kind="carry", text="", item=4),
        )
    )


def test_a_text_has_no_control_characters_and_an_end() -> None:
    (found,) = _lines("decision: a\u0000b\u202e " + "long " * 2_000)
    assert found.text.startswith("a b long")
    assert len(found.text) <= 2_000


def test_no_more_than_three_hundred_lines_are_taken() -> None:
    assert len(_lines("decision: a\n" * 1_000)) == 300


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_error(text: str) -> None:
    read(text, TODAY)
    read(f"action: {text}", TODAY)


_PIECES = st.sampled_from(
    [
        "action:",
        "decision:",
        "carry",
        "#2",
        "3:",
        "@raj",
        "Raj",
        "to",
        "by",
        "Fri",
        "3 Nov",
        ",",
        "and",
        "\n",
        "- ",
        "  ",
        ":",
        "x",
        "(",
        "in 2 weeks",
        "<",
        "@",
    ]
)


@given(st.lists(_PIECES, max_size=40).map(" ".join))
def test_any_row_of_words_is_read_without_an_error(text: str) -> None:
    for line in _lines(text):
        assert line.due is None or line.due > TODAY
        assert line.text or line.kind == "carry"
        assert line.kind == "action" or not line.owner


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        " ",
        "by ",
        "action: @raj by Fri\n",
        "action: by by by by\n",
        "@raj ",
        "@a",
        "Raj ",
        "Raj, ",
        "#2 ",
        "#2, ",
        "\n",
        "carry #3, ",
        "in a ",
        "1 ",
        "- \n",
        "decision:\n",
        "Thanks,\n",
        "<",
        "a@",
    ],
)
def test_a_megabyte_is_read_in_bounded_time(piece: str) -> None:
    for begin in ("", "action: ", "carry: ", "decision (", "#2\n"):
        text = begin + piece * (1_000_000 // len(piece))
        began = process_time()
        read(text, TODAY)
        assert process_time() - began < 2.0, begin
