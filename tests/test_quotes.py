"""What is folded of a text and what stays visible."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.threading.quotes import fold, shown


def seen(text: str) -> str:
    return shown(text, fold(text))


@pytest.mark.parametrize(
    "attribution",
    [
        "On Tue, Mar 5, 2024 at 9:07 AM Ann Example <ann@example.org> wrote:",
        "On Tue, Mar 5, 2024 at 9:07 AM Ann Example\n<ann@example.org> wrote:",
        "On Tue, Mar 5, 2024 at 9:07 AM Ann Example <ann@example.org\n> wrote:",
        "On 5 Mar 2024, at 9:07, Ann\nExample <ann@example.org>\nwrote:",
        "Am 05.03.2024 um 09:07 schrieb Ann Example:",
        "Ann Example <ann@example.org> schrieb am Di., 5. März 2024,\n09:07:",
        "Le 5 mars 2024 à 09:07, Ann Example a écrit\u00a0:",
        "El mar, 5 mar 2024 a las 9:07, Ann Example (<ann@example.org>) escribió:",
        "Il 5 marzo 2024 09:07 Ann Example <ann@example.org> ha scritto:",
        "Op 5 mrt. 2024 om 09:07 schreef Ann Example <ann@example.org>:",
        "Den 5. mars 2024 kl. 09.07 skrev Ann Example <ann@example.org>:",
        "Em 5 de março de 2024 09:07, Ann Example <ann@example.org> escreveu:",
        "wt., 5 mar 2024 o 09:07 Ann <ann@example.org> napisał:",
        "вт, 5 мар. 2024 г. в 09:07, Анна <ann@example.org>:",
        "5 марта 2024, 09:07, Анна <ann@example.org> написала:",
        "вт, 5 бер. 2024 р. о 09:07 Ганна <ann@example.org> пише:",
        "ti 5. maaliskuuta 2024 klo 9.07 Ann (ann@example.org) kirjoitti:",
        "Dne 5. 3. 2024 v 9:07 Ann Example napsal(a):",
        "Den tis 5 mars 2024 kl 09:07 skrev Ann <ann@example.org>:",
        "2024年3月5日(火) 9:07 Ann <ann@example.org>:",
        "在 2024年3月5日，上午9:07，Ann <ann@example.org> 写道：",
        "2024년 3월 5일 (화) 오전 9:07, Ann <ann@example.org>님이 작성:",
        "5 Mar 2024 Sal 09:07 tarihinde Ann <ann@example.org> şunu yazdı:",
        "Ann Example <ann@example.org> writes:",
        "Ann Example wrote:",
        "2024-03-05 9:07 GMT+01:00 Ann Example <ann@example.org>:",
        "Ann Example <ann@example.org> schrieb am Di., 13. Aug.\n2024 09:07:",
        "On 5 Mar 2024 09:07, Ann Example Inc.\n<ann@example.org> wrote:",
        "Vào 9:07 5 tháng 3, 2024, Ann <ann@example.org> đã viết:",
        "W dniu 2024-03-05 09:07, ann@example.org pisze:",
        "在 2024年3月5日，上午9:07，Ann <ann@example.org> 寫道：",
        "2024/03/05 9:07、Ann <ann@example.org> のメッセージ:",
        '05.03.2024, 09.07, "Ann Example" <ann@example.org>:',
        '09:07 AM, March 5, 2024, "Ann Example" <ann@example.org>:',
        "On Tue, Mar 5, Ann Example\n<ann@example.org>\nwrote:",
        "Le lun. 5 mars, Ann Example\n<ann@example.org>\na écrit :",
        "--- On Tue, 3/5/24, Ann Example\n<ann@example.org> wrote:",
        "On Tue, 5 Mar 2024 09:07:11 -0200 Ann Example <ann@example.org> wrote",
        "On 5-Mar-2024, at 9:07 AM, Ann Example <ann@example.org> sent:",
        "------On 3/5/2024 9:07 AM, Ann Example wrote-----",
    ],
)
@pytest.mark.parametrize("between", ["\n", "\n\n"])
def test_a_quote_folds_with_the_attribution_before_it(attribution: str, between: str) -> None:
    text = f"I agree.\n\n{attribution}{between}> First.\n>\n> Second.\n"
    assert seen(text) == "I agree."
    assert [part.kind for part in fold(text)] == ["quote"]


@pytest.mark.parametrize(
    "line", ["Three things follow:", "Here is what the manual of the old pump says about it, as Ann wrote:"]
)
def test_a_sentence_of_the_authors_own_before_a_quote_stays(line: str) -> None:
    assert seen(f"{line}\n> quoted\nand mine\n") == f"{line}\nand mine"


@pytest.mark.parametrize(
    "line",
    [
        "Thanks, that works. On Tue, Mar 5, 2024 at 9:07 AM, Ann Example <ann@example.org> wrote:",
        "Thanks, that works--- On Tue, 3/5/24, Ann Example <ann@example.org> wrote:",
        "Danke! Am 05.03.2024 um 09:07 schrieb Ann Example:",
        "On Monday then. On Tue, Mar 5, 2024 at 9:07 AM, Ann Example <ann@example.org> wrote:",
        "Thanks On Tue Mar 5 Ann Example <ann@example.org> wrote:",
        "Спасибо. вт, 5 мар. 2024 г. в 09:07, Анна <ann@example.org>:",
    ],
)
def test_words_that_share_a_line_with_an_attribution_stay(line: str) -> None:
    assert seen(f"mine\n{line}\n> theirs\n") == f"mine\n{line}"
    wrapped = line.replace(" Ann", "\nAnn")
    assert seen(f"mine\n{wrapped}\n> theirs\n").startswith(f"mine\n{wrapped.partition(chr(10))[0]}")


def test_the_name_that_marks_a_line_shares_it_with_no_words() -> None:
    assert seen("Bob> On 5 Mar 2024, Ann Example wrote:\n> theirs\nmine\n") == "mine"


@pytest.mark.parametrize(
    "above", ["Le test a été fait le 5 mars à 10:30.\nAnn a écrit :", "Am 5. März 2024 ging es los!\nAnn schrieb:"]
)
def test_a_sentence_with_a_date_above_an_attribution_stays(above: str) -> None:
    assert seen(f"mine\n\n{above}\n> theirs\n") == f"mine\n\n{above.partition(chr(10))[0]}"


@pytest.mark.parametrize(
    "line",
    [
        "I asked Ann <ann@example.org> on Monday, and this is what she wrote:",
        "I asked Ann <ann@example.org> and this is what she wrote:",
        "Yesterday she wrote to Ann <ann@example.org>:",
        "Ann Example <ann@example.org> sent:",
        "On 5 Mar 2024 09:07 Ann sent:",
        "I like what Ann <ann@example.org> wrote",
        "On 5 Mar 2024 09:07 Ann <ann@example.org> wrote\nthat it leaks.",
        "On Mar 5 I asked Ann <ann@example.org>, and then she wrote:",
        "In data of 2024, Ann wrote:",
        "在2024年3月5日的会议上，安写道：",
        "2024年3月5日の安のメッセージ:",
        "10:30, Pump review 2024, Ann <ann@example.org>:",
        "Release 2024 of 10.12, by Ann <ann@example.org>:",
    ],
)
def test_a_sentence_that_resembles_an_attribution_folds_nothing(line: str) -> None:
    text = f"mine\n\n{line}\n\nmore of mine"
    assert seen(text) == text


def test_a_long_sentence_with_an_address_before_a_quote_stays() -> None:
    line = "I asked ann@example.org about it, and this is what she wrote:"
    assert seen(f"mine\n\n{line}\n> theirs\n") == f"mine\n\n{line}"
    assert seen("mine\n\nann@example.org (Ann van Example) wrote:\n> theirs\n") == "mine"


def test_a_mark_that_ends_a_link_from_the_line_above_is_none() -> None:
    own = "See <https://example.org/pump\n> for more.\nIt leaks."
    assert seen(f"{own}\n> theirs\n") == own
    assert seen("> See <https://example.org/pump\n> for more.\nmine\n") == "mine"
    assert seen("See <https://example.org/pump>\n> theirs\n") == "See <https://example.org/pump>"
    assert seen("If a <\n> theirs\n") == "If a <"


@pytest.mark.parametrize("mark", [">", "> >", " > ", ">>>"])
def test_every_usual_mark_is_a_quote(mark: str) -> None:
    assert seen(f"mine\n{mark} theirs\n") == "mine"


def test_answers_between_quotes_stay_visible() -> None:
    text = "Ann wrote:\n> One?\nYes.\n\n> Two?\n\nNo.\n> Three?\n"
    assert seen(text) == "Yes.\n\n\nNo."
    assert len(fold(text)) == 3


def test_blank_lines_between_two_quotes_join_them() -> None:
    text = "mine\n> a\n\n\n> b\n\nAnn wrote:\n> > c\n"
    assert len(fold(text)) == 1


@pytest.mark.parametrize("separator", ["-- ", "--", "--  "])
def test_a_signature_folds_to_the_end(separator: str) -> None:
    text = f"mine\n{separator}\nAnn\n\nPump crew\n"
    assert seen(text) == "mine"
    assert [part.kind for part in fold(text)] == ["signature"]


def test_a_signature_above_a_quote_leaves_the_answer_below_it_visible() -> None:
    assert seen("mine\n-- \nAnn\n\nBob wrote:\n> theirs\n\nmine too\n") == "mine\n\nmine too"


def test_two_dashes_far_above_the_end_are_no_signature() -> None:
    text = "-- drop the view\n--\n" + "select 1;\n" * 30
    assert fold(text) == ()


def test_in_a_patch_only_the_last_separator_begins_the_signature() -> None:
    text = "Fix it.\n---\ndiff --git a/x b/x\n@@ -1,2 +1 @@\n a\n-- \n b\n-- \n2.39.2\n"
    assert seen(text).endswith(" a\n-- \n b")


def test_a_patch_below_a_signature_is_to_be_read() -> None:
    text = "Try this.\n\n-- \nAnn\n\nFrom 0a1b\nSubject: x\n\ndiff --git a/x b/x\n@@ -1 +1 @@\n-a\n+b\n"
    assert fold(text) == ()


def test_what_a_program_printed_with_dashes_is_no_signature() -> None:
    text = "It says:\n\n-- Enabled\n--   * pump\n--\n-- Disabled\n--   * valve\n"
    assert fold(text) == ()


def test_below_a_rule_words_of_a_person_are_no_footer() -> None:
    text = f"mine\n{'_' * 32}\nHi Ann,\n\nAlso mine.\n\nSee below.\nWrite to pump@lists.example.org.\n"
    assert fold(text) == ()


def test_below_a_quote_by_indentation_the_text_is_shown() -> None:
    text = "Yes.\n\nOn 5 Mar 2024 09:07, Ann wrote:\n\n    One?\n\n    Or two?\n\nTwo, I think.\n"
    assert seen(text) == "Yes.\n\nTwo, I think."
    assert seen(text.replace("    Or", "Or").replace("Two, I think.\n", "")) == "Yes."


def test_a_list_footer_folds_as_signature() -> None:
    footer = "_" * 47 + "\nPump mailing list\npump@lists.example.org\n"
    assert seen(f"mine\n{footer}") == "mine"
    assert seen(f"mine\n{'_' * 47}\nmore of mine\n").endswith("more of mine")


@pytest.mark.parametrize("line", ["Sent from my iPhone", "Von meinem iPhone gesendet", "Get Outlook for Android"])
def test_a_phones_advertisement_folds_as_signature(line: str) -> None:
    assert seen(f"mine\n\n{line}\n\nAnn wrote:\n> theirs\n") == "mine"
    assert seen(f"mine\n{line}\nmore of mine\n").endswith("more of mine")


@pytest.mark.parametrize(
    "line",
    [
        "-----Original Message-----",
        "-----Ursprüngliche Nachricht-----",
        "-----Message d'origine-----",
        "-------- Original Message --------",
        "-------- Oprindelig besked --------",
        "-------- Originalbesked --------",
        "-----Antwort Nachricht-----",
        "On Tue, Mar 5, 2024 at 9:07 AM Ann Example <ann@example.org> wrote:",
    ],
)
def test_a_quote_without_marks_folds_to_the_end(line: str) -> None:
    assert seen(f"mine\n\n{line}\nFrom: Ann\nSubject: x\n\ntheirs\n") == "mine"


@pytest.mark.parametrize(
    "line",
    [
        'In data 5 marzo 2024 09:07:11 "Ann Example" <ann@example.org> ha scritto:',
        "W dniu 2024-03-05 09:07, ann@example.org pisze:",
        "在 2024年3月5日，上午9:07，Ann <ann@example.org> 写道：",
        "于 2024年3月5日 上午9:07，Ann 写道：",
        "2024/03/05 9:07、Ann <ann@example.org> のメッセージ:",
        "Vào 9:07 5 tháng 3, 2024, Ann <ann@example.org> đã viết:",
        "05.03.2024, 09.07, Ann <ann@example.org>:",
        "09:07 AM, March 5, 2024, Ann <ann@example.org>:",
        "On Tue, Mar 5, Ann Example\n<ann@example.org>\nwrote:",
        "--- On Tue, 3/5/24, Ann Example <ann@example.org> wrote:\n\n\nFrom: Ann\nSubject: x\nTo: Bob",
        "On Tue, 5 Mar 2024 09:07:11 -0200 Ann Example <ann@example.org> wrote",
        "On 5-Mar-2024, at 9:07 AM, Ann Example <ann@example.org> sent:",
        "------On 3/5/2024 9:07 AM, Ann Example wrote-----",
        "Ann <ann@example.org>, 5 Mar 2024 Sal, 09:07 tarihinde şunu yazdı:",
    ],
)
def test_an_attribution_folds_what_has_no_marks_below_it(line: str) -> None:
    assert seen(f"mine\n\n{line}\n\ntheirs\n\nmore of theirs\n") == "mine"


@pytest.mark.parametrize("text", ["> only a quote\n", "-- \nonly a signature", "", "\n\n", ">"])
def test_where_all_would_be_folded_nothing_is(text: str) -> None:
    assert fold(text) == ()


def test_a_signature_stays_where_only_a_quote_were_left_besides() -> None:
    assert seen("> theirs\n-- \nAnn\n") == "-- \nAnn"


BLOCKS = [
    "From: Ann <ann@example.org>\nSent: Tuesday, 5 March 2024 09:07\nTo: Bob\nSubject: Re: Valve",
    "*Von:* Ann [mailto:ann@example.org]\n*Gesendet:* Dienstag\n*An:* Bob\n*Betreff:* Ventil",
    "De : Ann\nEnvoyé : mardi 5 mars\nÀ : Bob;\n Eva\nObjet : vanne",
    "Från: Ann\n\nSkickat: den 5 mars\n\nTill: Bob\n\nÄmne: ventil",
    "От: Анна\nДата: 5 марта\nКому: Иван\nТема: клапан",
    "发件人: 安\n发送时间: 2024年3月5日\n收件人: 波\n主题: 阀门",
    "Message du : 05/03/2024 09:07\nDe : Ann\nSujet : vanne",
    "De : Ann\nCopie à : Eva\nObjet : vanne",
]


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("rule", ["", "_" * 32 + "\n", " " + "-" * 30 + "\n\n"])
def test_a_header_block_folds_what_it_stands_above(block: str, rule: str) -> None:
    assert seen(f"mine\n\n{rule}{block}\n\ntheirs\n") == "mine"


UNDERLINED = [
    "Date: Tue, 5 Mar 2024 09:07:00 +0100\nSubject: Valve\nFrom: ann@example.org\nTo: bob@example.org",
    "To: bob@example.org\nFrom: ann@example.org\nDate: Tue, 5 Mar 2024 09:07:00 +0100",
    "From: ann@example.org\nDate: Tue, 5 Mar 2024 09:07:00 +0100",
]


@pytest.mark.parametrize("block", UNDERLINED)
def test_below_an_underline_a_header_block_may_have_any_order(block: str) -> None:
    line = "_" * 13
    assert seen(f"mine\n\n{line}\n{block}\n\ntheirs\n") == "mine"
    assert seen(f"mine\n\n{line}\n{block}\n\n> theirs\n\nmore of mine\n").split("\n") == [
        "mine",
        "",
        "",
        "more of mine",
    ]
    for own in (
        f"mine\n\n{block}\n\nmore of mine",
        f"mine\n\n{line}\n{block}\nmore of mine",
        f"mine\n\n{line}\n{block}\nMessage-ID: <1@example.org>\n\nmore of mine",
        f"mine\n\n{line}\n{block.replace('ann@', 'ann at ')}\n\nmore of mine",
        f"mine\n\n{line}\n{block.replace('09:07:00 +0100', 'or so')}\n\nmore of mine",
    ):
        assert seen(own) == own


def test_when_something_begins_and_ends_is_no_header_block() -> None:
    own = "We meet:\n\nDate: 5 March\nFrom: 10:00\nTo: 12:00\nSubject: the valve\n\nCome all."
    assert seen(own) == own
    from_first = own.replace("Date: 5 March\n", "").replace("10:00", "10 am")
    assert seen(from_first) == from_first


@pytest.mark.parametrize(
    "above",
    [
        "-------- Upprunalegur póstur --------\n",
        "---\n\n",
        "====\n",
        "* * *\n\n",
        "=" * 40 + "\n\n",
    ],
)
def test_a_title_or_a_rule_above_a_header_block_folds_with_it(above: str) -> None:
    assert seen(f"mine\n\n{above}{BLOCKS[0]}\n\ntheirs\n") == "mine"
    assert seen(f"mine\n\n{above}mine too\n").endswith(f"{above}mine too")
    passed_on = f"{above}{BLOCKS[0]}\n\ntheirs"
    assert shown(f"mine\n\n{passed_on}", fold(f"mine\n\n{passed_on}", forwarded=True)).endswith(passed_on)


@pytest.mark.parametrize("title", ["-------- Part 2 --------", "-------- What Ann said of the valve --------"])
def test_a_title_that_is_longer_or_has_a_number_is_the_authors(title: str) -> None:
    assert seen(f"mine\n\n{title}\n{BLOCKS[0]}\n\ntheirs\n") == f"mine\n\n{title}"


@pytest.mark.parametrize("above", ["-------- Upprunalegur póstur --------\n", "---\n\n"])
def test_a_title_or_a_rule_is_no_word_of_the_authors(above: str) -> None:
    assert seen(f"{above}{BLOCKS[0]}\n\ntheirs\n") == f"{above}{BLOCKS[0]}\n\ntheirs"


@pytest.mark.parametrize("title", ["-----Original Message-----", "---- Original Message ----------\n"])
def test_what_outlook_passes_on_is_kept(title: str) -> None:
    text = f"Please read.\n\n{title}\n{BLOCKS[0]}\n\ntheirs"
    assert shown(text, fold(text, forwarded=True)) == text
    assert seen(text) == "Please read."
    assert seen(text.removeprefix("Please read.\n\n")) == "theirs"


def test_answers_between_the_marks_below_a_title_and_an_attribution_stay() -> None:
    said = "------- Original Message -------\nOn 5 Mar 2024 09:07, Ann <ann@example.org> wrote:\n\n"
    assert seen(f"See below.\n\n{said}> One?\nYes.\n> Two?\nNo.\n").split() == ["See", "below.", "Yes.", "No."]
    assert seen(f"mine\n\n{said}theirs\n") == "mine"


def test_answers_between_the_marks_below_a_header_block_stay() -> None:
    text = f"See below.\n\n-----Original Message-----\n{BLOCKS[0]}\n\n> One?\nYes.\n> Two?\nNo.\n"
    assert seen(text).split() == ["See", "below.", "Yes.", "No."]


@pytest.mark.parametrize(
    "words",
    ["Please see my answers inline.", "I replied in red.", "My comments are below.", "Meine Antworten stehen im Text."],
)
def test_who_says_that_answers_stand_inside_the_quote_is_believed(words: str) -> None:
    text = f"{words}\n\n{BLOCKS[0]}\n\nDoes it leak?\n\nIt does not.\n"
    assert seen(text).split("\n") == [words, "", "", "Does it leak?", "", "It does not."]
    assert seen(text.replace(words, "The log is below.")) == "The log is below."


@pytest.mark.parametrize("block", BLOCKS)
def test_a_mail_that_is_passed_on_is_kept(block: str) -> None:
    text = f"Please read.\n\n{block}\n\ntheirs\n"
    assert shown(text, fold(text, forwarded=True)) == text.strip()
    assert seen(f"{block}\n\ntheirs\n") == f"{block}\n\ntheirs"


@pytest.mark.parametrize(
    "line",
    [
        "---------- Forwarded message ---------",
        "-------- Weitergeleitete Nachricht --------",
        "-------- Forwarding messages --------",
        "-------- 转发邮件信息 --------",
    ],
)
def test_what_stands_below_the_line_of_a_forward_is_kept(line: str) -> None:
    text = f"mine\n\n{line}\nFrom: Ann\nDate: today\nSubject: Valve\nTo: Bob\n\ntheirs"
    assert seen(text) == text
    assert seen(text.removeprefix("mine\n\n")) == "theirs"


def test_headers_that_somebody_pasted_are_their_own_words() -> None:
    text = "See:\nFrom: ann@example.org\nTo: bob@example.org\nSubject: x\nMessage-ID: <1@example.org>\n\nWhy?"
    assert fold(text) == ()


@pytest.mark.parametrize("subject", ["[PATCH] valve: close it", "[RFC PATCH v2 1/3] valve: close it"])
def test_a_patch_that_somebody_pasted_is_to_be_read(subject: str) -> None:
    head = f"From: Ann <ann@example.org>\nDate: Tue, 5 Mar 2024 09:07:00 +0100\nSubject: {subject}"
    text = f"Ann wrote:\n> Have you one?\nYes:\n\n{head}\n\nIt leaks.\n---\n--- a/valve\n+++ b/valve"
    assert seen(text).endswith(text.partition("Yes")[2])
    assert seen(f"I agree.\n\n{head}\nTo: Bob\n\nIt leaks.\n") == "I agree."


LOG = "The pump says:\n\n> valve 3 open\n>> valve 4 stuck\n\nWhat is it?"


def test_the_marks_of_a_mail_that_answers_nothing_are_its_authors_own() -> None:
    assert shown(LOG, fold(LOG, answers=False)) == LOG
    assert seen(LOG) == "The pump says:\n\n\nWhat is it?"


@pytest.mark.parametrize("attribution", ["Ann wrote:", "On 5 Mar 2024 09:07, Ann <ann@example.org> wrote:"])
def test_below_an_attribution_marks_quote_in_a_mail_that_answers_nothing_too(attribution: str) -> None:
    text = f"{LOG}\n\n{attribution}\n\n> It leaks.\n\nSo I see.\n\n> Here too.\n"
    assert shown(text, fold(text, answers=False)).split("\n") == [*LOG.split("\n"), "", "", "So I see."]


@pytest.mark.parametrize("words", ["new ones prefixed by >>", "The bad ones are marked with '>>'"])
def test_who_says_what_the_marks_mean_is_believed(words: str) -> None:
    text = f"All errors ({words}):\n\n   in pump.c:\n>> pump.c:7: no valve\n   pump.c:8: note"
    assert seen(text) == text
    answer = f"On 5 Mar 2024 09:07, Ann <ann@example.org> wrote:\n> It is.\n\n{text}"
    assert ">> pump.c" not in seen(answer)


def test_below_an_attribution_that_quotes_nothing_the_text_is_shown() -> None:
    assert seen("On 5 Mar 2024 09:07, Ann <ann@example.org> wrote:\n\nMaybe mine.\n") == "Maybe mine."


def test_where_attributions_stand_one_below_another_and_the_last_quotes_nothing_all_is_shown() -> None:
    said = "On 5 Mar 2024 09:07, Ann <ann@example.org> wrote:"
    stacked = f"They all begin so:\n{said}\n\nOr so:\n{said}\n"
    assert seen(stacked) == stacked.strip()
    assert seen(f"{stacked}\ntheirs\n") == "They all begin so:"
    assert seen(f"mine\n\n{said}\n") == "mine"


@pytest.mark.parametrize(
    "line",
    [
        "Envoyé de mon téléphone Android",
        "Verstuurd vanaf mijn iPad",
        "Skickat från min iPhone",
        "Sent from my cell, please excuse typos.",
        "Inviato da Outlook per Android",
        "Download Outlook for Android<https://example.org/android>",
        "Télécharger Outlook pour iOS <https://example.org/ios>",
        "Outlook für iOS beziehen <https://example.org/ios>",
        "Laden Sie Outlook für Android herunter",
        "Obtener Outlook para Android",
        "Scarica Outlook per iOS",
        "Outlook voor Android downloaden",
        "Hämta Outlook för iOS",
        "Pobierz aplikację Outlook dla systemu Android",
        "获取适用于 iOS 的 Outlook <https://example.org/ios>",
        "iOS 版 Outlook を入手",
        "Sent from Pumpmail<https://www.pumpmail.example.org/r?b=26>",
        "Sent from TypeApp",
        "Sent from my Valvo PUMP 5G Plus 12",
        "Von meinem Pumpenphone 12 gesendet",
        "Diese Nachricht wurde von meinem Android-Gerät mit K-9 Mail gesendet.",
        "-Ann van Example",
        "/Ann",
        "/Ann-Marie Example",
        "\u1427",
    ],
)
def test_the_last_line_may_be_none_of_the_authors_words(line: str) -> None:
    assert seen(f"mine\n\n{line}\n") == "mine"


@pytest.mark.parametrize(
    "line",
    [
        "Sent from my desk, which is easier than the phone.",
        "From my phone I cannot see it.",
        "Von meinem Handy aus geht es nicht.",
        "Download Outlook for Android and try again",
        "Outlook for Android",
        "We use Outlook for iOS <https://example.org/ios>",
        "Sent from Berlin <https://example.org/pump>",
        "Sent from my desk in the old pump house",
        "-Yes",
        "- one more point",
        "/etc",
        "/ Greetings",
        "/Ann/x",
    ],
)
def test_a_last_line_of_words_stays(line: str) -> None:
    assert seen(f"mine\n\n{line}\n") == f"mine\n\n{line}"


def test_disclaimers_and_warnings_of_gateways_fold() -> None:
    below = "_____\nThis e-mail is confidential and meant for the intended recipient only."
    above = "CAUTION: This email originated from outside of the organisation."
    assert seen(f"{above}\n\nmine\n\n{below}\n") == "mine"


@pytest.mark.parametrize(
    "above",
    ["_" * 30 + "\n", "-----\n\n", "_____\nDisclaimer\n\n", "*CONFIDENTIALITY NOTICE:*\n-----\n", "_____\n\n-----\n"],
)
def test_a_disclaimer_folds_with_the_rule_and_the_title_above_it(above: str) -> None:
    below = "The information in this e-mail is confidential and meant for the intended recipient only."
    assert seen(f"mine\n\n{above}{below}\n\nIt was scanned.\n") == "mine"
    assert seen(f"mine\n\n{above}The valve.\n").endswith("The valve.")


@pytest.mark.parametrize("above", ["", "Disclaimer\n\n", "*CONFIDENTIALITY NOTICE:*\n", "-----\nAnn Example\n\n"])
def test_words_that_no_rule_sets_off_are_their_authors_whatever_they_say(above: str) -> None:
    below = "This plan is confidential until the intended recipients have it.\n\nThe valve goes on Monday."
    own = f"mine\n\n{above}{below}"
    assert seen(f"{own}\n") == own


@pytest.mark.parametrize("title", ["CONFIDENTIALITY NOTICE: ", "*Disclaimer*: ", "Haftungsausschluss : "])
def test_a_disclaimer_that_begins_with_its_title_folds(title: str) -> None:
    below = "This e-mail is confidential and meant for the intended recipient only."
    assert seen(f"mine\n\n{title}{below}\n") == "mine"
    assert seen(f"mine\n\n{title}The valve goes on Monday.\n").endswith("Monday.")


def test_the_disclaimers_below_one_rule_fold_together() -> None:
    one = "This e-mail is confidential and meant for the intended recipient only."
    other = "Diese E-Mail ist vertraulich und nur für den Empfänger bestimmt."
    assert seen(f"mine\n\n_____\n{one}\n\n{other}\n") == "mine"
    assert seen(f"mine\n\n_____\n{one}\n\n_____\n{other}\n") == "mine"


def test_a_rule_right_below_the_closing_words_begins_the_signature() -> None:
    card = "Thanks,\n___________________\nAnn Example\nPump crew\n_____________\n"
    assert seen(f"mine\n\n{card}") == "mine"
    assert seen(f"mine\n\nOpened,\n{card.partition(chr(10))[2]}").endswith(f"Pump crew\n{'_' * 13}")
    assert "more of mine" in seen("mine\n\nThanks,\n_____\n" + "more of mine\n" * 12)
    assert "+++" in seen("mine\n\nThanks,\n_____\n--- a/x\n+++ b/x\n")


def test_closing_words_above_the_footer_of_a_list_stay() -> None:
    footer = "_" * 47 + "\nPump mailing list -- pump@lists.example.org\n"
    assert seen(f"mine\n\nThanks\n{footer}") == "mine\n\nThanks"


PIECES = [
    *[
        "> a\n",
        ">\n",
        "\n",
        "mine\n",
        "-- \n",
        "--\n",
        "Ann wrote:\n",
        "On 5 Mar 2024, Ann\n",
        "<a@example.org> wrote:\n",
    ],
    *[
        "-----Original Message-----\n",
        "_" * 40 + "\n",
        "mailing list\n",
        "Sent from my iPhone\n",
        "diff --git \n",
        ">:\n",
    ],
    *["\r", "\u2028", "\ud800", "\x00", ">" * 400, " ", "On ", "x" * 400 + ":\n"],
]


@pytest.mark.acceptance(26)
@given(text=st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map("".join)))
def test_folds_are_whole_lines_ascending_and_inside_the_text(text: str) -> None:
    folds = fold(text)
    end = 0
    for part in folds:
        assert end <= part.start < part.end <= len(text)
        assert part.start == 0 or text[part.start - 1] == "\n"
        assert part.end == len(text) or text[part.end - 1] == "\n"
        assert part.kind in ("quote", "signature")
        end = part.end
    assert not text.strip() or shown(text, folds)


def work(call: Callable[[str], Any], text: str) -> int:
    """Lines of Python that a call runs; what one line costs is bounded, since patterns see 300 characters at most."""
    count = 0

    def trace(_frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call(text)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.acceptance(26)
@pytest.mark.parametrize(
    "piece",
    [
        '(" on xxxxxxxxxx at ")',
        "<",
        "> a\n\n\n",
        "On 5 Mar 2024 at 9:07 Ann\n",
        "Ann wrote:\n> a\n",
        "mine\n-- \nAnn\n> a\n",
        "_" * 40 + "\nx\n",
        "--\nx\n",
        "Sent from my iPhone\n\n",
        "\n",
        "<a\n> wrote:\n",
        "From: a\n\n",
        "On 5 Mar 2024\n\n<\n",
        "From: a\nTo: b\nSubject: c\n\n",
        "a\nOn 5 Mar 2024 at 9:07 Ann wrote:\n\n    a\n    b\n",
        "a\nOn 5 Mar 2024 at 9:07 Ann wrote:\n\n    a\nb\n",
    ],
)
def test_twice_the_text_is_at_most_twice_the_work(piece: str) -> None:
    assert work(fold, piece * 400) < 2.5 * work(fold, piece * 200)


@pytest.mark.acceptance(26)
def test_of_a_long_line_only_the_beginning_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    longest = 0

    class Counting:
        """A pattern that notes how much text it is shown."""

        def __init__(self, pattern: Any) -> None:
            self.pattern = pattern

        def __getattr__(self, name: str) -> Any:
            def call(text: str, *since: int) -> Any:
                nonlocal longest
                longest = max(longest, len(text))
                return getattr(self.pattern, name)(text, *since)

            return call

    from tidings.threading import attributions, endings, headings, quotes, signatures

    for module in (attributions, endings, headings, quotes, signatures):
        for name in [name for name, value in vars(module).items() if hasattr(value, "finditer")]:
            monkeypatch.setattr(module, name, Counting(getattr(module, name)))
    for piece in ("<", ">", "On 5 Mar 2024 wrote: ", "_", "Sent from my phone ", " "):
        fold(f"mine\n{piece * 50_000}\n> a\n{piece * 50_000}:\n> b\n")
    assert 300 <= longest <= 3 * 301 + 2
