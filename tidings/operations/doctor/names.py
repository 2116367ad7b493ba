"""Checks of the records that the DNS has, or should have, for the domain of a site; docs/dns.md says what for."""

import re
from email.utils import format_datetime

from tidings.mailer.sign import DkimKey, Signature, load_key
from tidings.mailer.verify import verify
from tidings.operations.doctor.site import Result, Site

_STRING = 255  # octets of one string of a TXT record


def mx(site: Site) -> Result:
    """Mail to the communities has a server to go to."""
    hosts = site.dns.mx(site.domain)
    todo = f"Set in the DNS, with the name of the server that takes its mail in: {site.domain}. MX 10 HOST."
    if hosts == [""]:
        return Result("failed", f"{site.domain} says that it takes no mail (RFC 7505).", todo)
    if not hosts:
        return Result("failed", f"{site.domain} has no MX record.", todo)
    return Result("ok", f"Mail to {site.domain} goes to {', '.join(hosts)}.")


def spf(site: Site) -> Result:
    """The domain says which servers send its mail, once."""
    # RFC 7208 4.5: the version ends at a blank or with the record, and two records are an error.
    found = [text for text in _texts(site, site.domain) if re.match(r"(?i)v=spf1( |$)", text)]
    if len(found) > 1:
        todo = "Join them into one TXT record that begins with v=spf1."
        return Result("failed", f"{site.domain} has {len(found)} SPF records, which is as bad as none.", todo)
    if not found:
        record = _txt_line(site.domain, "v=spf1 mx ~all")
        todo = f"Set in the DNS, with what docs/dns.md says for mx where another server sends its mail: {record}"
        return Result("failed", f"{site.domain} has no SPF record.", todo)
    return Result("ok", f"{site.domain}: {found[0]}")


def dkim(site: Site) -> Result:
    """What our key signs is good by the record in the DNS."""
    settings = site.settings.dkim
    if not settings.key_file:
        make = f"`openssl genrsa -out {site.folder / 'dkim.pem'} 2048`"
        todo = f'{make}, then key_file = "dkim.pem" in [dkim], then this again: it prints the record.'
        return Result("warning", "No key is set, so mail goes out unsigned unless the smart host signs it.", todo)
    domain = settings.domain or site.domain
    key = load_key(site.settings.path(settings.key_file), domain=domain, selector=settings.selector)
    name = f"{settings.selector}._domainkey.{domain}"
    todo = f"Set in the DNS: {_txt_line(name, key.record)}"
    if not site.dns.txt(name):
        return Result("failed", f"{name} has no TXT record.", todo)
    proof = verify(_signed(site, key), domain, dns=site.dns, now=site.clock.now())
    if not proof.aligned:
        return Result("failed", f"{name} is not that of dkim.key_file: {proof.how}.", todo)
    return Result("ok", f"{name} has the public half of dkim.key_file.")


def _signed(site: Site, key: DkimKey) -> bytes:
    """A mail that the key signed."""
    now = site.clock.now()
    fields = {"From": f"doctor@{key.domain}", "Date": format_datetime(now), "Message-ID": f"<doctor@{key.domain}>"}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode()
    return Signature(key, head, b"", (), now).field() + head + b"\r\n"


def dmarc(site: Site) -> Result:
    """The domain, or one above it, says what becomes of mail in its name that proves nothing."""
    labels = site.domain.split(".")
    for start in range(max(1, len(labels) - 1)):
        name = "_dmarc." + ".".join(labels[start:])
        # RFC 7489 6.6.3: what begins otherwise is none, and so are two.
        found = [text for text in _texts(site, name) if re.match(r"v\s*=\s*DMARC1\s*(;|$)", text)]
        if len(found) > 1:
            todo = f"Leave one TXT record at {name} that begins with v=DMARC1."
            return Result("failed", f"{name} has {len(found)} DMARC records, which count as none.", todo)
        if found:
            return Result("ok", f"{name}: {found[0]}")
    todo = f"Set in the DNS: {_txt_line(f'_dmarc.{site.domain}', 'v=DMARC1; p=none')}"
    return Result("failed", f"{site.domain} has no DMARC record.", todo)


def _texts(site: Site, name: str) -> list[str]:
    return [record.decode("utf-8", "replace") for record in site.dns.txt(name)]


def _txt_line(name: str, text: str) -> str:
    """A TXT record as a zone file has it; a text that is too long for one string stands in several."""
    strings = (text[at : at + _STRING] for at in range(0, len(text), _STRING))
    return f"{name}. TXT " + " ".join(f'"{one}"' for one in strings)
