"""The minutes of a meeting as a scribe writes them in a mail, line by line; pure.

It knows no meeting and no member: which numbers and names there are is for others to say.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import islice
from typing import Literal

from tidings.mailer import days
from tidings.mailer.days import Language
from tidings.mailer.plain_lines import bare, clean, cut, fold, indent, is_bullet, own, spellings, without_closing

Kind = Literal["decision", "action", "answer", "carry", "note"]

MOST = 300
"""How many lines are taken from one mail."""

_TEXT_LENGTH = 2_000
_TITLE_WORDS = 10  # of an item's title behind its number
_MOST_OWNERS = 10
_MOST_WORDS_OF_DAY = 7
_MOST_DUE = 6  # words of a task that may stand before its day

_WORDS: dict[Kind, str] = {
    "decision": (
        "decision|decisions|decided|agreed|resolved|resolution|we decided|we agreed"
        "|entscheidung|entscheidungen|beschluss|beschlüsse|beschlossen|entschieden|vereinbart|vereinbarung"
        "|decisión|decisiones|decidido|acordado|acuerdo|acuerdos|se acordó|se decidió"
        "|décision|décisions|décidé|convenu|on a décidé|nous avons décidé"
    ),
    "action": (
        "action|actions|action item|action items|todo|todos|to do|to-do|to-dos|task|tasks"
        "|aufgabe|aufgaben|maßnahme|maßnahmen|aktion|aktionen|zu tun|zu erledigen"
        "|acción|acciones|tarea|tareas|por hacer|tâche|tâches|à faire"
    ),
    "answer": (
        "answer|answers|answered|antwort|antworten|beantwortet|respuesta|respuestas|respondido|réponse|réponses|répondu"
    ),
    "carry": (
        "carry|carry over|carry-over|carry forward|carried|carried over|carried forward|next time|postponed|deferred"
        "|übertrag|übertragen|vertagt|verschoben|nächstes mal|aufs nächste mal|mitnehmen"
        "|aplazado|aplazada|aplazados|próxima vez|para la próxima|queda pendiente|pendiente"
        "|reporté|reportée|reportés|à reporter|prochaine fois|la prochaine fois"
    ),
    "note": (
        "note|notes|info|fyi|discussion|notiz|notizen|anmerkung|hinweis|diskussion|nota|notas|discusión"
        "|remarque|remarques|pour info"
    ),
}
_SEVERAL = frozenset(
    (
        *("decisions", "actions", "action items", "todos", "to-dos", "tasks", "answers", "notes", "entscheidungen"),
        *(
            "beschlusse",
            "aufgaben",
            "massnahmen",
            "aktionen",
            "antworten",
            "notizen",
            "decisiones",
            "acciones",
            "tareas",
        ),
        *("respuestas", "notas", "acuerdos", "taches", "reponses", "remarques", "todo", "to do", "zu tun", "a faire"),
        *("por hacer", "discussion", "diskussion", "carried over", "carry over", "next time"),
    )
)
_ALL = "|".join(
    sorted(
        {one for words in _WORDS.values() for word in words.split("|") for one in spellings(word)},
        key=len,
        reverse=True,
    )
)
_NUMBER = r"#\s?[0-9]{1,3}(?![\w.-])"
_AND = r"(?:\s?[,;&+]\s?(?:and |und |y |et )?|\s(?:and|und|y|e|et)\s)"
_NUMBERS = rf"{_NUMBER}(?:{_AND}{_NUMBER})*"
_PLAIN_NUMBERS = rf"#?\s?[0-9]{{1,3}}(?:{_AND}#?\s?[0-9]{{1,3}})*"
_HEADING = re.compile(r"#\s?([0-9]{1,3})(?![\w.-])[:.)]?(?:\s+|$)|([0-9]{1,3}):(?:\s+|$)")
_MARK = re.compile(
    rf"(?i)({_ALL})\s?(?:[(\[]?(?:(?:for|on|zu|para|pour|sur) )?({_NUMBERS})[)\]]?)?\s?[*_]{{0,3}}\s?"
    rf"(?:[:：]|\s[–—-]{{1,2}}(?=\s)|(?=\s@\w))[*_]{{0,3}}\s*"
)
_CARRY = re.compile(rf"(?i)(?:{_WORDS['carry']})\s?[:：]?\s*({_PLAIN_NUMBERS})?[.!]?")
_CARRIED = re.compile(
    rf"(?i)(?:items?\s|topics?\s|punkte?\s|puntos?\s|points?\s|and\s)?({_PLAIN_NUMBERS})[:.)]?(?=\s|$)\s*"
)
_DIGITS = re.compile(r"[0-9]{1,3}")

_ADDRESS = r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}"
_NAME = r"[^\W\d_a-zß-öø-ÿ][\w'’.-]{0,30}"
_NAMES = rf"{_NAME}(?:[ ](?:(?:de|der|la|van|von|del|di)[ ])?{_NAME}){{0,3}}"
_DUTY = (
    r"to|will|shall|should|must|has to|have to|is to|soll|sollen|sollte|muss|müssen|wird|werden|debe|deben|"
    r"tiene que|tienen que|va a|van a|doit|doivent|devra|va|vont"
)
_BEHIND = (
    r"(?=\s*(?:$|[,:;/.)<–—-])|"
    rf"\s+(?:{_DUTY}|and|und|y|et|by|until|bis|para|hasta|pour|avant|d['’]ici|due|before)\b)"
)
_AT = re.compile(
    rf"(?:@\s?)?<?(?:mailto:)?({_ADDRESS})>?"
    rf"|@(?:({_NAMES}){_BEHIND}|([^\W\d_][\w'’.-]{{0,39}}))(?:\s<(?:mailto:)?({_ADDRESS})>)?"
)
_BETWEEN = re.compile(r"(?i)\s*(?:[,/&+]|and\b|und\b|y\b|e\b|et\b)?\s*")
_AFTER = re.compile(rf"(?i)\s*(?:[:：,/]|[–—-](?=\s)|(?:{_DUTY})\b)?\s*")
_UNMARKED = re.compile(
    rf"({_NAMES}(?:(?:\s?[,/&+]\s?|\s(?:and|und|y|e|et)\s){_NAMES}){{0,4}})"
    rf"(?:\s?[:：]\s+|\s?/\s?(?=[a-zà-ÿ\s])|\s[–—-]\s|\s(?:{_DUTY})\s)"
)
_SPLIT_NAMES = re.compile(r"\s?[,/&+]\s?|\s(?:and|und|y|e|et)\s")
# Words with which a task may begin, in upper case, before a verb or a colon.
_NOBODY = frozenset(
    (
        *("we", "all", "everyone", "everybody", "anyone", "anybody", "someone", "somebody", "nobody", "team", "group"),
        *("crew", "tbd", "tba", "who", "they", "it", "this", "that", "there", "the", "i", "you", "please", "maybe"),
        *("wir", "alle", "jeder", "jemand", "niemand", "man", "das", "die", "der", "es", "bitte", "wer"),
        *("nosotros", "todos", "alguien", "nadie", "equipo", "quien", "se", "el", "la", "ella"),
        *("nous", "tous", "on", "quelqu'un", "personne", "equipe", "il", "elle", "ce", "qui"),
        *("need", "needs", "want", "try", "go", "continue", "remember", "talk", "speak", "listen", "reply", "write"),
        *("get", "return", "move", "switch", "send", "come", "back", "agree", "how", "what", "when", "where", "next"),
        *(
            "start",
            "stop",
            "able",
            "ready",
            "have",
            "has",
            "plan",
            "propose",
            "decide",
            "ask",
            "check",
            "look",
            "order",
        ),
        *("call", "bring", "give", "show", "make", "up", "in", "time", "nothing", "something", "add", "report"),
    )
)

_BY: dict[Language, str] = {
    "en": "by|until|till|before|due(?: date)?:?|no later than|deadline:?|not later than",
    "de": "bis spätestens|spätestens|bis zum|bis|vor|fällig:?|frist:?",
    "es": "antes del?|para|hasta|a más tardar|plazo:?|vence:?",
    "fr": "d['’]ici à|d['’]ici|avant|pour|jusqu['’](?:au|à)|au plus tard|échéance:?|délai:?",
}
_DUE = re.compile(
    r"(?i)(?<![\w'’])(?:" + "|".join(f"(?P<{language}>{words})" for language, words in _BY.items()) + r")(?=\s|$)"
    r"|(?<![\w'’])(?P<within>"
    r"(?:in|within|innerhalb(?: von)?|binnen|en|dentro de|dans|sous)\s(?=[0-9]{1,2}\s|[a-z]{1,6}\s))"
)
_LATEST = re.compile(
    r"(?i)(?:,? (?:at the latest|spätestens|a más tardar|au plus tard|please|bitte|por favor|svp|latest|eod))?"
    r"[\s.,;!)\]]*$"
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the minutes, under the agenda's number `item` or none.

    Of an action: `owner` is what stands behind @ or in front of the task (a name or an address; empty: nobody), `due` a
    day after the one on which it was written; `text` is the task without them. Of `carry` the text may be empty.
    """

    kind: Kind
    text: str
    item: int | None
    owner: str = ""
    due: date | None = None


