"""`HttpSpec`: everything there is to know about talking to one vendor, as data. Read from the `http.yaml` beside a connector.

Every limit states where it was read and when, and can be overridden per account. Acting on it is the other modules' business.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from connectors.http.auth import Auth, NoAuth
from connectors.http.client import checked_url
from connectors.http.jsonpath import Path as JsonPathField
from connectors.http.paging import Paging
from connectors.http.rules import Condition, Duration, RowAnswers, Rule
from connectors.types import Idempotency, Limit


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WindowSpec(_Model):
    """A limit per time."""

    n: float = Field(gt=0, description="Calls (or weight) allowed.")
    per: Duration = Field(description="Length of the window, e.g. 10s.")
    remaining: str | None = Field(None, description="Header with what is left.")
    reset: str | None = Field(None, description="Header with when it is full again: seconds, an instant, or a date.")


class BudgetSpec(_Model):
    """Limits that a group of calls shares."""

    match: str = Field("*", description="Paths it applies to; * stands for anything.")
    windows: tuple[WindowSpec, ...] = Field(min_length=1, description="All of them hold at once.")
    source: str = Field(description="Where the limit was read.")
    read_on: date = Field(description="When it was read.")

    def covers(self, path: str) -> bool:
        """Whether calls of a path are counted."""
        return fnmatch.fnmatchcase(path, self.match)


class AtOnce(_Model):
    """Calls that may be under way at the same time."""

    n: int = Field(1, ge=1, le=16, description="How many we make at once.")
    source: str = Field("", description="Where the vendor says how many it takes, or that it counts calls per time only.")
    read_on: date = Field(date.min, description="When it was read.")

    @model_validator(mode="after")
    def _has_a_source(self) -> AtOnce:
        if self.n > 1 and (not self.source or self.read_on == date.min):
            raise ValueError("say in `source` and `read_on` where and when it was read that calls may be made at once")
        return self


class Retrying(_Model):
    """How often and how long to try again before the operation is put off."""

    attempts: int = Field(5, ge=1, le=20, description="Times a request is sent at most.")
    backoff: Duration = Field(0.5, description="First wait where the vendor does not say; doubles each time.")
    longest_backoff: Duration = Field(60.0, description="Longest such wait.")
    patience: Duration = Field(60.0, description="A longer wait is not waited for: the operation is put off.")


class Endpoint(_Model):
    """One call the vendor offers."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: str = Field(pattern=r"^(/.*)?$", description="Below base_url; {name} is filled in. Empty: base_url itself.")
    query: dict[str, str] = Field(default_factory=dict, description="Sent with every call.")
    idempotency: Idempotency | None = Field(None, description="What repeating does; default A for GET, D for the rest.")
    idempotency_header: str | None = Field(None, description="Header that names the operations of a call, so that the vendor knows a repetition.")
    weight: float = Field(1, ge=0, description="What a call costs of its budgets.")
    max_rows: int | None = Field(None, ge=1, description="Rows per call.")
    max_bytes: int | None = Field(None, ge=1, description="Bytes of a request's body.")
    rules: tuple[Rule, ...] = Field((), description="Tried before the vendor's.")
    success_when: Condition | None = Field(None, description="Must hold before a 2xx counts; default the vendor's.")
    rows: tuple[RowAnswers, ...] = Field((), description="Where the answer speaks of single rows.")
    silence: Literal["in_doubt", "acked"] = Field("in_doubt", description="What became of rows that a successful answer does not speak of.")
    taken: JsonPathField | None = Field(None, description="JSONPath to how many rows succeeded; silence is believed only where that number is right.")
    paging: Paging | None = Field(None, description="How to get the next page.")

    @property
    def repeating(self) -> Idempotency:
        """What sending it again does."""
        return self.idempotency or (Idempotency.ABSOLUTE if self.method == "GET" else Idempotency.APPEND)


