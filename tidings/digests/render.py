"""Prints an edition: its stored items as text and as HTML, and the message in the format that its reader chose.

It chooses nothing (select) and writes nothing (editions): the same edition gives the same bytes at every delivery.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime as mail_date
from email.utils import formataddr
from functools import cache, lru_cache
from html import escape
from itertools import count, groupby
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import css_inline
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from sqlalchemy import Connection

from tidings.communities.directory import Community
from tidings.digests import agenda_sentences, shelf, stored
from tidings.digests.columns import wrap
from tidings.digests.direction import apart, in_html, in_text, unmarked
from tidings.digests.enclosures import FORMATS, NOTHING_ENCLOSED, Enclosures, Wanted, enclose
from tidings.digests.fragments import Conversation, Fragment, Heading, Meeting
from tidings.digests.stored import Entry, Printed, Section
from tidings.digests.words import Words, catalog
from tidings.mailer import compose, digest_mail, events
from tidings.mailer.addresses import Addresses, ListAddress
from tidings.mailer.forms import Form
from tidings.settings import SiteSettings
from tidings.tokens import Tokens

PREVIEW = "preview"
"""Stands where the token of a reply address would, in an edition that was never sent."""

_INLINER = css_inline.CSSInliner(load_remote_stylesheets=False)
_TEMPLATES = Path(__file__).parent / "templates"
_LISTS = ("settled", "title")  # blocks whose items are of one list
_FIELDS = 200  # bytes of the fields of a part

# Places in what is printed once for many readers: noncharacters, which no mail can hold (archive.sentences.clean). A
# number takes three columns, so that no line grows beyond its width.
_NUMBER, _TOKEN, _SLOT = "\ufdd0" * 3, "\ufdd1", "\ufdd3"
_OWN = _SUBJECT, _PREHEADER, _GREETING = "\ufdd4", "\ufdd5", "\ufdd6"
_LEAVE = "\ufdd7"
_ITEM = f"{_SLOT}\n"
_MARKS = re.compile(f"({'|'.join((_NUMBER, _TOKEN, _ITEM, *_OWN, _LEAVE))})")
_LENGTHS = {_NUMBER: 4, _TOKEN: 34, _LEAVE: 24}  # of what stands there (tokens.Tokens)


Local = Callable[[Section, Entry], str]
"""Gives the token of an entry's reply address."""


# --- from the database -----------------------------------------------------------------------------------------------


def assemble(connection: Connection, edition_id: int, *, site: SiteSettings, tokens: Tokens) -> bytes:
    """The bytes of an edition, the same every time. Raises NotFoundError where there is none with that id."""
    edition = stored.load(connection, edition_id)
    posts = posts_in(connection, edition, site)
    return message(edition, site=site, tokens=tokens, token=item_tokens(edition, tokens), enclosed=posts)


def posts_in(connection: Connection, edition: Printed, site: SiteSettings) -> Enclosures:
    """The posts that stand in the edition itself; none where its format has none."""
    if edition.format not in FORMATS:
        return NOTHING_ENCLOSED
    wanted = [
        Wanted(
            membership_id=section.membership_id,
            numbers=(
                *section.heading.more_numbers,
                *(number for entry in section.entries for number in getattr(entry.fragment, "numbers", ())),
            ),
        )
        for section in edition.sections
    ]
    return enclose(connection, wanted, edition.format, site)


def item_tokens(edition: Printed, tokens: Tokens) -> Local:
    """The tokens of a stored edition: minted of the day it was composed, and so the same every time."""
    items = [(entry.item_id or 0, section.membership_id) for section in edition.sections for entry in section.entries]
    minted = dict(zip(items, tokens.items(items, edition.composed_at.astimezone(UTC).date()), strict=True))
    return lambda section, entry: minted[entry.item_id or 0, section.membership_id]


def address_of(section: Section, site: SiteSettings) -> ListAddress:
    """The addresses of the section's community."""
    return Addresses(site).named(section.community, section.domain)


# --- the message -----------------------------------------------------------------------------------------------------