@dataclass(frozen=True, kw_only=True)
class Minutes:
    """The lines of the minutes, in their order, notes among them."""

    lines: tuple[Line, ...]


@dataclass
class _Open:
    """A line that may go on below."""

    kind: Kind
    items: tuple[int | None, ...]
    text: list[str]
    indent: int
    is_marked: bool


def read(text: str, today: date) -> Minutes | None:
    """The minutes in a mail's own text; None where no line of a known kind stands in it.

    A line is marked by a word with a colon, in four languages, and goes on until an empty line or the next marked one.
    Text under an item's number that is not marked is a note. `today` is the day in the writer's zone.
    """
    found = list(_opened(without_closing(own(text))))
    if not any(one.is_marked for one in found):
        return None
    lines = (line for one in found for line in _lines(one, today))
    return Minutes(lines=tuple(islice(lines, MOST)))


def _opened(lines: Sequence[str]) -> Iterator[_Open]:
    """What stands in the lines, each with those that belong to it."""
    item, way = None, None  # under which number, and in which of the two ways numbers are written
    listed: Kind | None = None  # the kind of a list, as below "Actions:"
    now: _Open | None = None
    for line in lines:
        said = bare(line)
        heading = _HEADING.match(said)
        if heading and way in (None, heading.lastindex):
            way, item = heading.lastindex, int(heading[heading.lastindex or 1])
            said, listed = bare(said[heading.end() :]), None
        else:
            heading = None
        mark = _marked(said, item)
        if mark is None and not heading and said and now and _goes_on(now, line):
            now.text.append(said)
            continue
        if now and (said or heading or not _waits(now)):
            yield from _shut(now)
            now = None
        if mark is not None:
            now, listed = mark, mark.kind if _waits(mark) and _is_list(said) else None
            now.indent = indent(line)
        elif listed and said and is_bullet(line):
            now = _Open(kind=listed, items=(item,), text=[said], indent=indent(line), is_marked=True)
        elif said and item is not None and not (heading and _is_title(said)):
            now = _Open(kind="note", items=(item,), text=[said], indent=indent(line), is_marked=False)
            listed = None
        elif said:
            listed = None
    if now:
        yield from _shut(now)


