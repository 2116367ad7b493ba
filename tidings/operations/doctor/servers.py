"""Checks of the servers that carry mail for a site: the smart host and the mailboxes; nothing is sent or fetched."""

import contextlib
import smtplib
import ssl
from typing import Any

from tidings.mailer.imap_session import LostError, RefusedError, Session, Timing
from tidings.operations.doctor.site import Result, Site, words
from tidings.settings import ImapSettings

_WANTED = ("PIPELINING", "SIZE", "8BITMIME")
_ADDED = 65_536  # bytes by which a copy may be larger than its post
# What to do about an error of the smart host; the first that fits counts.
_SMART_HOST_TODO: tuple[tuple[type[OSError], str], ...] = (
    (ssl.SSLCertVerificationError, "Set delivery.host to the name in its certificate, or have that renewed."),
    (ssl.SSLError, 'Set delivery.tls to "starttls" in the place of "tls", or delivery.port to one for TLS.'),
    (smtplib.SMTPAuthenticationError, "Mend delivery.user, or the first line of delivery.password_file."),
    (smtplib.SMTPNotSupportedError, "Set delivery.tls, delivery.user and delivery.port to what its page says."),
    (OSError, "Set delivery.host and delivery.port to a server that takes mail from this machine."),
)
_WITHOUT = "Without IDLE mail comes later (poll), without MOVE it is copied and deleted: nothing has to be done."


def smart_host(site: Site) -> Result:
    """The smart host lets us in as the settings say, and offers what a quick delivery needs."""
    settings = site.settings.delivery
    if not settings.host:
        folder = site.settings.path(settings.maildir)
        detail = f"None is set, so no mail leaves this machine: it is written to {folder}."
        return Result("warning", detail, "Set host in [delivery].")
    where = f"{settings.host}:{settings.port}"
    password = site.settings.secret("delivery.password_file", settings.password_file) if settings.user else ""
    try:
        with contextlib.closing(_connected(site)) as client:
            _sign_in(site, client, password)
            client.rset()
            said = _offered(site, where, client.esmtp_features)  # which are forgotten with the session
            with contextlib.suppress(OSError):  # some close the connection without an answer
                client.quit()
            return said
    except OSError as error:
        todo = next(todo for kind, todo in _SMART_HOST_TODO if isinstance(error, kind))
        return Result("failed", f"{where}: {words(error)}.", todo)


def _connected(site: Site) -> smtplib.SMTP:
    settings = site.settings.delivery
    where: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "local_hostname": site.domain,
        "timeout": site.patience,
    }
    if settings.tls == "tls":
        return smtplib.SMTP_SSL(**where, context=_trust(site))
    return smtplib.SMTP(**where)


def _sign_in(site: Site, client: smtplib.SMTP, password: str) -> None:
    settings = site.settings.delivery
    if settings.tls == "starttls":
        client.starttls(context=_trust(site))
    client.ehlo_or_helo_if_needed()
    if settings.user:
        client.login(settings.user, password)


def _trust(site: Site) -> ssl.SSLContext:
    return site.context or ssl.create_default_context()


def _offered(site: Site, where: str, features: dict[str, str]) -> Result:
    """What is to be said of a smart host that lets us in."""
    if missing := [name for name in _WANTED if name.lower() not in features]:
        detail = f"{where} lets us in, but does not offer {', '.join(missing)}: mail goes out slowly, or not as it is."
        return Result("warning", detail, "Ask for it there, or name another server in delivery.host.")
    size, most = features["size"], site.settings.smtp.max_size
    if size.isdecimal() and 0 < int(size) < most + _ADDED:  # RFC 1870 4: none, or 0, is no limit
        detail = f"{where} takes mail of {size} bytes at most, while we take posts of {most} bytes."
        return Result("warning", detail, f"Set smtp.max_size = {max(1024, int(size) - _ADDED)}, or raise its limit.")
    signed_in = f" as {site.settings.delivery.user}" if site.settings.delivery.user else ""
    return Result("ok", f"{where} lets us in{signed_in} and offers {', '.join(_WANTED)}; nothing was sent.")


class _Mailbox(Session):
    """A session that tells what the server offers to us."""

    @property
    def offers(self) -> dict[str, bool]:
        return {"IDLE": self.has_idle, "MOVE": self._has_move}


def mailbox(site: Site, box: ImapSettings) -> Result:
    """The server of a mailbox lets us in, and the folder is there."""
    name = f"{box.user} at {box.host}:{box.port}"
    password = site.settings.secret("imap.password_file", box.password_file)
    session = _Mailbox(box, password, Timing(connect=site.patience, answer=site.patience), site.context)
    try:
        session.open()
    except RefusedError as error:
        todo = "Mend host, tls, user, folder or the first line of password_file in its [[imap]]."
        return Result("failed", f"{name}: {error}.", todo)
    except LostError as error:
        todo = "Set host, port and tls in its [[imap]] to what the provider's page says."
        return Result("failed", f"{name} cannot be reached: {error}.", todo)
    finally:
        session.close()
    detail = f"{name} lets us in and has the folder {box.folder}"
    if missing := [offer for offer, offered in session.offers.items() if not offered]:
        return Result("warning", f"{detail}, but does not offer {' and '.join(missing)}. {_WITHOUT}")
    return Result("ok", f"{detail}; it offers IDLE and MOVE.")


def plus_addressing(site: Site) -> Result | None:
    """How a person tries what takes mail from elsewhere."""
    if not site.settings.imap:
        return None
    tests = ", ".join(sorted({_test_address(site, box) for box in site.settings.imap}))
    detail = f"Only mail from elsewhere can show it: write to {tests}. Where that does not reach the mailbox, replies"
    return Result("ok", f"{detail} to digests, commands and returned mail do not either (docs/mailbox-only.md).")


def _test_address(site: Site, box: ImapSettings) -> str:
    local, _, domain = box.user.partition("@")
    return f"{local if domain else box.community or local}{site.settings.site.separator}test@{domain or site.domain}"
