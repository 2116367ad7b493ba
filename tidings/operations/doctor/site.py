"""What the doctor's checks look at, and what each of them says.

It looks at nothing itself.
"""

import contextlib
import smtplib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from tidings.clock import Clock
from tidings.database.engine import Database
from tidings.mailer.resolver import Dns
from tidings.settings import Settings

State = Literal["ok", "warning", "failed"]


class Result(NamedTuple):
    """What a check says; `todo` is what to type, and empty where nothing is to be done."""

    state: State
    detail: str
    todo: str = ""


@dataclass(frozen=True, kw_only=True)
class Site:
    """What the checks look at."""

    settings: Settings
    clock: Clock
    dns: Dns
    context: ssl.SSLContext | None
    seconds: float

    @property
    def domain(self) -> str:
        """The mail domain of the communities."""
        return self.settings.site.domain

    @property
    def folder(self) -> Path:
        """Where the data is kept."""
        return Path(self.settings.site.data_dir)

    @property
    def patience(self) -> float:
        """Seconds for one answer of a server: less than a check may take, so that it can say what did not come."""
        return 0.6 * self.seconds

    @cached_property
    def databases(self) -> tuple[Database, Database]:
        """Of the site and of the spool, as `app` opens them."""
        database = Database(self.settings.database.url, folder=self.folder)
        return database, Database("sqlite:///spool.db", folder=self.folder) if database.path else database

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A reader of the site's database."""
        with self.databases[0].read() as connection:
            yield connection

    def close(self) -> None:
        """Close the databases that were opened."""
        for database in set(vars(self).get("databases", ())):
            database.close()


def words(error: Exception) -> str:
    """What an error says, in one line."""
    text = str(error)
    if isinstance(error, DBAPIError):
        text = str(error.orig)  # without the statement
    elif isinstance(error, ssl.SSLCertVerificationError):
        text = f"its certificate is not good: {error.verify_message}"
    elif isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        text = f"{error.smtp_code} {said.decode('utf-8', 'replace') if isinstance(said, bytes) else said}"
    shown = "".join(one if one.isprintable() else " " for one in text)
    return " ".join(shown.split()).rstrip(".") or type(error).__name__
