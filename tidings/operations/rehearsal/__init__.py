"""A rehearsal: weeks of a site played through on a copy of it, with every mail that would go out kept as a file.

The parts of the copy are opened by whoever asks for one; nothing here opens a site, and nothing leaves the machine.
"""

from pathlib import Path

import msgspec

from tidings.database.engine import Database
from tidings.errors import StorageError, UsageError
from tidings.settings import Settings, SummarySettings

_MAILDIR = "sent"


def copied(settings: Settings, database: Database, folder: Path) -> Settings:
    """The settings of a copy of the site, which is made in `folder`: its mail is written to a Maildir there.

    Raises UsageError where the site is not on SQLite.
    """
    try:
        database.copy(folder / "tidings.db")
    except StorageError as error:
        raise UsageError(f"A rehearsal works on a copy of the site. {error}") from error
    return msgspec.structs.replace(
        settings,
        site=msgspec.structs.replace(settings.site, data_dir=str(folder), demo=False),
        database=msgspec.structs.replace(settings.database, url="sqlite:///tidings.db"),
        delivery=msgspec.structs.replace(settings.delivery, host="", maildir=_MAILDIR),
        dkim=msgspec.structs.replace(settings.dkim, key_file=""),
        summary=SummarySettings(),
        route=[],
        imap=[],
    )


def empty_folder(path: Path) -> Path:
    """The folder, made where it is missing. Raises UsageError where something is in it, or it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise UsageError(f"{path} is not empty; name a new folder for the mails of the rehearsal.")
    except OSError as error:
        raise UsageError(f"Cannot use {path}: {error.strerror}.") from error
    return path