def message(
    edition: Printed,
    *,
    site: SiteSettings,
    tokens: Tokens,
    token: Local,
    enclosed: Enclosures = NOTHING_ENCLOSED,
    preview: bool = False,
) -> bytes:
    """The message that carries an edition: multipart/alternative (RFC 2046 5.1.4) unless its reader chose otherwise.

    One-click leaving by RFC 8058.
    """
    copy = _copy(edition, site, tokens, token, preview=preview, left_out=enclosed.left_out)
    first = edition.sections[0]
    address = address_of(first, site)
    whole = Entry(number=0, block="edition", fragment=edition.cover, subject=edition.subject)
    whole = next((entry for entry in first.entries if entry.number == 0), whole)
    name = in_text(edition.words.name(first.heading.title, first.heading.rhythm))
    sender = formataddr((name, address.token("r", token(first, whole))))
    fields = {
        "From": sender,
        "To": formataddr((edition.cover.reader, edition.recipient)),
        "Reply-To": sender,
        "Subject": edition.subject,
        "Date": mail_date(edition.composed_at),
        "Message-ID": f"<{edition.message_id}>",
        "List-Id": f"<{address.name}.{address.domain}>",
        "List-Unsubscribe": f"<{site.base_url.rstrip('/')}/u/{copy.leave[0]}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "List-Archive": f"<{_archive(first.community, site)}>",
        "Precedence": "list",
        "Auto-Submitted": "auto-generated",
        compose.LOOP_FIELD: address.post,
    }
    event = None if preview else _event(edition, site)
    match edition.format:
        case "text":
            return digest_mail.text_alone(fields, _page(copy, "txt"), event)
        case "mime":
            return digest_mail.with_posts(fields, _page(copy, "txt"), enclosed.posts, event)
        case "plain":
            words = [post.decode() for post in enclosed.posts]
            return digest_mail.in_words(fields, _page(copy, "txt"), words, first.heading.title, event)
        case _:
            parts = [_text_part(copy), _html_part(copy)]
            return compose.of_parts(fields, parts, calendar=event)


def _event(edition: Printed, site: SiteSettings) -> bytes | None:
    """What calendars are told by an edition: of the first of its meetings; None where it has no agenda.

    A mail has one such object (RFC 6047 2.2), with its reader as the guest.
    """
    for section in edition.sections:
        for entry in section.entries:
            if isinstance(entry.fragment, Meeting) and (told := entry.fragment.invitation):
                address = address_of(section, site).detail("agenda")
                guest = events.Guest(name=edition.cover.reader, email=edition.recipient, answer=told.answer)
                return events.invitation(told.event, organizer=(section.heading.title, address), guest=guest)
    return None


# --- the pages -------------------------------------------------------------------------------------------------------


def page(
    edition: Printed,
    kind: str,
    *,
    site: SiteSettings,
    tokens: Tokens,
    token: Local,
    preview: bool = False,
) -> str:
    """An edition as text (`txt`, 72 columns) or as HTML (`html`, its CSS in the elements)."""
    return _page(_copy(edition, site, tokens, token, preview=preview), kind)


class _Item(NamedTuple):
    """What an item tells, and the number that it has."""

    number: int
    block: str
    fragment: Fragment
    subject: str
    answers: str | None


class _Shown(NamedTuple):
    """What a section shows, whoever reads it; for `left_out` posts the mail had no room."""

    heading: Heading
    setting: "_Setting"
    items: tuple[_Item, ...]
    left_out: int


@dataclass(frozen=True, kw_only=True)
class _Copy:
    """An edition for the one who reads it: what others have too, and its tokens, of its items and to leave by."""

    edition: Printed
    sections: tuple[_Shown, ...]
    base_url: str
    preview: bool
    items: Sequence[str]
    leave: Sequence[str]


def _copy(
    edition: Printed,
    site: SiteSettings,
    tokens: Tokens,
    token: Local,
    *,
    preview: bool,
    left_out: Mapping[int, int] = NOTHING_ENCLOSED.left_out,
) -> _Copy:
    """`left_out` says, by membership, for how many posts there was no room."""
    return _Copy(
        edition=edition,
        sections=_shown(edition.sections, edition.words, site, left_out),
        base_url=site.base_url.rstrip("/"),
        preview=preview,
        items=[token(section, entry) for section in edition.sections for entry in section.entries if entry.number],
        leave=tokens.leaves([section.membership_id for section in edition.sections]),
    )


def _shown(
    sections: Iterable[Section], words: Words, site: SiteSettings, left_out: Mapping[int, int]
) -> tuple[_Shown, ...]:
    return tuple(
        [
            _Shown(
                section.heading,
                _setting_of(words, section.community, section.domain, site),
                tuple(
                    [
                        _Item(entry.number, entry.block, entry.fragment, entry.subject, entry.answers)
                        for entry in section.entries
                        if entry.number
                    ]
                ),
                left_out.get(section.membership_id, 0),
            )
            for section in sections
        ]
    )


def _page(copy: _Copy, kind: str) -> str:
    """The page with what is its reader's own."""
    return _filled(copy, _whole(copy, kind), _own(copy.edition, kind))


def _filled(copy: _Copy, whole: "_Whole", own: Sequence[str]) -> str:
    values = [*own, *copy.leave, *copy.items]
    return whole.form.filled([values[place] for place in whole.order])


