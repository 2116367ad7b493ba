"""Errors that a person can act on: what went wrong, what to do, and whose fault it is.

It holds no reply codes of SMTP (those are in mailer.reply_codes) and logs nothing.
"""


class TidingsError(Exception):
    """Something that the caller can put right; the message says how."""


class SettingsError(TidingsError):
    """The settings file cannot be used as it is; the message names the key."""


class UsageError(TidingsError):
    """A command was given something that does not exist or cannot be; exit status 2."""


class NotFoundError(TidingsError):
    """The thing that was asked for is not there."""


class StorageError(TidingsError):
    """The database cannot be used safely; nothing was changed."""


class MessageTooComplexError(TidingsError):
    """A message passed one of the limits of parsing; it is kept and held."""
