"""What an answer to an agenda says: words in four languages where they stand alone, and posts where they do not."""

import re
from datetime import date
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.house import ROOT
from tidings.mailer.agenda_words import AgendaWord, Topic, has_topics, read, topics
from tidings.mailer.commands import Problem

TODAY = date(2026, 10, 19)  # a Monday

Said = list[tuple[str, int | None, str]]


def _said(text: str) -> Said | str | None:
    found = read(text, TODAY)
    if found is None:
        return None
    return found.hint if isinstance(found, Problem) else [(one.verb, one.item, one.argument) for one in found]


# --- who comes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "lines"),
    [
        (
            "yes",
            "yes|Yes.|YES!|yep|yes, I'll be there|Yes, I’ll be there!|yes I'll be there|I'll be there|"
            "Yes - see you then",
        ),
        (
            "yes",
            "count me in|Yes, thanks|yes please, I'll come|I can make it|Hi Ana, yes, I'll be there|"
            "sure, see you there :)",
        ),
        ("yes", "*Yes*|- yes|ok, yes|yes yes|Accepted|Yes. Thanks, Sam|I am coming|Yes, I can come this week"),
        (
            "yes",
            "Ja|ja!|Ja, ich komme|Ja gerne|ja, bin dabei|Ich bin dabei.|bin dabei|Klar, ich komme|"
            "Ja, sehr gerne!|Komme gern",
        ),
        ("yes", "sí|Si|¡Sí!|Sí, allí estaré|sí, voy|cuenta conmigo|Claro que sí|Sí, puedo ir|me apunto|Sí, con gusto"),
        (
            "yes",
            "oui|Oui !|Oui, je viens|oui, j'y serai|Oui, avec plaisir|je serai là|Comptez sur moi|"
            "bien sûr, je viens|présente",
        ),
        (
            "no",
            "no|No.|nope|No, sorry|no, on nights|No, I'm on nights|No - on leave|Sorry, I can't make it|can't make it",
        ),
        (
            "no",
            "No, I can't come, I'm on shift|not this time|unfortunately not|I won't be there|"
            "cant make it, on nights sorry",
        ),
        (
            "no",
            "No, sorry, I am on nights this week|sorry, no|No thanks|regrets|I can't|No, asleep|"
            "No, I'll be asleep then",
        ),
        (
            "no",
            "Nein|nein, leider nicht|Nein, Nachtschicht|Leider nein, bin im Urlaub|kann leider nicht|"
            "ich kann nicht kommen",
        ),
        (
            "no",
            "Nein, ich habe Nachtschicht|ich schaffe es leider nicht|Leider kann ich nicht, habe Spätschicht|"
            "Nein danke",
        ),
        (
            "no",
            "no puedo|No puedo ir|No, estoy de noche|no, turno de noche|Lo siento, no puedo|no podré ir, de vacaciones",
        ),
        (
            "no",
            "non|Non, désolé|non, je suis de nuit|Je ne peux pas venir|je ne peux pas, en congé|Malheureusement non",
        ),
        (
            "maybe",
            "maybe|Perhaps|maybe, I'll try|not sure yet|I'll try to be there|Maybe, on nights|if I can|Tentative|"
            "yes, if I can",
        ),
        ("maybe", "vielleicht|Vielleicht.|weiß noch nicht|weiss noch nicht|mal sehen|Ich versuche es|evtl.|eventuell"),
        ("maybe", "quizás|quizas|tal vez|a lo mejor|no sé todavía|puede ser|Quizá, si puedo"),
        ("maybe", "peut-être|peut être|Peut-etre|je ne sais pas encore|Pas sûre|j'essaierai|si possible"),
    ],
)
def test_who_comes_is_read_in_each_language(verb: str, lines: str) -> None:
    for line in lines.split("|"):
        assert _said(line) == [(verb, None, "")], line
        for below in (
            "\n\nSam",
            "\n\nDanke, Sam",
            "\n-- \nSam Okafor\nLine 3",
            "\n\n> The agenda\n> #1 Seals",
            "\n\nBest regards,\nSam Okafor\nShift lead, line 3",
        ):
            assert _said(line + below) == [(verb, None, "")], line + below


