"""Checks of what a person has to see to: pages, admins and owners, and mail that went nowhere."""

from datetime import timedelta
from urllib.parse import urlsplit

from sqlalchemy import func, select

from tidings.communities import standing
from tidings.communities.calendars import listing
from tidings.database.tables import community, delivery, membership
from tidings.mailer.spool import Spool
from tidings.operations.doctor.site import Result, Site
from tidings.settings import LOCAL_HOSTS


def pages(site: Site) -> Result:
    """Links in mail lead to pages that members can open."""
    url = site.settings.site.base_url
    parts = urlsplit(url)
    todo = 'Set base_url = "https://..." in [site] to where your web server passes requests on to web.listen.'
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return Result("failed", f"site.base_url {url!r} is no address of a page.", todo)
    if parts.hostname in LOCAL_HOSTS:
        if site.settings.delivery.host or site.settings.route:
            return Result("warning", f"Links in mail lead to {url}, which only this machine can open.", todo)
        return Result("ok", f"The pages are at {url}, for this machine only.")
    if parts.scheme == "http":
        return Result("warning", f"The pages are at {url}, where anybody on the way can read along.", todo)
    return Result("ok", f"The pages are at {url}.")


def admins(site: Site) -> Result:
    """Somebody may see and do everything."""
    found = site.settings.site.admins
    if not found:
        return Result("failed", "The site has no admin.", 'Set admins = ["YOU@..."] in [site].')
    return Result("ok", f"{', '.join(found)}.")


def owners(site: Site) -> Result:
    """Somebody reads what is written to the owners of each community."""
    owner = select(membership.c.id).where(
        membership.c.community_id == community.c.id, membership.c.role == "owner", membership.c.left_at.is_(None)
    )
    open_now = select(community.c.name, owner.exists().label("owned")).where(community.c.archived_at.is_(None))
    with site.read() as connection:
        rows = connection.execute(open_now.order_by(community.c.name)).all()
    without = [row.name for row in rows if not row.owned]
    if not rows:
        return Result("warning", "There is no community yet.", "`tidings community add NAME --name TITLE`")
    if not without:
        return Result("ok", "Every community has an owner.")
    if site.settings.site.admins:
        return Result("ok", f"Mail to the owners of {', '.join(without)} goes to the site's admins.")
    todo = f"`tidings member add {without[0]} EMAIL --role owner`"
    return Result("failed", f"Nobody reads mail to the owners of {', '.join(without)}.", todo)


def stopped(site: Site) -> Result:
    """Mail goes to every member."""
    with site.read() as connection:
        wave = standing.wave(connection, site.clock.now())
        many = len(standing.stopped(connection))
    if wave:
        detail = f"So much mail came back that none of it counts until {wave.ends_at:%Y-%m-%d %H:%M} UTC. {wave.reason}"
        return Result("warning", detail, "Mend the cause, then `tidings stopped end-wave`.")
    if many:
        return Result("warning", f"Mail to {many} addresses is stopped: too much came back.", "`tidings stopped list`")
    return Result("ok", "Mail to no address is stopped.")


def calendars(site: Site) -> Result:
    """Shifts that come from feeds are those of today."""
    with site.read() as connection:
        found = listing(connection)
    failing = next((one for one in found if one.error), None)
    if failing:
        detail = f"That of {failing.pattern} was last read at {failing.read_at:%Y-%m-%d %H:%M} UTC. {failing.error}"
        return Result("warning", detail, "`tidings rota calendars`; it is asked again each day")
    return Result("ok", f"{len(found)} can be read." if found else "No crew has one.")


def held(site: Site) -> Result:
    """Nothing waits for a person."""
    many = Spool(site.databases[1]).counts()["held"]
    if many:
        return Result("warning", f"{many} messages wait for a person.", "`tidings hold list`")
    return Result("ok", "No message waits for a person.")


def shunted(site: Site) -> Result:
    """Tidings failed on nothing."""
    many = Spool(site.databases[1]).counts()["shunted"]
    if many:
        return Result("failed", f"Tidings failed on {many} messages.", "`tidings shunt list`")
    return Result("ok", "Tidings failed on no message.")


def failed_deliveries(site: Site) -> Result:
    """What was sent of late arrived."""
    many = func.count()
    query = (
        select(many, delivery.c.reply)
        .where(delivery.c.state == "failed", delivery.c.changed_at > site.clock.now() - timedelta(days=1))
        .group_by(delivery.c.reply)
        .order_by(many.desc(), delivery.c.reply)
    )
    with site.read() as connection:
        rows = connection.execute(query).all()
    if rows:
        detail = f"{sum(row[0] for row in rows)} since a day ago, most often: {rows[0][1]}"
        return Result("warning", detail, "`tidings queue`, and `tidings why MESSAGE-ID EMAIL`")
    return Result("ok", "None since a day ago.")