def _marked(said: str, item: int | None) -> _Open | None:
    """A marked line, under its own number or that above it."""
    if (carry := _CARRY.fullmatch(said)) and (carry[1] or item is not None):
        items: tuple[int | None, ...] = tuple(map(int, _DIGITS.findall(carry[1] or ""))) or (item,)
        return _Open(kind="carry", items=items, text=[], indent=0, is_marked=True)
    found = _MARK.match(said)
    if not found:
        return None
    kind, rest = _KIND[fold(found[1])], said[found.end() :].strip("*_ ")
    items = tuple(map(int, _DIGITS.findall(found[2] or ""))) or (item,)
    if kind == "carry" and (numbers := _CARRIED.match(rest)):
        items, rest = tuple(map(int, _DIGITS.findall(numbers[1]))), rest[numbers.end() :]
    return _Open(kind=kind, items=items, text=[rest] if rest else [], indent=0, is_marked=True)


def _waits(now: _Open) -> bool:
    """Whether the text of a marked line is still to come."""
    return now.is_marked and not now.text and now.kind != "carry"


def _is_list(said: str) -> bool:
    return fold(said.rstrip(":： *_")) in _SEVERAL


def _goes_on(now: _Open, line: str) -> bool:
    """Whether an unmarked line belongs to what stands above it: a point of a list does where it stands further in."""
    return not is_bullet(line) or (indent(line) > now.indent and not _waits(now))


def _shut(now: _Open) -> Iterator[_Open]:
    if now.text or now.kind == "carry":
        yield now


def _is_title(said: str) -> bool:
    """Whether what stands behind a number is the title of its item, and not a sentence."""
    return said[-1] not in ".!" and len(said.split()) <= _TITLE_WORDS


def _lines(one: _Open, today: date) -> Iterator[Line]:
    text = cut(clean(" ".join(one.text)[: 2 * _TEXT_LENGTH]), _TEXT_LENGTH)
    for item in dict.fromkeys(one.items):
        line = Line(kind=one.kind, text=text, item=item)
        if one.kind == "action":
            yield from _actions(line, today)
        elif text or one.kind == "carry":
            yield line


