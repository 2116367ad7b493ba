"""What a Postfix beside Tidings has to be told: lines for its main.cf and master.cf, made from the settings.

It changes no file, asks no server and knows no other mail server than Postfix (3.7 or later, for tables in main.cf).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tidings.errors import UsageError
from tidings.settings import Settings, host_port

# The copies of a post are larger than the post, and go out through the same Postfix.
_ADDED = 65_536  # bytes
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (what is listened at is asked here)
_TRANSPORT = "tidings"


@dataclass(frozen=True, kw_only=True)
class PostfixLines:
    """Lines for two files of Postfix."""

    main: str
    master: str

    def __str__(self) -> str:
        about = "join with what stands there under the same name"
        return f"# --- main.cf: {about}\n{self.main}\n# --- master.cf\n{self.master}"


def postfix(settings: Settings, communities: Sequence[str], *, shared: bool = False) -> PostfixLines:
    """What Postfix is told to hand the mail of the communities to our listener by LMTP.

    `shared` says that the site's domain has other mailboxes too: then only the addresses of `communities` (by name) are
    ours, and the lines change with them. Raises UsageError where the listener does not speak LMTP, or on no fixed port.
    """
    listens, port = host_port(settings.smtp.listen)
    if settings.smtp.protocol != "lmtp" or not port:
        raise UsageError('Postfix hands mail over by LMTP: set smtp.protocol = "lmtp" and a fixed port in smtp.listen.')
    host = _EVERYWHERE.get(listens, listens)
    hop = f"{_TRANSPORT}:inet:{f'[{host}]' if ':' in host else host}:{port}"
    route = _of_addresses(settings, communities, hop) if shared else _of_domain(settings, hop)
    return PostfixLines(
        main="\n".join([*route, *_checks(settings), *_limits(settings)]) + "\n", master=_master(settings)
    )


def _of_domain(settings: Settings, hop: str) -> list[str]:
    domain = settings.site.domain
    return [
        f"# All of {domain} is for Tidings.",
        f"relay_domains = {domain}",
        f"transport_maps = inline:{{ {domain}={hop} }}",
        "# Tidings is asked about every recipient before the mail is taken: what nobody wants is never sent back.",
        f"smtpd_recipient_restrictions = check_recipient_access inline:{{ {domain}=reject_unverified_recipient }}",
    ]


def _of_addresses(settings: Settings, communities: Sequence[str], hop: str) -> list[str]:
    names = "|".join(re.escape(name) for name in sorted(communities)) or "no.community.yet"
    domain = re.escape(settings.site.domain).replace(r"\-", "-")  # what Python escapes needlessly means nothing here
    return [
        f"# Of {settings.site.domain} only the communities are for Tidings; print this again when there is a new one.",
        f"tidings_addresses = /^({names})([+-].*)?@{domain}$$/",
        f"transport_maps = regexp:{{ {{ $tidings_addresses {hop} }} }}",
        "# Where the domain is in virtual_mailbox_domains, add the last of these to virtual_mailbox_maps instead.",
        "local_recipient_maps = proxy:unix:passwd.byname $alias_maps regexp:{ { $tidings_addresses ours } }",
        "# Tidings is asked about every recipient before the mail is taken: what nobody wants is never sent back.",
        "smtpd_recipient_restrictions =",
        "  check_recipient_access regexp:{ { $tidings_addresses reject_unverified_recipient } }",
    ]


def _checks(settings: Settings) -> list[str]:
    lines = [
        "unverified_recipient_reject_code = 550",
        "address_verify_poll_delay = 1s",
        "address_verify_poll_count = ${stress?{1}:{9}}",
        "# A new community is known within a minute, one that is gone within a day.",
        "address_verify_negative_refresh_time = 30s",
        "address_verify_negative_expire_time = 60s",
        "address_verify_positive_refresh_time = 1h",
        "address_verify_positive_expire_time = 1d",
        "# What Tidings sends from this machine goes on as it is.",
        "local_header_rewrite_clients = permit_sasl_authenticated",
    ]
    if settings.smtp.authserv_id:
        name = re.escape(settings.smtp.authserv_id).replace(r"\-", "-")
        lines += [
            "# Only this machine speaks in its own name (RFC 8601 5).",
            f"header_checks = regexp:{{ {{ /^Authentication-Results[[:space:]]*:[[:space:]]*{name}/ IGNORE }} }}",
        ]
    return lines


def _limits(settings: Settings) -> list[str]:
    smtp = settings.smtp
    return [
        "# Room for the copies of the largest message that Tidings takes.",
        f"message_size_limit = {smtp.max_size + _ADDED}",
        f"{_TRANSPORT}_destination_recipient_limit = {smtp.max_recipients}",
    ]


def _master(settings: Settings) -> str:
    # Postfix would break longer lines than 998 octets, and with them what is signed.
    return f"{_TRANSPORT} unix - - n - - lmtp\n  -o lmtp_line_length_limit={settings.smtp.max_line}\n"
