"""A sitting of a meeting as calendars see it; pure."""

from tidings.communities.directory import Community
from tidings.digests.meetings.agenda import Agenda
from tidings.digests.meetings.diary import Sitting
from tidings.mailer.events import Event
from tidings.settings import SiteSettings


def event(community: Community, found: Agenda, sitting: Sitting, *, site: SiteSettings) -> Event:
    raise NotImplementedError