def _text_part(copy: _Copy) -> compose.Encoded:
    """The text as a part of the mail; where what all have of it is plain, only the reader's own words are looked at."""
    whole, own = _whole(copy, "txt"), _own(copy.edition, "txt")
    part = compose.plain_part if whole.is_plain and compose.is_plain("".join(own)) else compose.text_part
    return part(_filled(copy, whole, own), "plain")


def _html_part(copy: _Copy) -> compose.Encoded:
    """The HTML page as a part of the mail, of pieces that are encoded already where they may be quoted-printable."""
    whole = _whole(copy, "html")
    if not compose.is_quoted(*whole.form.weight):
        return compose.text_part(_page(copy, "html"), "html")
    tokens = map(compose.quoted_word, (*copy.leave, *copy.items))
    values = [*map(compose.quoted, _own(copy.edition, "html")), *tokens]
    return compose.quoted_part(whole.form.quoted([values[place] for place in whole.order]), "html")


def _own(edition: Printed, kind: str) -> tuple[str, str, str]:
    """What stands around the items and is the reader's own, as `_OWN` has it; the first two are for HTML alone."""
    words, whole = edition.words, edition.sections[0].heading
    greeting = words.greeting(edition.cover.reader, whole.since)
    if kind == "html":
        subject, preheader = unmarked(edition.subject), unmarked(edition.cover.preheader)
        return escape(subject), escape(preheader), in_html(escape(greeting))
    name = words.name(whole.title, whole.rhythm).upper()
    return "", "", in_text(wrap(f"{name} - {greeting}"))


# --- what many have alike --------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class _Whole:
    """A page as all have it who are told the same, and which of a reader's own values is for each of its places.

    These are what `_own` gives, then the tokens to leave by, then those of the items.
    """

    form: Form
    order: tuple[int, ...]
    is_plain: bool  # as mailer.compose.is_plain has it, with the longest values in its places


def _whole(copy: _Copy, kind: str) -> _Whole:
    return _whole_once(kind, copy.sections, copy.edition.words, copy.base_url, copy.edition.format, copy.preview)


@lru_cache(maxsize=64)  # a page takes up to 80 kB
def _whole_once(
    kind: str, sections: tuple[_Shown, ...], words: Words, base_url: str, format_: str, preview: bool
) -> _Whole:
    frame = _frame(kind, sections, words, base_url, format_, preview=preview)
    items = [_numbered(_item(kind, *item[1:], one.setting), item.number) for one in sections for item in one.items]
    inside = iter(items)
    form = frame.holding([next(inside) if place == _ITEM else None for place in frame.places])
    leave, tokens = count(len(_OWN)), count(len(_OWN) + len(sections))
    of_items = iter([token for item, token in zip(items, tokens, strict=False) for _ in item.places])
    order = [
        _OWN.index(place) if place in _OWN else next(leave if place == _LEAVE else of_items) for place in form.places
    ]
    longest = form.filled("x" * _LENGTHS.get(place, 0) for place in form.places)
    return _Whole(form=form, order=tuple(order), is_plain=compose.is_plain(longest))


def _numbered(form: Form, number: int) -> Form:
    """An item with its number: what is left are places for its token."""
    return form.holding([Form(str(number), _MARKS, _LENGTHS) if place == _NUMBER else None for place in form.places])


# --- what is around the items ----------------------------------------------------------------------------------------


def _frame(
    kind: str, sections: Iterable[_Shown], words: Words, base_url: str, format_: str, *, preview: bool = False
) -> Form:
    """All that is not of one item, with a place for each."""
    outlines = [_outline(one.heading, one.setting.archive, _blocks(one.items), one.left_out) for one in sections]
    return _frame_once(kind, tuple(outlines), words, base_url, format_, preview)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Outline:
    """What of a section stands around its items: the number of items of each block, and of which week."""

    heading: Heading
    archive: str
    blocks: tuple[tuple[str, str, int], ...]
    left_out: int  # posts for which the mail had no room


@lru_cache(maxsize=shelf.KEPT)
def _outline(heading: Heading, archive: str, blocks: tuple[tuple[str, str, int], ...], left_out: int) -> _Outline:
    """One and the same for all who have the same: it is told from others by itself, not by what it holds."""
    return _Outline(heading=heading, archive=archive, blocks=blocks, left_out=left_out)


def _blocks(items: Iterable[_Item]) -> tuple[tuple[str, str, int], ...]:
    """The blocks of a section in the order in which it has them, with the week, if any, and how many items it has."""

    def block(item: _Item) -> tuple[str, str]:
        return item.block, item.fragment.week if isinstance(item.fragment, Conversation) else ""

    return tuple((*of, len(list(found))) for of, found in groupby(items, key=block))


