"""The words of the mails about addresses that mail came back from: to owners, to admins, and to whoever reads there.

It sends nothing and counts nothing. What other mail systems wrote is never among the words.
"""

import re
from datetime import datetime

from tidings.communities.standing import Address, Wave
from tidings.intake.letters import Letter
from tidings.settings import BounceSettings

_STATUS = re.compile(r"[245]\.(\d{1,3})\.(\d{1,3})\b")
_SUBJECTS = {  # RFC 3463 2: what the second number says
    "1": "there is no such address",
    "2": "its mailbox takes no mail",
    "3": "its mail system takes no mail",
    "4": "its mail system could not be reached",
}
_FULL = ("2", "2")  # RFC 3463 3.3


def stopped(address: Address, why: str, titles: str, settings: BounceSettings, link: str) -> Letter:
    """To an owner of the communities of that `titles`; `why` begins with a status where there is one."""
    asks = (
        f"Every {settings.probe_days} days, {settings.probes} times in all, we ask it whether it works again: the "
        "button in that mail, or a reply to it, brings its mail back.\n\n"
    )
    return Letter(
        subject=f"Mail to {address.email} is stopped",
        text=f"Mail to {address.email} came back on several days, the last time because {_in_words(why)}.\n"
        f"We send it no more mail of {titles}. The membership stays.\n\n"
        f"{asks if settings.probes else ''}"
        f"If you know that it works again, open this page within three days and press the button:\n{link}\n",
    )


def probe(address: Address, titles: str, settings: BounceSettings, link: str) -> Letter:
    """To a stopped address: does it work again?"""
    left = settings.probes - address.probes - 1
    end = f"We ask {left} more times." if left > 1 else "We ask once more." if left else "We do not ask again."
    since = f"We stopped sending it on {_when(address.stopped_at)}." if address.stopped_at else ""
    return Letter(
        subject=f"Does your mail work again? {titles}",
        text=f"Mail of {titles} to {address.email} came back on several days, the last time because "
        f"{_in_words(address.stopped_why or '')}. {since}\n\n"
        "If you read this, it works again. To get your mail again, reply to this mail; you need not write anything.\n\n"
        f"Or open this page within three days and press the button:\n{link}\n\n"
        f"To get none, do nothing. {end}\n",
    )


def goes_on(email: str) -> Letter:
    """To whoever replied to a probe in time."""
    return Letter(subject="Your mail goes on", text=f"Mail to {email} goes on from now.\n")


def too_late(email: str, title: str, owners: str) -> Letter:
    """To whoever replied to a probe too late; `owners` is the address of the owners of the community with `title`."""
    return Letter(
        subject="Your mail is still stopped",
        text=f"Your reply came more than three days after our mail, so mail to {email} is still stopped.\n\n"
        f"Write to the owners of {title}, who can have it go on: {owners}\n",
    )


def wave(began: Wave) -> Letter:
    """To an admin: so much came back that nothing of it counts."""
    went_on = "".join(f"  {email}\n" for email in began.went_on)
    return Letter(
        subject="Much of our mail comes back",
        text=f"{began.reason}\n\n"
        "That is so much at once that we take the fault for ours or for that of our mail server: its address may be "
        "on a block list, or what it sends may not be signed as it should be.\n\n"
        f"Until {_when(began.ends_at)} nothing that comes back counts, and no address is stopped. If mail still comes "
        "back in such numbers then, you are told again.\n"
        + (f"\nThese addresses were stopped within the day; their mail goes on:\n{went_on}" if went_on else ""),
    )


def _in_words(why: str) -> str:
    found = _STATUS.match(why)
    if found and found.groups() == _FULL:
        return "its mailbox is full"
    return _SUBJECTS.get(found[1] if found else "", "its mail system would not take it")


def _when(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"
