"""What a connector says about itself: identity, interface version, limits, capabilities, and the base of its configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

API_VERSION = 1
"""Version of this interface; a connector states the versions it works with in `ConnectorMeta.api`."""


class Config(BaseModel):
    """Base of every connector's configuration model.

    Unknown keys are errors, each field has a description, and a field that holds a secret is a pydantic `SecretStr`, which no message or log shows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


class Capability(StrEnum):
    """What a destination can do besides delivering; each is a protocol of the same meaning in `connectors.types.destinations`."""

    CONTAINERS = "containers"
    """Makes the list, cohort or segment an audience is held in (`MakesContainers`)."""
    READ_BACK = "read_back"
    """Tells what it holds for given keys (`ReadsBack`)."""
    ARCHIVE = "archive"
    """Puts a person's record away so that it can be brought back (`Archives`)."""
    ERASE = "erase"
    """Forgets a person (`Erases`)."""
    BULK = "bulk"
    """Takes a file of operations and works through it later (`WorksInBulk`)."""


class PiiClass(StrEnum):
    """How a column relates to a person."""

    NONE = "none"
    IDENTIFIER = "identifier"
    """Reaches or names somebody: e-mail address, phone number, account id."""
    PERSONAL = "personal"
    """Describes somebody: name, birth date, city."""
    SENSITIVE = "sensitive"
    """Specially protected: health, belief, political opinion (GDPR, article 9)."""


@dataclass(frozen=True)
class Limit:
    """A limit the vendor sets.

    Args:
        name: what is limited ("rows per upsert").
        value: how much of it.
        source: where it was read: a URL, or the name of a document.
        read_on: when it was read.
    """

    name: str
    value: float
    source: str
    read_on: date


@dataclass(frozen=True)
class ConnectorMeta:
    """What a connector says about itself.

    Args:
        id: the word users write after `connector:`; lower-case, stable for ever.
        title: name for people.
        description: one or two sentences.
        kinds: up to two Dagster kinds shown on its assets, e.g. ("csv", "files").
        api: the `API_VERSION`s it works with: a number, or a range such as ">=1,<3".
        docs_url: where its own documentation is, if anywhere.
        limits: of the vendor, each with source and date.
        capabilities: what a destination can do besides delivering.
    """

    id: str
    title: str
    description: str
    kinds: tuple[str, ...] = ()
    api: int | str = API_VERSION
    docs_url: str | None = None
    limits: tuple[Limit, ...] = ()
    capabilities: frozenset[Capability] = frozenset()


def api_range(api: int | str) -> tuple[int, int | None]:
    """The first interface version a connector works with, and the first it no longer does (None: no such).

    Raises:
        ValueError: neither a number nor ">=N" nor ">=N,<M".
    """
    if isinstance(api, int) and not isinstance(api, bool):
        return api, api + 1
    match = re.fullmatch(r"\s*>=\s*(\d+)\s*(?:,\s*<\s*(\d+)\s*)?", api) if isinstance(api, str) else None
    if not match:
        raise ValueError(f"`api` must be a number or a range such as '>=1,<2', not {api!r}")
    return int(match[1]), int(match[2]) if match[2] else None
