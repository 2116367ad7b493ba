"""Mail to the owners of a community, passed on to them as it came.

It answers nobody; automatic mail and bounces wait where an admin sees them.
"""

from sqlalchemy import Connection

from tidings.communities import directory
from tidings.intake.case import Case, Parts
from tidings.intake.decisions import Decision
from tidings.mailer import compose, outbox


class Owners:
    """Takes mail to the owners in."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def forward(self, connection: Connection, case: Case) -> Decision:
        """Mail to the owners goes to them; automatic mail and bounces wait where an admin sees them."""
        if automatic := case.automatic:
            return case.decided("hold", f"An automatic mail to the owners ({automatic}).")
        owners = [one.email for one in directory.members(connection, case.community.id) if one.role == "owner"]
        recipients = owners or self._parts.settings.site.admins
        mark = case.address.post
        if case.is_own_loop:
            return case.decided("discard", "Our own copy came back to us (X-Tidings-Loop).")
        copy = compose.splice(case.spooled.raw, remove=[compose.LOOP_FIELD], add=[(compose.LOOP_FIELD, mark)])
        for email in recipients:
            key = f"owner-{case.spooled.key}-{email}"
            outbox.add_notice(connection, key=key, recipient=email, raw=copy, now=self._parts.clock.now())
        if not recipients:
            return case.decided("hold", "The community has no owner and the site no admin to pass it on to.")
        return case.decided("accept", f"Passed on to {len(recipients)} owners.")