@pytest.mark.parametrize(
    "text",
    [
        "No, I think the seal is worn.",
        "No, use the grey grease",
        "No, the seal is worn",
        "no, because line 3 needs the pump on Friday and nobody else can do it",
        "No, Loctite",
        "Yes, but the seal is worn",
        "yes, we did that in March and it held",
        "Yes.\n\nWe changed the seal on line 3 last week, and it is dry since.",
        "yes\nbut later",
        "yes, on nights",
        "yes and no",
        "yes\n\nno",
        "yes?",
        "Can you lead?",
        "Ja, aber die Dichtung ist verschlissen",
        "Nein, das liegt am Fett",
        "Sí, pero la junta está gastada",
        "Oui, mais le joint est usé",
        "on nights",
        "thanks",
        "Thanks, Sam",
        "Hi all,",
        "Sam",
        "",
        "   \n\n",
        "#2",
        "20 min",
        "2: 30 pm",
        "1: 2 bar, 2: 3 bar",
        "+1 bar more than last week",
        "second shift found it",
        "lead is soft",
        "The lead wire is broken",
        "host name is pump3",
        "order new seals",
        "order two more",
        "time flies",
        "place the pump on the bench",
        "swap the pump with the spare first",
        "swap pumps",
        "move to the next line and look at the seal there",
        "done with the seal, now the bearing",
        "not done",
        "cancel the leak test",
        "drop the pressure first",
        "withdraw the pin",
        "#2 the seal is worn",
        "#2 +1 and the seal is worn",
        "I can lead you to the pump",
        "-1",
        "notes are in the binder",
    ],
)
def test_a_sentence_is_a_post(text: str) -> None:
    assert _said(text) is None


