"""The topics that somebody proposes for an agenda, as they are written in a mail; pure.

It decides neither whether a mail proposes anything nor what becomes of a topic.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tidings.mailer.plain_lines import bare, clean, cut, fold, is_bullet, own, without_closing

MOST = 20
"""How many topics one mail may propose."""

TITLE_LENGTH = 120

_TEXT_LENGTH = 20_000
_LONGEST = 240  # minutes
_ONE = (
    "topic|thema|tema|sujet|subject|agenda(?: item)?|aob|proposal|vorschlag|propuesta|proposition|top"
    "|tagesordnungspunkt"
)
_SEVERAL = "topics|themen|temas|sujets|agenda items|proposals|vorschläge|propuestas|propositions"
_OTHER = r"any other business|ordre du jour|orden del d[ií]a|tagesordnung|sonstiges|varios|divers"
_MARK = re.compile(
    rf"(?i)(?:[0-9]{{1,2}}[.)]\s*)?[*_]*(?:({_SEVERAL})|{_ONE}|{_OTHER})\s?[0-9]{{0,2}}\s?[*_]*[:：][*_]*\s*(.*)"
)
_LISTED = re.compile(r"(?:[0-9]{1,2}[.)]\s+)(?=\S)")
_PREFIX = re.compile(
    r"(?i)\s*(?:(?:re|aw|sv|antw|antwort|fwd?|wg|tr|rv|res|rif)\s?(?:\[[0-9]{1,3}\])?\s?[:：]|\[[^\]]{1,40}\])\s*"
)
_MINUTES = re.compile(
    r"(?i)(?:^|[\s,;–—-]*)[(\[]?\s?\b(?:[0-9]{1,3}\s?[-–]\s?)?([0-9]{1,3})\s?"
    r"(min(?:s|ute[ns]?|utos?)?|['′]|h|hours?|stunden?|horas?|heures?)\.?\s?[)\]]?$"
)
_EMPTY = re.compile(
    r"(?:\(?(?:no|ohne|kein|sin|sans|aucun) (?:subject|betreff|asunto|objet|sujet|title|titel)\)?"
    r"|(?:new |my |a |nus |mein |nuvo |nouvau )?"
    r"(?:topics?|agenda|thema|themen|temas?|sujets?|proposals?|vorschlag|propusta|proposition|meeting|treffen|reunion|subject"
    r"|betreff|asunto|objet|aob|agenda item|idea|ide|question|frage|pregunta|hi|hello|hallo|hola|bonjour))?\W*"
)
_GREETING = re.compile(
    r"(?i)(?:hi|hello|hey|dear|hallo|liebe[rs]?|moin|guten (?:tag|morgen|abend)|servus|hola|buen[oa]s?|querid[oa]s?"
    r"|bonjour|salut|ch[eè]re?s?)\b[^.?!:\n]{0,40}[,.:!]?"
)
_SENTENCE = re.compile(r"[.!?](?=\s|$)")


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One topic: a title of one line, what is said to it, and how many minutes are asked for."""

    title: str
    text: str
    minutes: int | None = None


def topics(subject: str, text: str) -> tuple[Topic, ...]:
    """The topics of a mail's subject and own text, at most 20.

    A line `topic: ...` begins one, and what is below it is its text. Without any the subject is the title and the whole
    is the text; where the subject says nothing, the first sentence is the title.
    """
    lines = without_closing(own(text))
    above, marked = _marked(lines)
    named = _named(subject)
    if marked:
        said = {fold(title[:TITLE_LENGTH]) for title, _ in marked[:MOST]}
        first = [(named, above)] if named and fold(named[:TITLE_LENGTH]) not in said else []
        return tuple(_made(first + marked))
    whole = _text(lines)
    title = "" if _says_nothing(_bare_subject(subject)) else _bare_subject(subject)
    return tuple(_made([(title or _first_sentence(lines), whole)])) if title or whole else ()


def has_topics(text: str) -> bool:
    """Whether a line `topic: ...` stands in a text."""
    return any(_MARK.fullmatch(bare(line)[:TITLE_LENGTH]) for line in own(text))


def _marked(lines: Sequence[str]) -> tuple[str, list[tuple[str, str]]]:
    """What stands above the first topic line, and each one's title with the text below it."""
    blocks: list[tuple[str, list[str]]] = [("", [])]
    is_list, is_open = False, False  # below `topics:`, and below a `topic:` that has its title in the next line
    for line in lines:
        said = bare(line)
        listed = _LISTED.match(said)
        if found := _MARK.fullmatch(said):
            is_list, is_open = found[1] is not None and not found[2], not found[1] and not found[2]
            if found[2]:
                blocks.append((found[2], []))
        elif is_list and said and (is_bullet(line) or listed):
            blocks.append((said[listed.end() :] if listed else said, []))
        elif is_open and said:
            blocks.append((said, []))
            is_open = False
        else:
            blocks[-1][1].append(line)
    return _text(blocks[0][1]), [(title, _text(below)) for title, below in blocks[1:]]


def _made(found: Iterable[tuple[str, str]]) -> Iterator[Topic]:
    for title, text in list(found)[:MOST]:
        name, minutes = _timed(clean(title[:1_000]).strip("*_ "))
        if name or text:
            yield Topic(title=cut(name, TITLE_LENGTH) or _first_sentence(text.split("\n")), text=text, minutes=minutes)


def _timed(title: str) -> tuple[str, int | None]:
    """A title without the minutes at its end, and these."""
    found = _MINUTES.search(title, max(0, len(title) - 30))
    if not found:
        return title, None
    minutes = int(found[1]) * (60 if found[2][0].lower() in "hs" else 1)
    return (title[: found.start()].rstrip(" ,;:-–—"), minutes) if 0 < minutes <= _LONGEST else (title, None)


def _text(lines: Sequence[str]) -> str:
    return clean("\n".join(lines)[:_TEXT_LENGTH], lines=True)


def _bare_subject(subject: str) -> str:
    """A subject without what programs and people put in front of it."""
    rest = clean(subject[:1_000])
    while (found := _PREFIX.match(rest)) and found.end():
        rest = rest[found.end() :]
    marked = _MARK.fullmatch(rest)
    return marked[2] if marked else rest


def _named(subject: str) -> str:
    """The title of a subject that is itself a topic line, and no answer to one."""
    marked = _MARK.fullmatch(re.sub(r"^\[[^\]]{1,40}\]\s*", "", clean(subject[:1_000])))
    return marked[2] if marked else ""


def _says_nothing(subject: str) -> bool:
    return _EMPTY.fullmatch(fold(subject)) is not None


def _first_sentence(lines: Sequence[str]) -> str:
    """The first sentence of the first paragraph that is more than a greeting, as a title."""
    said: list[str] = []
    for line in lines:
        bare_line = bare(line)
        if not bare_line and said:
            break
        if bare_line and (said or not _GREETING.fullmatch(bare_line)):
            said.append(bare_line)
    whole = clean(" ".join(said)[:1_000])
    end = _SENTENCE.search(whole)
    sentence = whole[: end.start() + (whole[end.start()] != ".")] if end else whole
    return cut(sentence, TITLE_LENGTH)
