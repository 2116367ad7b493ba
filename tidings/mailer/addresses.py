"""The addresses of a community: NAME, NAME+detail and the older NAME-owner, and what is ours among Message-IDs.

It looks nothing up: whether a community exists, or a token is good, is for others to say.
"""

import re
from dataclasses import dataclass
from typing import Literal

Purpose = Literal["post", "owner", "unsubscribe", "reply"]

EDITION_PREFIX = "edition."
# Names and tokens have no other characters; a look-alike that lower() turns into ASCII is no address of ours.
_PLAIN_LOCAL = re.compile(r"[a-z0-9_.+-]+")
_PLAIN: dict[str, Purpose] = {"": "post", "owner": "owner", "unsubscribe": "unsubscribe"}
_OLDER: dict[str, Purpose] = {"-owner": "owner", "-unsubscribe": "unsubscribe"}


@dataclass(frozen=True, kw_only=True)
class Recipient:
    """An address of a community, taken apart; `token` is that of a reply address."""

    community: str
    purpose: Purpose
    token: str = ""


def read_recipient(address: str, domain: str) -> Recipient | None:
    """What `address` (of RCPT, any case) means at this site's `domain`, or None where it is none of its forms.

    The community's name stops at the first `+`; a name never holds `-`, which older lists put before a detail. Quoted
    local parts, source routes (RFC 5321 appendix C) and the percent hack mean nothing here.
    """
    local, at, host = address.strip().lower().rpartition("@")
    if not at or host.rstrip(".") != domain or not _PLAIN_LOCAL.fullmatch(local) or not address.isascii():
        return None
    name, _, detail = local.partition("+")
    if detail.startswith("r."):
        return Recipient(community=name, purpose="reply", token=detail.removeprefix("r."))
    for ending, purpose in _OLDER.items():
        if not detail and name.endswith(ending):
            return Recipient(community=name.removesuffix(ending), purpose=purpose)
    return Recipient(community=name, purpose=_PLAIN[detail]) if detail in _PLAIN else None


def is_here(address: str, domain: str) -> bool:
    """Whether the address is in this site's domain."""
    return address.rpartition("@")[2].strip().lower().rstrip(".") == domain


def is_edition_id(message_id: str, domain: str) -> bool:
    """Whether a bare Message-ID is that of one of our editions, which never is a node of a thread."""
    return message_id.startswith(EDITION_PREFIX) and message_id.lower().endswith("@" + domain)