# --- seconds, offers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "lines"),
    [
        (
            "second",
            "+1|+ 1|+1!|Second|seconded|I second this|+1 from me|me too|agreed|👍|I support this|Yes, +1|in favour",
        ),
        ("second", "dafür|Dafuer|Ich bin dafür|unterstütze ich|ich auch|Ich schließe mich an|+1 von mir"),
        ("second", "a favor|lo apoyo|de acuerdo|yo también|secundo|+1 de mi parte"),
        ("second", "pour|je suis pour|d'accord|D’accord !|moi aussi|j'appuie|je soutiens|+1 pour moi"),
        (
            "lead",
            "lead|I can lead|I'll lead|I’ll lead this|I can lead the discussion|I'd be happy to lead|"
            "Yes, I can lead|let me lead",
        ),
        ("lead", "ich leite|Ich kann leiten|ich moderiere|Ich übernehme die Leitung|ich leite gern"),
        ("lead", "yo dirijo|puedo dirigir|yo lo llevo|puedo moderar|me encargo"),
        ("lead", "j'anime|je peux animer|Je peux animer ce sujet|je m'en charge|j'animerai"),
        (
            "host",
            "host|I'll host|I can host|I can host this week|Ich bin Gastgeber|ich richte aus|puedo ser anfitrión|"
            "j'accueille|je peux accueillir",
        ),
        (
            "scribe",
            "scribe|I take notes|I'll take notes|minutes by me|I can take the minutes|I'll write the minutes|"
            "notes by me",
        ),
        ("scribe", "Protokoll|ich schreibe Protokoll|Protokoll mache ich|ich führe Protokoll|Ich protokolliere"),
        (
            "scribe",
            "tomo notas|puedo tomar notas|yo hago el acta|je prends des notes|Je fais le compte-rendu|"
            "je peux prendre des notes",
        ),
        (
            "swap",
            "swap|can't lead|I can't lead|I can't lead this week, on nights|pass it on|Please pass it on|"
            "cannot host|No, I can't lead",
        ),
        (
            "swap",
            "tauschen|bitte weitergeben|Ich kann leider nicht leiten|no puedo dirigir|"
            "je ne peux pas animer, désolé|pásalo",
        ),
        (
            "done",
            "done|Done!|it's done|erledigt|Ist erledigt.|hecho|ya está hecho|fait|c'est fait|Done, thanks|terminado",
        ),
        (
            "withdraw",
            "withdraw|I withdraw|I take it back|never mind|ich ziehe zurück|zurückgezogen|lo retiro|retiro|je retire",
        ),
        ("drop", "drop|drop this|remove it|streichen|quitar|supprimer"),
        (
            "cancel",
            "cancel the meeting|cancel|cancel this week's meeting|Treffen absagen|das Treffen fällt aus|"
            "cancelar la reunión|annuler la réunion",
        ),
        ("restore", "restore|restore the meeting|findet doch statt|restaurar|rétablir la réunion"),
    ],
)
def test_what_is_offered_or_asked_is_read_in_each_language(verb: str, lines: str) -> None:
    for line in lines.split("|"):
        assert _said(line) == [(verb, None, "")], line
        assert _said(f"#2 {line}") == [(verb, 2, "")], line
        assert _said(f"2: {line}\n\nThanks, Sam") == [(verb, 2, "")], line


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("#2 +1", [("second", 2, "")]),
        ("2: +1", [("second", 2, "")]),
        ("#2: seconded", [("second", 2, "")]),
        ("+1 #2", [("second", 2, "")]),
        ("+1 for #2", [("second", 2, "")]),
        ("+1 to item 2", [("second", 2, "")]),
        ("+1 #2 and #4", [("second", 2, ""), ("second", 4, "")]),
        ("#2, #4: +1", [("second", 2, ""), ("second", 4, "")]),
        ("I can lead #3", [("lead", 3, "")]),
        ("lead 3", [("lead", 3, "")]),
        ("I can lead #3 this week", [("lead", 3, "")]),
        ("Ich leite Punkt 3", [("lead", 3, "")]),
        ("puedo dirigir el punto 3", [("lead", 3, "")]),
        ("je peux animer le point 3", [("lead", 3, "")]),
        ("drop #3", [("drop", 3, "")]),
        ("drop 3", [("drop", 3, "")]),
        ("#3 streichen", [("drop", 3, "")]),
        ("cancel #3", [("cancel", 3, "")]),
        ("done #4", [("done", 4, "")]),
        ("restore #3", [("restore", 3, "")]),
        ("withdraw my topic", [("withdraw", None, "topic")]),
        ("withdraw #3", [("withdraw", 3, "")]),
        ("I withdraw my offer", [("withdraw", None, "offer")]),
        ("#3 withdraw my second", [("withdraw", 3, "second")]),
        ("ich ziehe mein Thema zurück", [("withdraw", None, "topic")]),
        ("je retire mon sujet", [("withdraw", None, "topic")]),
        ("retiro mi propuesta", [("withdraw", None, "topic")]),
        ("I can lead and host", [("lead", None, ""), ("host", None, "")]),
        ("yes, and I can take notes", [("scribe", None, "")]),
        ("#2\n+1\n\n#3\nI can lead", [("second", 2, ""), ("lead", 3, "")]),
        ("#2 +1\nI can lead\nyes", [("second", 2, ""), ("lead", 2, ""), ("yes", None, "")]),
        (
            "Hi Ana,\n\nyes\n#2 +1\n#3 I can lead\n\nBest regards\nSam",
            [("yes", None, ""), ("second", 2, ""), ("lead", 3, "")],
        ),
        ("Hallo zusammen,\n\nja, ich komme.\n\nGruß\nSam", [("yes", None, "")]),
        ("yes\n\nSent from my iPhone", [("yes", None, "")]),
    ],
)
def test_the_number_of_an_item_may_stand_at_either_end(line: str, found: Said) -> None:
    assert _said(line) == found


