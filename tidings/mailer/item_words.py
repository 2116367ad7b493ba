"""The words with which members answer an item of a digest, in English, German, Spanish and French.

It gives each word its meaning, and does nothing of what is asked for. A word counts where it stands alone: a sentence
that begins with it is a post.
"""

import re
from typing import Literal

from tidings.communities.joining import FORMATS
from tidings.mailer.days import MONTHS

Meaning = Literal["used", "answer"]

_COMMANDS = {
    "mute": "mute stumm stummschalten silenciar silencio muet sourdine",
    "follow": "follow folgen verfolgen seguir suivre",
    "resume": "resume fortsetzen reanudar reprendre",
    "leave": "leave unsubscribe abmelden austreten baja désabonner quitter",
    "pause": "pause pausa pausieren pausar",
    "keep all": "keep-all alles-behalten conservar-todo guardar-todo tout-garder",
}
_MEANING = {word.replace("-", " "): command for command, words in _COMMANDS.items() for word in words.split()}
_PAUSES = frozenset(_COMMANDS["pause"].split())
_UNTIL = re.compile(r"(?:until|bis(?: zum)?|hasta(?: el)?|jusqu['’]au) ")
_USED = re.compile(
    r"(?i)(?:used|benutzt|verwendet|angewendet|angewandt|usado|usada|aplicado|aplicada|utilisée?|appliquée?)\s?:\s*(?=\S)"
)
_ANSWERED = frozenset(
    (
        *("answered", "solved", "that worked", "this worked", "it worked", "that helped"),
        *("beantwortet", "gelöst", "das hat funktioniert", "hat funktioniert", "das hat geholfen", "hat geholfen"),
        *("respondido", "respondida", "resuelto", "eso funcionó", "funcionó", "eso ayudó"),
        *("répondu", "résolu", "ça a marché", "cela a marché", "ça a fonctionné"),
    )
)
_LETTERS = re.compile(r"[^\W\d_]{3,12}")
_SHORT = 3  # letters that a month has at least


def command(line: str) -> str | None:
    """The command that a line is, in English (`pause until 3 november`, `format text`); None where it is none."""
    said = _bare(line)
    if found := _MEANING.get(said):
        return found
    word, _, rest = said.partition(" ")
    if word == "format" and rest in FORMATS:
        return said
    until = _UNTIL.match(rest)
    # "Pause until the seal is fixed" answers somebody; what has a digit in it is meant as a day.
    if word not in _PAUSES or not until or not re.search(r"[0-9]", rest):
        return None
    return f"pause until {_LETTERS.sub(_in_english, _day(rest[until.end() :]))}"


def meaning(text: str) -> Meaning | None:
    """What a post says of the item by its first line: that it was `used: ...`, or that it was the answer."""
    first = text.lstrip().partition("\n")[0]
    if _USED.match(first):
        return "used"
    return "answer" if _bare(first) in _ANSWERED else None


def without_word(text: str) -> str:
    """The text of a post that says something was used, without that word."""
    bare = text.lstrip()
    found = _USED.match(bare)
    return bare[found.end() :] if found else bare


def _bare(line: str) -> str:
    return " ".join(line.lower().split()).rstrip(" .!").lstrip("¡")


def _day(text: str) -> str:
    """A day without what stands between its number and its month: "1er", "3 de noviembre"."""
    return re.sub(r"^([0-9]{1,2})er\b", r"\1", text).replace(" de ", " ")


def _in_english(found: re.Match[str]) -> str:
    """The English month that a word begins, where it is one and no other."""
    word = found[0]
    months = [names for names in MONTHS if any(name.startswith(word) for name in names.split())]
    return months[0].split()[0] if len(months) == 1 else word
