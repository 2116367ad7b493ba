"""Answers a mail with a letter of ours, in the mail's own conversation.

What stands in it is for letters, and whether to answer at all for who handles the mail. Questions that a reply confirms
are asked by asking.
"""

from sqlalchemy import Connection

from tidings.intake.case import Case, Parts
from tidings.intake.letters import Letter


def answer(
    connection: Connection,
    parts: Parts,
    case: Case,
    letter: Letter,
    *,
    to: str,
    key: str,
    sender: str = "",
    unproved: bool = True,
) -> bool:
    """Write a letter about a mail once per `key`; False where it was, or where `to` was told enough today.

    A plain reply to it goes to `sender`, to the address for commands where that is empty. An `unproved` one answers
    what anybody may have sent in the name of `to` (mailer.notices).
    """
    return parts.notices.send(
        connection,
        key=key,
        recipient=to,
        subject=letter.subject,
        text=letter.text,
        now=parts.clock.now(),
        community_id=case.community.id,
        answers=case.message.message_id or None,
        sender=sender or case.address.detail("command"),
        name=case.community.title,
        unproved=unproved,
    )
