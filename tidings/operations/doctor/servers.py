"""Checks of the servers that a site asks: smart hosts, mailboxes and the model; no mail is sent or fetched."""

import contextlib
import smtplib
import ssl
from typing import Any

from tidings.digests import model
from tidings.digests.model import Question
from tidings.mailer.imap_session import LostError, RefusedError, Session, Timing
from tidings.operations.doctor.site import Result, Site, words
from tidings.settings import DeliverySettings, ImapSettings, RouteSettings

_WANTED = ("PIPELINING", "SIZE", "8BITMIME")
_ADDED = 65_536  # bytes by which a copy may be larger than its post
# What to do about an error of the smart host; the first that fits counts.
_SMART_HOST_TODO: tuple[tuple[type[OSError], str], ...] = (
    (ssl.SSLCertVerificationError, "Set {table}.host to the name in its certificate, or have that renewed."),
    (ssl.SSLError, 'Set {table}.tls to "starttls" in the place of "tls", or {table}.port to one for TLS.'),
    (smtplib.SMTPAuthenticationError, "Mend {table}.user, or the first line of {table}.password_file."),
    (smtplib.SMTPNotSupportedError, "Set {table}.tls, {table}.user and {table}.port to what its page says."),
    (OSError, "Set {table}.host and {table}.port to a server that takes mail from this machine."),
)
_WITHOUT = "Without IDLE mail comes later (poll), without MOVE it is copied and deleted: nothing has to be done."


def smart_host(site: Site) -> Result:
    """The smart host lets us in as the settings say, and offers what a quick delivery needs."""
    settings = site.settings.delivery
    if not settings.host:
        folder = site.settings.path(settings.maildir)
        others = " but for that of the routes" if site.settings.route else ""
        detail = f"None is set, so no mail leaves this machine{others}: it is written to {folder}."
        return Result("warning", detail, "Set host in [delivery].")
    return _asked(site, settings, "delivery", f"{settings.host}:{settings.port}")


def smart_host_of(site: Site, route: RouteSettings) -> Result:
    """So does the smart host of a route."""
    return _asked(site, route, "route", f"{route.name} at {route.host}:{route.port}")


def _asked(site: Site, host: DeliverySettings | RouteSettings, table: str, where: str) -> Result:
    password = site.settings.secret(f"{table}.password_file", host.password_file) if host.user else ""
    try:
        with contextlib.closing(_connected(site, host)) as client:
            _sign_in(site, host, client, password)
            client.rset()
            signed_in = f"{where} lets us in{f' as {host.user}' if host.user else ''}{_clear(host, client)}"
            said = _offered(site, table, signed_in, client.esmtp_features)  # which are forgotten with the session
            with contextlib.suppress(OSError):  # some close the connection without an answer
                client.quit()
            return said
    except OSError as error:
        todo = next(todo for kind, todo in _SMART_HOST_TODO if isinstance(error, kind))
        return Result("failed", f"{where}: {words(error)}.", todo.format(table=table))


def _connected(site: Site, host: DeliverySettings | RouteSettings) -> smtplib.SMTP:
    where: dict[str, Any] = {
        "host": host.host,
        "port": host.port,
        "local_hostname": site.domain,
        "timeout": site.patience,
    }
    if host.tls == "tls":
        return smtplib.SMTP_SSL(**where, context=_trust(site))
    return smtplib.SMTP(**where)


def _sign_in(site: Site, host: DeliverySettings | RouteSettings, client: smtplib.SMTP, password: str) -> None:
    client.ehlo_or_helo_if_needed()
    if host.tls == "starttls" or (host.tls == "try" and client.has_extn("starttls")):
        client.starttls(context=_trust(site))
        client.ehlo_or_helo_if_needed()
    if host.user:
        client.login(host.user, password)


def _clear(host: DeliverySettings | RouteSettings, client: smtplib.SMTP) -> str:
    """What is to be said where encryption was only tried, and not offered."""
    return " in the clear" if host.tls == "try" and not isinstance(client.sock, ssl.SSLSocket) else ""


def _trust(site: Site) -> ssl.SSLContext:
    return site.context or ssl.create_default_context()


def _offered(site: Site, table: str, signed_in: str, features: dict[str, str]) -> Result:
    """What is to be said of a smart host that lets us in."""
    if missing := [name for name in _WANTED if name.lower() not in features]:
        detail = f"{signed_in}, but does not offer {', '.join(missing)}: mail goes out slowly, or not as it is."
        return Result("warning", detail, f"Ask for it there, or name another server in {table}.host.")
    size, most = features["size"], site.settings.smtp.max_size
    if size.isdecimal() and 0 < int(size) < most + _ADDED:  # RFC 1870 4: none, or 0, is no limit
        detail = f"{signed_in}, and takes mail of {size} bytes at most, while we take posts of {most} bytes."
        return Result("warning", detail, f"Set smtp.max_size = {max(1024, int(size) - _ADDED)}, or raise its limit.")
    return Result("ok", f"{signed_in} and offers {', '.join(_WANTED)}; nothing was sent.")


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


def summaries(site: Site) -> Result | None:
    """The model that writes of conversations answers; it is told nothing of them."""
    settings = site.settings.summary
    if settings.provider == "extractive":
        return None
    key = site.settings.secret("summary.key_file", settings.key_file) if settings.key_file else ""
    question = Question(
        url=settings.url, model=settings.model, key=key, instructions="Answer in one word.", text="Are you there?"
    )
    answer, name = model.ask(question, site.patience), f"The model {settings.model} at {settings.url}"
    if answer.error or not answer.text:
        detail = f"{name}: {answer.error or 'It answered nothing.'} Digests are told in the members' own words."
        return Result("warning", detail, "Mend url, model or key_file in [summary].")
    return Result("ok", f"{name} answers.")
