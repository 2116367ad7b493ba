"""Prints an edition: its stored items as text and as HTML, and the message in the format that its reader chose.

It chooses nothing (select) and writes nothing (editions): the same edition gives the same bytes at every delivery.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import format_datetime as mail_date
from email.utils import formataddr
from functools import cache, lru_cache
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

import css_inline
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from sqlalchemy import Connection

from tidings.digests import agenda_phrases, shelf, stored
from tidings.digests.columns import wrap
from tidings.digests.direction import apart, in_html, in_text, unmarked
from tidings.digests.enclosures import FORMATS, NOTHING_ENCLOSED, Enclosures, Wanted, enclose
from tidings.digests.fragments import Fragment, Heading, Meeting
from tidings.digests.stored import Entry, Printed, Section
from tidings.digests.words import Words, catalog
from tidings.mailer import compose, digest_mail, events
from tidings.mailer.addresses import Addresses, ListAddress
from tidings.settings import SiteSettings
from tidings.tokens import Tokens

PREVIEW = "preview"
"""Stands where the token of a reply address would, in an edition that was never sent."""

_INLINER = css_inline.CSSInliner(load_remote_stylesheets=False)
_TEMPLATES = Path(__file__).parent / "templates"
_LISTS = ("settled", "title")  # blocks whose items are of one list
_LONG_TOKEN = "x" * 34  # an item's (tokens.Tokens.item)
_IN_LINK = 4  # bytes of a link that quoted-printable escapes
_FIELDS = 200  # bytes of the fields of a part

# Places in what is printed once for many readers: noncharacters, which no mail can hold (archive.sentences.clean). A
# number takes three columns, so that no line grows beyond its width.
_NUMBER, _ADDRESS, _MAILTO, _SLOT = "\ufdd0" * 3, "\ufdd1", "\ufdd2", "\ufdd3"
_SUBJECT, _PREHEADER, _GREETING, _LEAVE = "\ufdd4", "\ufdd5", "\ufdd6", "\ufdd7"


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
    day = edition.composed_at.astimezone(UTC).date()
    return lambda section, entry: tokens.item(entry.item_id or 0, section.membership_id, day)


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
        "List-Unsubscribe": f"<{_leave(first, site, tokens)}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "List-Archive": f"<{_archive(first, site)}>",
        "Precedence": "list",
        "Auto-Submitted": "auto-generated",
        compose.LOOP_FIELD: address.post,
    }
    addresses = _addresses(edition, site, token)

    def printed(kind: str) -> str:
        left_out = enclosed.left_out
        return _page(edition, kind, addresses, site=site, tokens=tokens, preview=preview, left_out=left_out)

    event = _event(edition, site)
    match edition.format:
        case "text":
            return digest_mail.text_alone(fields, printed("txt"), event)
        case "mime":
            return digest_mail.with_posts(fields, printed("txt"), enclosed.posts, event)
        case "plain":
            words = [post.decode() for post in enclosed.posts]
            return digest_mail.in_words(fields, printed("txt"), words, first.heading.title, event)
        case _:
            return compose.alternative(fields, text=printed("txt"), html=printed("html"), calendar=event)


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
    return _page(edition, kind, _addresses(edition, site, token), site=site, tokens=tokens, preview=preview)


def _addresses(edition: Printed, site: SiteSettings, token: Local) -> list[str]:
    """The reply addresses of the items, in their order."""
    return [
        address_of(section, site).token("r", token(section, entry))
        for section in edition.sections
        for entry in section.entries
        if entry.number
    ]


def _page(
    edition: Printed,
    kind: str,
    addresses: Sequence[str],
    *,
    site: SiteSettings,
    tokens: Tokens,
    preview: bool,
    left_out: Mapping[int, int] = NOTHING_ENCLOSED.left_out,
) -> str:
    """The page; `left_out` says, by membership, for how many posts the mail had no room."""
    numbered = [(section, entry) for section in edition.sections for entry in section.entries if entry.number]
    words = edition.words
    bodies = [
        _item(kind, entry, words, _archive(section, site), address)
        for (section, entry), address in zip(numbered, addresses, strict=True)
    ]
    frame = _frame(edition, kind, site=site, tokens=tokens, preview=preview, left_out=left_out)
    pieces = frame.split(_SLOT + "\n")
    return "".join(piece + body for piece, body in zip(pieces, [*bodies, ""], strict=True))


def _frame(
    edition: Printed,
    kind: str,
    *,
    site: SiteSettings,
    tokens: Tokens,
    preview: bool,
    left_out: Mapping[int, int] = NOTHING_ENCLOSED.left_out,
) -> str:
    """All that is not of one item, with a slot for each."""
    headings = tuple(
        _Outline(
            heading=section.heading,
            archive=_archive(section, site),
            blocks=tuple((block, week, len(entries)) for block, week, entries in _blocks(section)),
            left_out=left_out.get(section.membership_id, 0),
        )
        for section in edition.sections
    )
    frame = _frame_once(kind, headings, edition.words, site.base_url.rstrip("/"), edition.format, preview)
    whole = edition.sections[0].heading
    greeting = edition.words.greeting(edition.cover.reader, whole.since)
    if kind == "html":
        own = {
            _SUBJECT: escape(unmarked(edition.subject)),
            _PREHEADER: escape(unmarked(edition.cover.preheader)),
            _GREETING: in_html(escape(greeting)),
        }
    else:
        name = edition.words.name(whole.title, whole.rhythm).upper()
        own = {_GREETING: in_text(wrap(f"{name} - {greeting}"))}
    for slot, value in own.items():
        frame = frame.replace(slot, value)
    pieces = frame.split(_LEAVE)
    # Every section has as many links to leave by: one.
    leave = [tokens.leave(section.membership_id) for section in edition.sections]
    return "".join(piece + link for piece, link in zip(pieces, [*leave, ""], strict=True))


@dataclass(frozen=True, kw_only=True)
class _Outline:
    """What of a section stands around its items: the number of items of each block, and of which week."""

    heading: Heading
    archive: str
    blocks: tuple[tuple[str, str, int], ...]
    left_out: int  # posts for which the mail had no room


@lru_cache(maxsize=512)
def _frame_once(
    kind: str, sections: tuple[_Outline, ...], words: Words, base_url: str, format_: str, preview: bool
) -> str:
    """The frame as all have it who are told as much of the same communities, with slots for what is one reader's."""
    frame = _template(f"edition.{kind}", words.language).render(
        sections=sections,
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
    return in_html(_INLINER.inline(frame)) if kind == "html" else in_text(frame)


def weigher(edition: Printed, section: Section, site: SiteSettings) -> Callable[[Entry], tuple[int, int]]:
    """What weighs an item of a section in the HTML part (compose.weigh), its reply link included."""
    words, archive = edition.words, _archive(section, site)
    link = len("mailto:") + len(address_of(section, site).token("r", _LONG_TOKEN))

    def weigh(entry: Entry) -> tuple[int, int]:
        length, escaped = _weighed_once(entry.block, entry.fragment, words, archive)
        return length + link + len(_of_reply(entry.subject, entry.answers)), escaped + _IN_LINK

    return weigh


def frame_weight(edition: Printed, site: SiteSettings, tokens: Tokens) -> tuple[int, int]:
    """What the HTML part weighs without its items, its own fields in the message included."""
    length, escaped = compose.weigh(_frame(edition, "html", site=site, tokens=tokens, preview=False))
    return length + _FIELDS, escaped


def _blocks(section: Section) -> list[tuple[str, str, list[Entry]]]:
    """The numbered entries of a section by their blocks, in the order in which it has them; with the week, if any."""
    numbered = [entry for entry in section.entries if entry.number]
    grouped = groupby(numbered, key=lambda entry: (entry.block, getattr(entry.fragment, "week", "")))
    return [(block, week, [*entries]) for (block, week), entries in grouped]


def _item(kind: str, entry: Entry, words: Words, archive: str, address: str) -> str:
    """One item as it is printed for one reader."""
    shared = _printed_once(kind, entry.block, entry.fragment, words, archive)
    mailto = _mailto(address, entry)
    return (
        shared.replace(_NUMBER, str(entry.number))
        .replace(_ADDRESS, address)
        .replace(_MAILTO, escape(mailto) if kind == "html" else mailto)
    )


@lru_cache(maxsize=2 * shelf.KEPT)
def _printed_once(kind: str, block: str, fragment: Fragment, words: Words, archive: str) -> str:
    """An item as all have it who are told the same in one language, with places for what is the reader's own."""
    printed = str(
        _template(f"{block}.{kind}", words.language).render(
            it=fragment,
            words=words,
            number=_NUMBER,
            address=_ADDRESS,
            mailto=_MAILTO,
            post_url=lambda link: f"{archive}m/{quote(link, safe='@')}/",
        )
    )
    return in_html(_INLINER.inline_fragment(printed, _css())) + "\n" if kind == "html" else in_text(printed)


@lru_cache(maxsize=2 * shelf.KEPT)
def _weighed_once(block: str, fragment: Fragment, words: Words, archive: str) -> tuple[int, int]:
    return compose.weigh(_printed_once("html", block, fragment, words, archive))


def _mailto(address: str, entry: Entry) -> str:
    """A mailto link (RFC 6068) with the subject, and with In-Reply-To, which some programs honour."""
    return f"mailto:{quote(address, safe='@+')}{_of_reply(entry.subject, entry.answers)}"


@lru_cache(maxsize=2 * shelf.KEPT)
def _of_reply(subject: str, answers: str | None) -> str:
    link = f"?subject={quote(subject, safe='')}"
    return link + (f"&In-Reply-To={quote(f'<{answers}>', safe='')}" if answers else "")


def _archive(section: Section, site: SiteSettings) -> str:
    return f"{site.base_url.rstrip('/')}/c/{section.community}/"


def _leave(section: Section, site: SiteSettings, tokens: Tokens) -> str:
    return f"{site.base_url.rstrip('/')}/u/{tokens.leave(section.membership_id)}"


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
    environment.globals["agenda"] = agenda_phrases
    environment.filters.update(wrap=wrap, paragraphs=_paragraphs, apart=apart, unmarked=unmarked)
    return environment


def _paragraphs(text: str) -> list[str]:
    return text.split("\n\n")
