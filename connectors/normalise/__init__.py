"""Identifiers in the form a platform matches by: rules as data (`rules.yaml`), by platform, field and date; steps in `steps.py`.

A platform that changes its rules gets a new entry with a new date; the old one stays, so that what was hashed by it can still be told and removed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from connectors.errors import ConfigError
from connectors.normalise import steps
from connectors.types import Normaliser

RULES_FILE = Path(__file__).with_name("rules.yaml")


@dataclass(frozen=True)
class Rule:
    """How one platform wants one field from a date on. Calling it brings a value into that form; None: the value can't be one.

    Args:
        platform, field, since: what it is for; `since` is a month, "2026-08".
        source: where it was read.
        read_on: when.
        steps: names of functions in `steps`.
        vectors: the platform's own examples: as given, and as expected.
        own_vectors: examples that follow from its rules.
    """

    platform: str
    field: str
    since: str
    source: str
    read_on: date
    steps: tuple[str, ...]
    vectors: Mapping[str, str] = dataclasses.field(default_factory=dict)
    own_vectors: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """What configurations and plug-ins call it: "uid2.email@2026-08"."""
        return f"{self.platform}.{self.field}@{self.since}"

    @property
    def hashes(self) -> bool:
        """Whether the result no longer shows the value."""
        return "sha256" in self.steps

    def __call__(self, value: str) -> str | None:
        found: Any = value
        for name in self.steps:
            found = getattr(steps, name)(found)
            if found is None:
                return None
        return found


@cache
def rules() -> Mapping[str, Rule]:
    """Every rule by name."""
    import yaml

    entries = yaml.load(RULES_FILE.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    found = [Rule(**{**entry, "since": str(entry["since"]), "steps": tuple(entry["steps"])}) for entry in entries]
    return {rule.name: rule for rule in found}


def normaliser(platform: str, field: str, on: date | None = None) -> Normaliser:
    """The rule that held on a day; default the newest.

    Raises:
        ConfigError: there is none.
    """
    known = sorted((r for r in rules().values() if (r.platform, r.field) == (platform, field)), key=lambda rule: rule.since)
    held = [rule for rule in known if on is None or rule.since <= f"{on:%Y-%m}"]
    if not held:
        raise ConfigError(f"there are no rules for {field} at {platform}" + (f" on {on}" if on else ""), hint=f"there are {', '.join(rules())}")
    return held[-1]