@pytest.mark.parametrize(
    ("line", "person"),
    [
        ("swap with @ana", "ana"),
        ("Swap with Ana", "Ana"),
        ("swap with Ana Lindgren", "Ana Lindgren"),
        ("swap with ana@example.org", "ana@example.org"),
        ("swap with Ana Lindgren <ana@example.org>", "ana@example.org"),
        ("Please swap with @ana, thanks", "ana"),
        ("pass it on to @ana", "ana"),
        ("hand over to Ana", "Ana"),
        ("tauschen mit Ana", "Ana"),
        ("Ich tausche mit @ana.", "ana"),
        ("weitergeben an Ana", "Ana"),
        ("cambiar con Ana", "Ana"),
        ("cambio con @ana", "ana"),
        ("échanger avec Ana", "Ana"),
        ("je passe la main à Zoé", "Zoé"),
    ],
)
def test_a_swap_names_with_whom(line: str, person: str) -> None:
    assert _said(line) == [("swap", None, person)]
    assert _said(f"#2: {line}") == [("swap", 2, person)]


# --- what leaders change --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "found"),
    [
        *(
            (line, ("order", None, "2 1 3"))
            for line in ("order 2 1 3", "Order: 2, 1, 3", "order #2 #1 #3", "order 2, 1 then 3")
        ),
        *((line, ("order", None, "2 1 3")) for line in ("Reihenfolge: 2, 1, 3", "orden 2 1 3", "ordre : 2 1 3")),
        *(
            (line, ("time", 2, "20"))
            for line in ("#2 20 min", "2: 20 min", "#2: 20 minutes", "#2 20'", "time #2 20", "#2 time 20")
        ),
        *(
            (line, ("time", 2, "20"))
            for line in ("20 min for #2", "#2 20 Minuten", "#2 20 minutos", "#2 Zeit: 20 min", "#2 20min.")
        ),
        ("time: 20", ("time", None, "20")),
        ("#2 half an hour", ("time", 2, "30")),
        ("#2 1 h", ("time", 2, "60")),
        ("#2 1h15", ("time", 2, "75")),
        ("place: room 4", ("place", None, "room 4")),
        ("Place: Room #4, hall B", ("place", None, "Room #4, hall B")),
        ("room: 4", ("place", None, "room 4")),
        ("Ort: Halle B", ("place", None, "Halle B")),
        ("Raum: 4", ("place", None, "raum 4")),
        ("lugar: sala 4", ("place", None, "sala 4")),
        ("lieu : salle 4", ("place", None, "salle 4")),
        ("link: https://meet.example.org/pump?x=1", ("place", None, "https://meet.example.org/pump?x=1")),
        *(
            (line, ("move", None, "2026-10-21T15:00"))
            for line in (
                *(
                    "move to Wed 21 Oct 15:00",
                    "Move to Wednesday 3pm",
                    "move the meeting to 21 Oct at 15:00",
                    "moved to 2026-10-21 15:00",
                ),
                *(
                    "move to 2026-10-21T15:00",
                    "reschedule to 15:00 on Wednesday",
                    "postpone until Wed, Oct 21, 3:00 pm",
                    "new time: Wed 15:00",
                ),
                *("please move it to Wed 15:00, thanks", "time: Wed 15:00", "move: 21 October 15:00"),
                *(
                    "verschieben auf Mi 21.10. 15 Uhr",
                    "verschoben auf Mittwoch, 21. Oktober, 15:00 Uhr",
                    "auf Mittwoch 15 Uhr verschieben",
                ),
                *("Das Treffen auf den 21.10. um 15 Uhr verschieben", "neuer Termin: Mittwoch 15 Uhr"),
                *(
                    "mover al miércoles 21 de octubre a las 15:00",
                    "mover la reunión al mié 21/10 15:00",
                    "aplazar al miércoles 15h",
                ),
                *(
                    "déplacer au mercredi 21 octobre à 15h",
                    "reporter la réunion à mercredi 15h",
                    "déplacer au 21/10 15h00",
                ),
            )
        ),
    ],
)
def test_what_leaders_change_is_in_one_spelling(line: str, found: tuple[str, int | None, str]) -> None:
    assert _said(line) == [found]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        *(
            (line, "move to Wed 21 Oct 15:00")
            for line in (
                *(
                    "move to someday",
                    "move to Wed",
                    "move to 15:00",
                    "move to Tue 21 Oct 15:00",
                    "move to 30 Feb 15:00",
                    "move",
                ),
                *(
                    "move to 12 Oct 2026 15:00",
                    "move to Wed 25:00",
                    "move to 11/10 15:00",
                    "move to Mon 15:00",
                    "move to next Wed 15:00",
                ),
                *("verschieben auf irgendwann", "mover al miércoles", "déplacer à demain"),
            )
        ),
        *((line, "order 2 1 3") for line in ("order", "order 2 1 1", "order 2 1234", "order: 2, the seals")),
        *((line, "#2 20 min") for line in ("#2 0 min", "#2 900 min", "time: long", "#2 time: soon")),
        *((line, "place: room 4") for line in ("place:", "Ort:", "place: " + "far " * 60)),
        *((line, "swap with @ana") for line in ("swap with", "tauschen mit")),
        ("yes\nmove to someday\nThanks, Sam", "move to Wed 21 Oct 15:00"),
    ],
)
def test_a_word_that_cannot_be_read_says_what_to_write(line: str, hint: str) -> None:
    found = _said(line)
    assert isinstance(found, str)
    assert hint in found