class HttpSpec(_Model):
    """A vendor's HTTP interface."""

    base_url: str = Field(description="https address all paths are below.")
    source: str | None = Field(None, description="Where limits of rows and bytes were read.")
    read_on: date | None = Field(None, description="When they were read.")
    places: dict[str, str] = Field(default_factory=dict, description="Parts of paths that depend on a version or an account, by name.")
    hosts: tuple[str, ...] = Field((), description="Other hosts that tokens or next links may lead to; * stands for anything but a dot.")
    auth: Auth = Field(default_factory=NoAuth, description="How requests are authorised.")
    headers: dict[str, str] = Field(default_factory=dict, description="Sent with every request.")
    timeout: Duration = Field(30.0, description="For connecting, sending, and each wait for a part of the answer.")
    max_answer: int = Field(64 << 20, ge=1024, description="Bytes of an answer that are read.")
    retry: Retrying = Retrying.model_validate({})
    budgets: dict[str, BudgetSpec] = Field(default_factory=dict, description="Limits per time, by name.")
    at_once: AtOnce = AtOnce.model_validate({})
    rules: tuple[Rule, ...] = Field((), description="In order; the first that fits decides.")
    success_when: Condition | None = Field(None, description="Must hold before a 2xx counts as success.")
    endpoints: dict[str, Endpoint] = Field(default_factory=dict)

    @field_validator("base_url")
    @classmethod
    def _allowed(cls, url: str) -> str:
        return checked_url(url)

    @model_validator(mode="after")
    def _limits_have_a_source(self) -> HttpSpec:
        limited = [name for name, endpoint in self.endpoints.items() if endpoint.max_rows or endpoint.max_bytes]
        if limited and not (self.source and self.read_on):
            raise ValueError(f"endpoint {limited[0]!r} has limits; say in `source` and `read_on` where and when they were read")
        return self

    @model_validator(mode="after")
    def _budgets_apply(self) -> HttpSpec:
        paths = [endpoint.path for endpoint in self.endpoints.values()]
        for name, budget in self.budgets.items():
            if paths and not any(budget.covers(path) for path in paths):
                raise ValueError(f"budget {name!r} covers no endpoint")
        return self

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Every limit with its source, for `ConnectorMeta.limits`."""
        rates = [
            Limit(f"{name}: calls in {window.per:g} s", window.n, budget.source, budget.read_on)
            for name, budget in self.budgets.items()
            for window in budget.windows
        ]
        sizes = [
            Limit(f"{name}: {unit} per call", value, self.source or "", self.read_on or date.min)
            for name, endpoint in self.endpoints.items()
            for unit, value in (("rows", endpoint.max_rows), ("bytes", endpoint.max_bytes))
            if value
        ]
        at_once = [Limit("calls at once", self.at_once.n, self.at_once.source, self.at_once.read_on)] if self.at_once.n > 1 else []
        return (*rates, *at_once, *sizes)

    def reaches(self, host: str) -> bool:
        """Whether requests, and with them credentials, may go to a host."""
        own = urlsplit(self.base_url).hostname
        patterns = (re.escape(allowed).replace(r"\*", "[^.]+") for allowed in self.hosts)
        return host == own or any(re.fullmatch(pattern, host, re.IGNORECASE) for pattern in patterns)

    def with_overrides(self, changes: Mapping[str, Any]) -> HttpSpec:
        """The same with an account's own settings, merged key by key: e.g. {"budgets": {"burst": {"windows": [...]}}}.

        Raises:
            pydantic.ValidationError: the result is not valid.
        """
        return HttpSpec.model_validate(_merged(self.model_dump(by_alias=True, exclude_unset=True), changes))


def load_spec(file: Path, **changes: Any) -> HttpSpec:
    """The spec in a YAML file, with settings that differ."""
    return HttpSpec.model_validate(_merged(_content(file), changes))


@cache
def _content(file: Path) -> dict[str, Any]:
    import yaml

    return yaml.load(file.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        held = merged.get(key)
        merged[key] = _merged(held, value) if isinstance(held, Mapping) and isinstance(value, Mapping) else value
    return merged