@lru_cache(maxsize=512)
def _frame_once(
    kind: str, outlines: tuple[_Outline, ...], words: Words, base_url: str, format_: str, preview: bool
) -> Form:
    """The frame as all have it who are told as much of the same communities."""
    frame = _template(f"edition.{kind}", words.language).render(
        sections=outlines,
        format=format_,
        preview=preview,
        words=words,
        subject=_SUBJECT,
        preheader=_PREHEADER,
        greeting=_GREETING,
        slot=_SLOT,
        lists=_LISTS,
        base_url=base_url,
        leave=f"{base_url}/u/{_LEAVE}",
    )
    return Form(in_html(_INLINER.inline(frame)) if kind == "html" else in_text(frame), _MARKS, _LENGTHS)


# --- items -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class _Setting:
    """How the items of one community are printed in one language: its archive, and their address but for the token."""

    words: Words
    archive: str
    address: str


@lru_cache(maxsize=512)
def _setting(words: Words, archive: str, address: str) -> _Setting:
    """One and the same for all who have the same: it is told from others by itself, not by what it holds."""
    return _Setting(words=words, archive=archive, address=address)


def _setting_of(words: Words, community: str, domain: str | None, site: SiteSettings) -> _Setting:
    return _setting(words, _archive(community, site), Addresses(site).named(community, domain).token("r", _TOKEN))


@lru_cache(maxsize=2 * shelf.KEPT)
def _item(kind: str, block: str, fragment: Fragment, subject: str, answers: str | None, setting: _Setting) -> Form:
    """An item as all have it who are told the same in one language, with places for its number and its token."""
    printed = str(
        _template(f"{block}.{kind}", setting.words.language).render(
            it=fragment,
            words=setting.words,
            number=_NUMBER,
            address=setting.address,
            mailto=_mailto(setting.address, subject, answers),
            post_url=lambda link: f"{setting.archive}m/{quote(link, safe='@')}/",
        )
    )
    shown = f"{in_html(_INLINER.inline_fragment(printed, _css()))}\n" if kind == "html" else in_text(printed)
    return Form(shown, _MARKS, _LENGTHS)


def _mailto(address: str, subject: str, answers: str | None) -> str:
    """A mailto link (RFC 6068) with the subject, and with In-Reply-To, which some programs honour."""
    before, _, behind = address.partition(_TOKEN)
    link = f"mailto:{quote(before, safe='@+')}{_TOKEN}{quote(behind, safe='@+')}?subject={quote(subject, safe='')}"
    return link + (f"&In-Reply-To={quote(f'<{answers}>', safe='')}" if answers else "")


# --- what it takes ---------------------------------------------------------------------------------------------------


def weigher(words: Words, community: Community, site: SiteSettings) -> Callable[[Entry], tuple[int, int]]:
    """What weighs an item of a community in the HTML part (compose.weigh), its reply link included."""
    setting = _setting_of(words, community.name, community.domain, site)

    def weigh(entry: Entry) -> tuple[int, int]:
        return _item("html", entry.block, entry.fragment, entry.subject, entry.answers, setting).weight

    return weigh


def frame_weight(sections: Iterable[Section], words: Words, format_: str, site: SiteSettings) -> tuple[int, int]:
    """What the HTML part weighs without its items and what is the reader's own; its fields in the message included."""
    shown = _shown(sections, words, site, NOTHING_ENCLOSED.left_out)
    length, escaped = _frame("html", shown, words, site.base_url.rstrip("/"), format_).weight
    return length + _FIELDS, escaped


def own_weight(subject: str, preheader: str) -> tuple[int, int]:
    """What subject and preheader weigh in the HTML part."""
    return compose.weigh(escape(unmarked(subject)) + escape(unmarked(preheader)))


def greeting_weight(words: Words, reader: str, since: datetime | None) -> tuple[int, int]:
    """What the greeting weighs in the HTML part."""
    return compose.weigh(in_html(escape(words.greeting(reader, since))))


# --- templates -------------------------------------------------------------------------------------------------------


def _archive(community: str, site: SiteSettings) -> str:
    return f"{site.base_url.rstrip('/')}/c/{community}/"


@cache
def _css() -> str:
    return (_TEMPLATES / "edition.css").read_text(encoding="utf-8")


@cache
def _template(name: str, language: str) -> Any:
    return _environment(language).get_template(name)


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(catalog(language), newstyle=True)  # type: ignore[attr-defined]
    environment.globals["agenda"] = agenda_sentences
    environment.filters.update(wrap=wrap, paragraphs=_paragraphs, apart=apart, unmarked=unmarked)
    return environment


def _paragraphs(text: str) -> list[str]:
    return text.split("\n\n")