def test_every_word_and_topic_in_the_tables_of_the_docs_is_read() -> None:
    page = (ROOT / "docs/meetings-by-mail.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", page, flags=re.MULTILINE)
    words, lines = (
        re.findall(r"`([^`]+)`", "\n".join(re.findall(r"^\| `.*\|$", section, re.MULTILINE)))
        for section in sections
        if section.startswith(("Words", "Topics"))
    )
    assert len(words) > 80
    assert [word for word in words if not isinstance(read(word, TODAY), tuple)] == []
    assert [line for line in lines if not has_topics(line)] == []


def test_a_problem_beside_a_sentence_is_a_post() -> None:
    assert _said("move to someday\n\nThe pump on line 3 leaks again, and nobody knows why.") is None


def test_a_word_has_its_line_as_it_was_written() -> None:
    assert read("Hi,\n  - #2: *Seconded!*\n", TODAY) == (AgendaWord(verb="second", item=2, line="- #2: *Seconded!*"),)


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_error(text: str) -> None:
    read(text, TODAY)
    topics(text, text)
    has_topics(text)


_PIECES = st.sampled_from(
    [
        "yes",
        "no",
        "#2",
        "+1",
        ",",
        "\n",
        " ",
        "move to",
        "swap with",
        "order",
        "20 min",
        ":",
        "topic:",
        "by",
        "Wed",
        "@",
        "(",
        "15:00",
        "> ",
        "--",
    ]
)


@given(st.lists(_PIECES, max_size=30).map(" ".join))
def test_any_row_of_words_is_read_without_an_error(text: str) -> None:
    found = read(text, TODAY)
    assert found is None or isinstance(found, Problem) or all(one.item is None or one.item >= 0 for one in found)
    assert all(one.title and len(one.title) <= 120 for one in topics(text, text))


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        " ",
        "yes, ",
        "#2, ",
        "#2 and ",
        "\n",
        "yes\n",
        "> yes\n",
        "topic: x\n",
        "Thanks,\n",
        "15:",
        "(",
        "swap with a ",
        "*",
        "Re: ",
        "[a] ",
    ],
)
def test_a_megabyte_is_read_in_bounded_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    began = process_time()
    read(text, TODAY)
    topics(text, text)
    assert process_time() - began < 2.0