# --- actions --------------------------------------------------------------------------------------------------------


def _actions(line: Line, today: date) -> Iterator[Line]:
    """An action, once for each of its owners, without them and its day in the text where they stand at its ends."""
    text, due = _due(line.text, today)
    owners, task = _owners(text)
    task, again = _due(task, today)  # in "@raj by Fri: order spares" it stands at an end only now
    due, task = due or again, task.strip(" ,;:–—-")
    for owner in owners or [""]:
        yield replace(line, text=task or line.text, owner=owner, due=due)


def _owners(text: str) -> tuple[list[str], str]:
    """Who is named in a task, and the task without the names where they stand at its ends."""
    if (front := _run(text, 0))[0]:
        return front[0], text[_after(text, front[1]) :]
    # An address further in without a mark is of somebody who is written to.
    marked = [found for found in _AT.finditer(text) if found[0].startswith("@")]
    if not marked:
        return _unmarked(text)
    last = next((one for one in marked[-_MOST_OWNERS:] if _run(text, one.start())[1] == len(text)), None)
    if last:
        task = re.sub(r"(?i)[\s,;:(–—-]*(?:\b(?:by|von|por|par))?[\s(]*$", "", text[: last.start()])
        return _run(text, last.start())[0], task
    return [_owner(found) for found in marked[:_MOST_OWNERS]], text


def _run(text: str, at: int) -> tuple[list[str], int]:
    """The owners that stand one behind the other at a place, and where they end."""
    owners: list[str] = []
    end = at
    while len(owners) < _MOST_OWNERS and (found := _AT.match(text, at)):
        owners.append(_owner(found))
        end = found.end()
        between = _BETWEEN.match(text, end)
        at = between.end() if between else end
    rest = text[end:].strip(" .,;:)]")
    return list(dict.fromkeys(owners)), end if rest else len(text)


def _after(text: str, end: int) -> int:
    found = _AFTER.match(text, end)
    return found.end() if found else end


def _owner(found: re.Match[str]) -> str:
    return found[1] or found[4] or (found[2] or found[3]).rstrip(".-'’")


def _unmarked(text: str) -> tuple[list[str], str]:
    """Names without a mark in front of a task: "Raj to order spares", "Raj: order spares"."""
    found = _UNMARKED.match(text)
    if not found:
        return [], text
    names = _SPLIT_NAMES.split(found[1])
    if any(fold(name) in _NOBODY or fold(name.split()[0]) in _NOBODY for name in names if name):
        return [], text
    return [name for name in names if name], text[found.end() :]


def _due(text: str, today: date) -> tuple[str, date | None]:
    """The last day that a task names as its end, and the task without it where it stands at one of its ends."""
    for found in list(_DUE.finditer(text))[: -_MOST_DUE - 1 : -1]:
        day = _day_behind(text, found, today)
        if day is None:
            continue
        end, due = day
        latest = _LATEST.match(text, end)
        if latest:
            return re.sub(r"[\s,;:(\[–—-]+$", "", text[: found.start()]), due
        if not found.start():
            return re.sub(r"^[\s,:;–—-]+", "", text[end:]), due
        return text, due
    return text, None


def _day_behind(text: str, found: re.Match[str], today: date) -> tuple[int, date] | None:
    """The longest day that stands behind the word for it, and where it ends."""
    name = found.lastgroup
    language = next((one for one in _BY if one == name), None)
    begin = found.start() if name == "within" else found.end()
    words = list(re.finditer(r"\S+", text[begin : begin + 80]))[:_MOST_WORDS_OF_DAY]
    for number in range(len(words), 0, -1):
        whole = text[begin : begin + words[number - 1].end()]
        for said in (whole.rstrip(",;:)]"), whole.rstrip(",;:)].")):
            due = days.read(said.strip(), today, earliest=today + timedelta(days=1), language=language)
            if due and not _is_part(said, whole, words[number:]):
                return begin + len(said), due
    return None


def _is_part(said: str, whole: str, behind: Sequence[re.Match[str]]) -> bool:
    """Whether a day goes on behind, and is not that day: "Fri 3 Oct", where that is no Friday or over."""
    return whole[len(said) :] in ("", ",") and bool(behind) and days.looks_dated(behind[0][0])


_KIND: dict[str, Kind] = {fold(word): kind for kind, words in _WORDS.items() for word in words.split("|")}
