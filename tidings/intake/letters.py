"""The words of the mails about membership: questions that a reply confirms, answers, welcome and farewell.

It sends nothing and decides nothing. What a stranger wrote is never among the words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from babel.dates import format_date

from tidings.clock import zone
from tidings.communities import digest_times, languages
from tidings.communities.directory import Community
from tidings.mailer.addresses import ListAddress
from tidings.mailer.commands import Command

DELIVERY = {
    "each": "each message as it is written",
    "daily": "one mail a day",
    "weekly": "one mail a week",
    "none": "no mail",
}
"""What the ways of being told are, in words."""
QUIET = {
    "none": "each message at once",
    "asleep": "what comes in your sleep after a night shift, once you are up",
    "off": "what comes between your shifts, when the next one starts",
}
"""What each kind of quiet hours gives to who gets each message."""
FORMAT = {
    "html": "text and HTML",
    "text": "text only",
    "mime": "text with the posts themselves attached (MIME)",
    "plain": "text with the words of the posts below (RFC 1153)",
}
"""What each format of a digest is."""

_ONCE = "It can be answered once, within three days."


@dataclass(frozen=True, kw_only=True)
class Letter:
    """Subject and text of a mail that we write."""

    subject: str
    text: str


def day(when: date) -> str:
    """`Tue 3 Nov 2026`."""
    return str(format_date(when, "EEE d MMM y", locale="en"))


def moment(when: datetime, zone_name: str) -> str:
    """`Tue 3 Nov 2026 14:00 (Europe/Berlin)`."""
    local = when.astimezone(zone(zone_name))
    return f"{day(local.date())} {local:%H:%M} ({zone_name})"


# --- questions: a reply is a yes -------------------------------------------------------------------------------------


def join_question(community: Community, address: ListAddress) -> Letter:
    """To whoever is said to want to join."""
    return Letter(
        subject=f"Join {community.title}?",
        text=f"Somebody, we hope you, asked that {community.title} ({address.post})\n"
        "sends its mail to this address.\n\n"
        "To join, reply to this mail. You need not write anything.\n\n"
        f"If it was not you, do nothing, and nothing happens.\n{_ONCE}\n",
    )


def leave_question(community: Community, link: str) -> Letter:
    """To a member who is said to want to leave; `link` leads to a page with a button."""
    return Letter(
        subject=f"Leave {community.title}?",
        text=f"Somebody, we hope you, asked to take you out of {community.title}.\n\n"
        f"To leave, reply to this mail. You need not write anything.\n{_ONCE}\n\n"
        f"Or open this page and press the button:\n{link}\n\nTo stay, do nothing.\n",
    )


def commands_question(community: Community, commands: Sequence[Command]) -> Letter:
    """To a member in whose name changes were asked for."""
    asked = "\n".join(f"- {describe(one)}" for one in commands)
    return Letter(
        subject=f"{community.title}: was this you?",
        text=f"Somebody, we hope you, asked {community.title} for this in your name:\n\n{asked}\n\n"
        "To have it done, reply to this mail. You need not write anything.\n\n"
        f"If it was not you, do nothing, and nothing happens.\n{_ONCE}\n",
    )


def agenda_question(community: Community, asked: Sequence[str]) -> Letter:
    """To a member in whose name a meeting is to be changed; `asked` are the changes, in words."""
    lines = "\n".join(f"- {one}" for one in asked)
    return Letter(
        subject=f"{community.title}: was this you?",
        text=f"Somebody, we hope you, asked {community.title} for this in your name:\n\n{lines}\n\n"
        "To have it done, reply to this mail. You need not write anything.\n\n"
        f"If it was not you, do nothing, and nothing happens.\n{_ONCE}\n",
    )


def address_question(community: Community, verb: str) -> Letter:
    """To an address that is said to be another one of a member's."""
    what = (
        f"that the mail of {community.title}\ngoes to this address"
        if verb == "address"
        else (f"that {community.title}\nknows this address as theirs, too")
    )
    return Letter(
        subject=f"{community.title}: is this your address?",
        text=f"A member, we hope you, asked {what}.\n\n"
        "If it is your address, reply to this mail. You need not write anything.\n\n"
        f"If it was not you, do nothing, and nothing happens.\n{_ONCE}\n",
    )


