"""Makes the bytes of what goes out: the copies of a post, editions and notices, signed where the site has a key.

It sends nothing and decides nobody's mail; the deliverer asks for each mail once, and for the lines of each copy.
"""

from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache

from sqlalchemy import Connection

from tidings.archive import read
from tidings.clock import Clock
from tidings.digests import render
from tidings.mailer import compose, outbox
from tidings.mailer.addresses import ListAddress, host_of, read_recipient
from tidings.mailer.courier import Assembler, Mail
from tidings.mailer.dmarc import Policies
from tidings.mailer.outbox import Claimed
from tidings.mailer.sign import DkimKey, Signature
from tidings.mailer.signers import Signers
from tidings.settings import Settings
from tidings.tokens import Tokens


class Outgoing:
    """What one site sends."""

    def __init__(
        self, *, settings: Settings, tokens: Tokens, clock: Clock, policies: Policies, key: DkimKey | None
    ) -> None:
        """`policies` are those of the authors' domains; without a `key` nothing is signed."""
        self._settings, self._tokens, self._clock = settings, tokens, clock
        self._policies, self._key = policies, key
        self._signers = Signers(key.key) if key else None

    def close(self) -> None:
        """End what signs."""
        if self._signers:
            self._signers.close()

    @property
    def assemblers(self) -> Mapping[str, Assembler]:
        """What makes each kind of mail."""
        return {"post": self._post, "edition": self._edition, "notice": self._notice}

    def return_path(self, claimed: Claimed, today: date) -> str:
        """The return path that only this delivery has, tried on that day in UTC."""
        token = self._tokens.return_path(claimed.delivery_id, today)
        return _address(claimed.mail_from, self._settings.site.separator).token("b", token)

    def _post(self, connection: Connection, claimed: Claimed) -> Mail:
        assert claimed.post_id is not None
        source = read.copy_source(connection, claimed.post_id)
        facts = compose.CopyFacts(
            address=_address(claimed.mail_from, self._settings.site.separator),
            title=source.title,
            base_url=self._settings.site.base_url,
            message_id=source.message_id,
            author=(source.author_name, source.author_email),
            # A copy of another server in the name of a strict domain would be refused: it says so itself (RFC 7489).
            on_behalf=self._policies.is_strict(host_of(source.author_email)),
            replies=source.replies,
            fields=claimed.fields or {},
            body=claimed.body,
            site_domain=self._settings.site.domain,
            subject_prefix=source.subject_prefix,
            footer=source.footer,
        )
        copies = compose.list_copies(source.raw, facts)
        signature = self._signature(copies.data, compose.OWN_FIELDS)

        def head(one: Claimed) -> bytes:
            assert one.membership_id is not None
            return copies.head(self._tokens.leave(one.membership_id))

        return Mail(data=copies.data, head=head, sign=self._ahead(signature) if signature else None)

    def _ahead(self, signature: Signature) -> Callable[[bytes], Callable[[], bytes]]:
        """What makes the signatures of copies while others are sent."""
        assert self._signers is not None
        signers = self._signers

        def sign(own: bytes) -> Callable[[], bytes]:
            made = signers.ahead(signature.digest(own))
            return lambda: signature.written(made())

        return sign

    def _edition(self, connection: Connection, claimed: Claimed) -> Mail:
        assert claimed.edition_id is not None
        site = self._settings.site
        return self._signed(render.assemble(connection, claimed.edition_id, site=site, tokens=self._tokens))

    def _notice(self, connection: Connection, claimed: Claimed) -> Mail:
        return self._signed(compose.crlf(outbox.raw(connection, claimed.outbox_id)))

    def _signed(self, data: bytes) -> Mail:
        """A mail that has one copy."""
        signature = self._signature(data, ())
        return Mail(data=signature.field() + data if signature else data)

    def _signature(self, data: bytes, own: tuple[str, ...]) -> Signature | None:
        if self._key is None:
            return None
        head, _, body = data.partition(b"\r\n\r\n")
        return Signature(self._key, head + b"\r\n", body, own, self._clock.now())


@lru_cache(maxsize=1000)
def _address(mail_from: str, separator: str) -> ListAddress:
    """The addresses of the community that a mail in the outbox comes from."""
    found = read_recipient(mail_from)  # before 0.2 it was written with +owner
    assert found is not None
    return ListAddress(name=found.community, domain=found.domain, separator=separator)