# --- topics ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "text", "found"),
    [
        ("Seal failures", "They fail again.", [("Seal failures", "They fail again.", None)]),
        ("Seal failures (20 min)", "", [("Seal failures", "", 20)]),
        ("Re: [Pump] Seal failures", "", [("Seal failures", "", None)]),
        ("AW: WG: [Pump] topic: Seal failures, 15 min", "", [("Seal failures", "", 15)]),
        ("topic: Seal failures", "Text.", [("Seal failures", "Text.", None)]),
        ("RE : Thema: Dichtungen", "", [("Dichtungen", "", None)]),
        (
            "",
            "The seals on line 3 fail. What grease do you use?",
            [("The seals on line 3 fail", "The seals on line 3 fail. What grease do you use?", None)],
        ),
        (
            "(no subject)",
            "Hi all,\n\nwhich grease do\nyou use? I am lost.\n\nThanks,\nSam",
            [("which grease do you use?", "Hi all,\n\nwhich grease do\nyou use? I am lost.", None)],
        ),
        *(
            (subject, "Spares.", [("Spares", "Spares.", None)])
            for subject in ("agenda", "topic", "Re:", "Re: Agenda", "Topic:", "Thema", "new topic", "[Pump]")
        ),
        ("", "", []),
        ("Re:", "  \n", []),
        ("agenda", "-- \nSam Okafor", []),
        ("x", "topic: Seals", [("Seals", "", None)]),
        (
            "agenda",
            "Hi all,\n\ntopic: Seals (20 min)\nThey fail.\n\nSince March.\n\n- Topic: Spares 10 min\nWhere?\n"
            "\nThanks,\nSam",
            [("Seals", "They fail.\n\nSince March.", 20), ("Spares", "Where?", 10)],
        ),
        (
            "",
            "1. topic: A\n2. topic: B [5 min]\n* *Topic:* C\nTHEMA: D\ntema: E\nsujet : F - 5'",
            [("A", "", None), ("B", "", 5), ("C", "", None), ("D", "", None), ("E", "", None), ("F", "", 5)],
        ),
        (
            "",
            "AOB: parking\nagenda: holidays\nordre du jour : congés",
            [("parking", "", None), ("holidays", "", None), ("congés", "", None)],
        ),
        (
            "",
            "Topics:\n- Seals 5 min\n- Spares\n\n1) Grease",
            [("Seals", "", 5), ("Spares", "", None), ("Grease", "", None)],
        ),
        ("", "topic:\nSeals\nThey fail.", [("Seals", "They fail.", None)]),
        ("topic: Seals", "All fail.\ntopic: Spares", [("Seals", "All fail.", None), ("Spares", "", None)]),
        ("topic: Seals", "topic: seals\nAll fail.", [("seals", "All fail.", None)]),
        ("Re: topic: Seals", "topic: Spares", [("Spares", "", None)]),
        ("", "> topic: old\ntopic: new\n> quoted", [("new", "", None)]),
        ("Seals 15-20 min", "", [("Seals", "", 20)]),
        ("Grease 1 h", "", [("Grease", "", 60)]),
        ("Changeover in 500 min", "", [("Changeover in 500 min", "", None)]),
        ("Seal\u0000s \u202efail\r\nBcc: x", "", [("Seal s fail Bcc: x", "", None)]),
        ("20 min", "Seals fail.", [("Seals fail", "Seals fail.", 20)]),
    ],
)
def test_topics_are_read_from_lines_or_from_the_subject(
    subject: str, text: str, found: list[tuple[str, str, int | None]]
) -> None:
    assert topics(subject, text) == tuple(
        Topic(title=title, text=below, minutes=minutes) for title, below, minutes in found
    )


def test_a_long_title_is_cut_at_a_word() -> None:
    (found,) = topics("seals " * 60, "")
    assert found.title == " ".join(["seals"] * 20) + "…"
    assert len(topics("x" * 500, "")[0].title) == 120


def test_one_mail_proposes_no_more_than_twenty() -> None:
    assert len(topics("", "topic: x\n" * 50)) == 20


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("topic: Seals", True),
        ("Hi,\n- Thema: Seals", True),
        ("> topic: Seals", False),
        ("The topic: seals", False),
        ("topic", False),
    ],
)
def test_a_topic_line_is_seen(text: str, found: bool) -> None:
    assert has_topics(text) is found