def describe(command: Command) -> str:
    """What a command would do, as one line of a question."""
    wanted = command.argument
    match command.verb:
        case "pause":
            return f"no mail until {day(date.fromisoformat(wanted))}" if wanted else "no mail until you want it again"
        case "resume":
            return "an end to the pause"
        case "delivery":
            return DELIVERY[wanted]
        case "crew":
            return "no crew" if wanted == "none" else f"your crew: {wanted}"
        case "zone":
            return "the usual time zone" if wanted == "none" else f"your time zone: {wanted}"
        case "language":
            found = languages.NAMES.get(wanted)
            return f"your digests in {found}" if found else "your digests in the language of each community"
        case "digest":
            return f"the digest {digest_times.parse(wanted).words}"
        case "quiet":
            return QUIET[wanted]
        case "name":
            return f"your name: {wanted}"
        case "address":
            return f"your mail to another address: {wanted}"
        case "also":
            return f"another address of yours: {wanted}"
        case "forget":
            return f"no longer an address of yours: {wanted}"
        case _:
            return f"to {command.verb}"


# --- answers ---------------------------------------------------------------------------------------------------------


def welcome(community: Community, address: ListAddress) -> Letter:
    """To a new member. No line of it is a command, since a reply may quote it without marks."""
    writing = f"To write to everybody: {address.post}\nTo answer somebody: just reply.\n"
    if community.posting == "announce":
        writing = "Only the people who run it write to everybody.\n"
    elif community.newcomer_posts:
        writing += "Somebody looks at what new members write before it goes out.\n"
    return Letter(
        subject=f"Welcome to {community.title}",
        text=f"You are now a member of {community.title}.\n\n{writing}\n"
        "Each message comes to you as it is written. For one mail a week instead, reply to\n"
        "this mail with the words: delivery weekly\n\n"
        f"What else you can write: send an empty mail to {address.detail('help')}\n"
        f"To leave: send an empty mail to {address.detail('unsubscribe')}\n",
    )


def already_member(community: Community, address: ListAddress) -> Letter:
    """To a member who is said to want to join."""
    return Letter(
        subject=f"You are in {community.title}",
        text=f"Somebody, we hope you, asked to join {community.title}.\n"
        f"You are a member already, so there is nothing to do.\n\n"
        f"To write to everybody: {address.post}\n"
        f"Help: send an empty mail to {address.detail('help')}\n",
    )


def left(community: Community, address: ListAddress) -> Letter:
    """To somebody who was a member until now."""
    return Letter(
        subject=f"You have left {community.title}",
        text=f"You get no more mail from {community.title}.\n\n"
        f"To come back, send an empty mail to {address.detail('subscribe')}\n",
    )


def closed(community: Community) -> Letter:
    """To whoever wants to join where nobody can."""
    return Letter(
        subject=f"{community.title} is closed",
        text=f"{community.title} is closed: nobody can join any more, and no mail is taken.\n",
    )


def too_late(community: Community, address: ListAddress) -> Letter:
    """To somebody who answers a question again, or when it is too old."""
    return Letter(
        subject=f"{community.title}: nothing was done",
        text="The mail that you replied to can be answered once, within three days. It was\n"
        "answered before, or it is older, so nothing was done now.\n\n"
        f"What you can write: send an empty mail to {address.detail('help')}\n",
    )


def said_no(community: Community) -> Letter:
    """To somebody who answers a question with a no."""
    return Letter(
        subject=f"{community.title}: nothing was done",
        text="Your reply begins with a no, so nothing was done.\n\nIf you meant yes, please ask again.\n",
    )


def answer(community: Community, paragraphs: Sequence[str], *, more: bool) -> Letter:
    """To a member, what became of each line of a command mail; `more` may follow, but from one who left."""
    foot = ["Reply to this mail with more of such lines; `help` tells what you can write."] if more else []
    return Letter(subject=f"{community.title}: your mail", text="\n\n".join([*paragraphs, *foot]) + "\n")


def word_done(community: Community, text: str, item: str) -> Letter:
    """To a member, what became of a one-word reply to an item; `item` is the address that it went to.

    A reply does not come there: thanks for this mail would be posted.
    """
    foot = "Nothing was posted. If the word was an answer to somebody, write a few words more."
    return Letter(subject=f"{community.title}: your reply", text=f"{text}\n\nYou wrote to {item}\n{foot}\n")


def meeting_told(community: Community, address: ListAddress, paragraphs: Sequence[str]) -> Letter:
    """To a member, what became of something about a meeting, or what they are asked to do there."""
    foot = f"What can be written about a meeting goes to {address.detail('agenda')}"
    return Letter(subject=f"{community.title}: the meeting", text="\n\n".join([*paragraphs, foot]) + "\n")


