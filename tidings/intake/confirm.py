"""Replies to the questions that we mail: whoever has the token was sent the question, and a reply is a yes.

What a yes does is for the handler of its purpose, which also says whether it comes too late. Nothing that a program
sends confirms anything.
"""

import re
from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from tidings.communities import confirmations
from tidings.communities.confirmations import Confirmation, Purpose
from tidings.intake.case import Case
from tidings.intake.decisions import Decision

ConfirmHandler = Callable[[Connection, Case, Confirmation], Decision]
"""Does what was confirmed; it uses the token up, or refuses without."""

# How answering machines begin a Subject that mark their mail by nothing else. A person's reply begins with "Re:".
_AWAY = re.compile(
    r"(?:out of (?:the )?office|away from|automatic reply|auto(?:matic)?[- ]?(?:reply|response)|on vacation|vacation"
    r"|abwesen|automatische antwort|absence|absent|réponse automatique|respuesta automática|fuera de"
    r"|risposta automatica|resposta automática|automatisch antwoord|afwezig|autosvar|frånvaro|automaattinen"
    r"|undeliver|delivery (?:status|failure)|mail delivery|returned mail|failure notice"
    r")",
    re.IGNORECASE,
)


class Confirm:
    """Takes in replies to questions."""

    def __init__(self, handlers: Mapping[Purpose, ConfirmHandler]) -> None:
        """`handlers` do what was asked for, by the purpose of the question."""
        self._handlers = handlers

    def handle(self, connection: Connection, case: Case) -> Decision:
        """A reply to `+confirm.TOKEN`."""
        if automatic := case.automatic or _away(case.message.subject):
            return case.decided("discard", f"An automatic mail confirms nothing ({automatic}).")
        found = confirmations.find(connection, case.recipient.token)
        if found is None or found.community_id not in (None, case.community.id):
            return case.decided("discard", "It answers no question of ours, or one that is long gone.")
        return self._handlers[found.purpose](connection, case, found)


def _away(subject: str) -> str:
    return "its Subject is that of an answering machine" if _AWAY.match(subject.strip()) else ""
