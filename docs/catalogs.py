"""Gathers the sentences of digests into the translators' catalogs: what is new is added, what is gone is taken out.

It translates nothing. A test tells which sentences a catalog misses.
"""

import re
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from tidings.communities.languages import FALLBACK, NAMES
from tidings.digests.words import LOCALE

TRANSLATED = tuple(code for code in NAMES if code != FALLBACK)

_SPOKEN = LOCALE.parent
_JINJA = {"newstyle_gettext": "true", "silent": "false"}
_METHODS = [("templates/**.txt", "jinja2"), ("templates/**.html", "jinja2"), ("**.py", "python")]
_OPTIONS = {"templates/**.txt": _JINJA, "templates/**.html": _JINJA}
# The methods of digests.words.Words, and what templates call.
_KEYWORDS = {"say": None, "count": (1, 2), "_": None}
_WIDTH = 120


def messages() -> Catalog:
    """Every sentence that is said in a digest, in the order of its first file, with the files that say it."""
    found = Catalog()
    extracted = extract_from_dir(_SPOKEN, _METHODS, _OPTIONS, keywords=_KEYWORDS)
    for file, _, message, _, context in extracted:
        found.add(message, locations=[(file, 0)], context=context)
    return found


def path(language: str) -> Path:
    """Where the catalog of a language is."""
    return LOCALE / f"{language}.po"


def catalog(language: str) -> Catalog:
    """The catalog of a language as it is. Raises OSError and babel's PoFileError."""
    with path(language).open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def page(language: str) -> str:
    """The catalog of a language as it should be: with every sentence, those that are new empty."""
    updated = catalog(language)
    updated.update(messages(), no_fuzzy_matching=True, update_creation_date=False)
    written = BytesIO()
    write_po(written, updated, width=_WIDTH, ignore_obsolete=True, include_lineno=False)
    # Which release of Babel wrote it says nothing, and would change the page.
    return re.sub(r'^"Generated-By: .*\n', "", written.getvalue().decode(), count=1, flags=re.MULTILINE)