CHOSEN = {
    "mute": "You hear no more of this conversation:\n{subject}\n\n"
    "To hear of it again, write `follow` to the same address.",
    "follow": "Each digest tells you of this conversation before others:\n{subject}\n\n"
    "To hear no more of it, write `mute` to the same address.",
}
"""What follows from a choice."""
AGENDA_HELP = (
    "Your mail says nothing. To propose a topic for the next meeting, write its title as the subject, or lines like\n"
    "    topic: seal failures\n"
    "Or answer with one word: yes, no, maybe, lead, host, scribe."
)
NO_CONVERSATION = "This entry is no conversation, so it can be neither muted nor followed."


def address_done(community: Community, email: str, titles: Sequence[str]) -> Letter:
    """To the new address of a member: mail goes there now, or where `titles` is empty, they may write from there."""
    mail = f"The mail of {', '.join(titles)} now goes to\n{email}" if titles else f"You may now write from {email}, too"
    return Letter(subject=f"{community.title}: your address", text=f"{mail}.\n")


def mail_moved(community: Community, address: ListAddress, email: str, titles: Sequence[str]) -> Letter:
    """To the address that a member's mail went to until now."""
    return Letter(
        subject=f"{community.title}: your mail goes to another address",
        text=f"The mail of {', '.join(titles)} now goes to\n{email}, as you asked and confirmed from there.\n\n"
        f"If that was not you, write to {address.detail('owner')}\n",
    )


def address_taken(community: Community, address: ListAddress) -> Letter:
    """To an address that cannot become a member's."""
    return Letter(
        subject=f"{community.title}: nothing was done",
        text="This address is known as that of another member, or as that of a community,\nso nothing was changed.\n\n"
        f"The people who run the community can help: {address.detail('owner')}\n",
    )


# --- help ------------------------------------------------------------------------------------------------------------


def help_for_strangers(community: Community, address: ListAddress) -> Letter:
    """To whoever asks, and is no member."""
    return Letter(
        subject=f"{community.title}: help",
        text=f"{community.title} is a community by mail.\n\n"
        f"To join, send an empty mail to\n    {address.detail('subscribe')}\n"
        f"To reach the people who run it, write to\n    {address.detail('owner')}\n\n"
        "If you are a member, write from the address that we know.\n",
    )


def help_for_members(community: Community, address: ListAddress, *, why: str = "") -> Letter:
    """To a member; `why` says what could not be understood.

    No line begins with a command: a reply that quotes the mail without marks must not ask for anything.
    """
    return Letter(subject=f"{community.title}: help", text=(f"{why}\n\n" if why else "") + _help(address))


def _help(address: ListAddress) -> str:
    return f"""\
To write to everybody: {address.post}
To answer somebody: just reply.
To reach the people who run it: {address.detail("owner")}
To leave: send an empty mail to {address.detail("unsubscribe")}

You can also reply to this mail, or write to {address.detail("command")},
with one or more of these, each on a line of its own (as plain text):

- pause until 3 Nov: no mail until that day
- pause: no mail until you write resume
- resume: mail again
- delivery weekly: one mail a week; or: each, daily, none
- digest shift: the weekly mail comes when your shift starts
- digest shift-end, digest day-off 10:00, digest Mon 08:00: or it comes then
- format text: digests without HTML; format html: with it again
- format mime, format plain: with the posts themselves in them
- one-mail no: a digest for each community, and not one for all
- quiet off: single messages wait while you are off shift
- quiet asleep: they wait while you sleep after a night; quiet none: at once
- crew B: your crew, so that we know your shifts
- zone Europe/Paris: your time zone
- language de: your digests in German; or: en, es, fr
- name Ana Lindgren: your name
- own-posts no: no copy of your own posts; own-posts yes: with them again
- also-named yes: a copy also of posts that have you in To or Cc
- address new@example.org: your mail goes to that address from now on
- also second@example.org: you write from that address, too
- forget old@example.org: that address is no longer yours
- which: the communities that you are in
- search pump seal: looks for these words in the archive
- get 12, 15: sends you these posts of the archive
- leave: out of the community

Under an entry of a digest there is an address. Reply there with one word,
as in: mute (no more of it), follow (all of it), pause until 3 Nov.
"""


PLAIN_TEXT_ONLY = "Your mail had no plain text in it, so it was not read. Please send it as plain text."
NOT_UNDERSTOOD = "We did not understand your mail, so nothing was done. Here is what you can write."
