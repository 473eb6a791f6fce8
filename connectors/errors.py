"""Errors a connector raises. Messages never carry secrets, personal data or response bodies."""

from __future__ import annotations


class ConnectorError(Exception):
    """Base of everything a connector raises on purpose. `hint` says what the user can do."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message, self.hint = message, hint
        super().__init__(f"{message} ({hint})" if hint else message)


class ConfigError(ConnectorError):
    """The connection's configuration can't work; retrying will not help."""


class SourceError(ConnectorError):
    """The source can't be read now."""


class DestinationError(ConnectorError):
    """The destination can't be reached or refuses everything."""
