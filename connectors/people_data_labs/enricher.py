"""The `people_data_labs` enricher: a hundred persons per call, a credit per match."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, SecretStr, field_validator

from connectors.http import Action, Api, Reply, load_spec
from connectors.http.client import checked_url
from connectors.types import (
    Config,
    ConnectorMeta,
    Context,
    Enrichment,
    FieldDef,
    Match,
    Outcome,
    PiiClass,
    Quote,
    Subject,
    Verdict,
)

SPEC_FILE = Path(__file__).with_name("http.yaml")
FIELDS = (
    FieldDef("sex", "female or male."),
    FieldDef("birth_year", "Year of birth."),
    FieldDef("location_country", "Country, in lower case."),
    FieldDef("location_locality", "City, in lower case."),
    FieldDef("job_title", "Current job title, in lower case."),
    FieldDef("industry", "Industry of the current job.", PiiClass.NONE),
)
MATCHED_BY = ("pdl_id", "email", "phone", "name", "location")
STATUSES = {404: Match.NO_MATCH, 402: Match.RETRY, 429: Match.RETRY, 500: Match.RETRY, 502: Match.RETRY, 503: Match.RETRY, 504: Match.RETRY}
CREDIT = Decimal(1)


class PeopleDataLabsConfig(Config):
    """An account."""

    api_key: SecretStr = Field(description="API key.")
    min_likelihood: int = Field(
        6, ge=2, le=10, description="Least certainty of a match, from 2 to 10; less certain ones are neither told nor paid for."
    )
    calls_per_minute: int = Field(100, ge=1, description="Calls per minute: 100 (free), 1,000 (paid).")
    base_url: str = Field("https://api.peopledatalabs.com", description="Address of the API.")

    @field_validator("base_url")
    @classmethod
    def _allowed(cls, url: str) -> str:
        return checked_url(url)


class PeopleDataLabsEnricher:
    """Tells age, sex, place and work of persons known by e-mail address, phone number, or name and place."""

    meta: ClassVar[ConnectorMeta] = ConnectorMeta(
        id="people_data_labs",
        title="People Data Labs",
        description="Age, sex, place and work of persons; a credit per match.",
        kinds=("peopledatalabs",),
        api=">=1,<2",
        docs_url="https://docs.peopledatalabs.com/docs/bulk-enrichment-api",
        limits=load_spec(SPEC_FILE).limits,
    )
    config_model: ClassVar[type[Config]] = PeopleDataLabsConfig

    def __init__(self, config: PeopleDataLabsConfig) -> None:
        self._config = config
        self._left: Decimal | None = None

    def fields(self) -> Sequence[FieldDef]:
        return FIELDS

    def quote(self, subjects: int, fields: Sequence[str], context: Context) -> Quote:
        return Quote(subjects * CREDIT, "credits", -(-subjects // self._size), self._left)

    def enrich(self, subjects: Sequence[Subject], fields: Sequence[str], context: Context) -> Iterator[Enrichment]:
        asked = [one for one in subjects if _params(one)]
        yield from (Enrichment(one.ref, Match.ERROR, reason="nothing to find them by") for one in subjects if not _params(one))
        for start in range(0, len(asked), self._size):
            part = asked[start : start + self._size]
            # who comes is told by our own word for them: answers may come in another order
            requests = [{"params": _params(one), "metadata": {"ref": one.ref}} for one in part]
            body = {"requests": requests, "min_likelihood": self._config.min_likelihood, "data_include": ",".join(fields)}
            yield from self._told(part, fields, self._api.call("enrich", context, json=body))

    def purge(self, subjects: Sequence[Subject], context: Context) -> Mapping[str, Outcome]:
        reason = "People Data Labs has no call for it; persons ask it themselves"
        return {one.ref: Outcome(Verdict.REJECTED, reason) for one in subjects}

    @cached_property
    def _api(self) -> Api:
        window = {"n": self._config.calls_per_minute, "per": "1m"}
        spec = load_spec(SPEC_FILE, base_url=self._config.base_url, budgets={"account": {"windows": [window]}})
        return Api(spec, {"api_key": self._config.api_key.get_secret_value()}, name="People Data Labs")

    @property
    def _size(self) -> int:
        return self._api.spec.endpoints["enrich"].max_rows or 1

    def _told(self, part: Sequence[Subject], fields: Sequence[str], reply: Reply) -> Iterator[Enrichment]:
        if reply.action is not Action.OK:
            match = {Action.RETRY: Match.RETRY, Action.IN_DOUBT: Match.IN_DOUBT}.get(reply.action, Match.ERROR)
            yield from (Enrichment(one.ref, match, reason=reply.reason) for one in part)
            return
        left = reply.answer.headers.get("x-totallimit-remaining", "") if reply.answer else ""
        self._left = Decimal(left) if left.isdecimal() else self._left
        answers = {one["metadata"].get("ref"): one for one in reply.json if isinstance(one, dict) and isinstance(one.get("metadata"), dict)}
        yield from (_enrichment(one.ref, answers.get(one.ref), fields) for one in part)


def _enrichment(ref: str, answer: Mapping[str, Any] | None, fields: Sequence[str]) -> Enrichment:
    if answer is None:
        return Enrichment(ref, Match.IN_DOUBT, reason="the answer does not say what became of this question")
    status, data = answer.get("status"), answer.get("data")
    if status == 200 and isinstance(data, dict):
        values = {name: data[name] for name in fields if data.get(name) is not None}
        likelihood = answer.get("likelihood")
        return Enrichment(ref, Match.MATCH, values, likelihood / 10 if isinstance(likelihood, int) else None, CREDIT)
    if status == 200:
        return Enrichment(ref, Match.IN_DOUBT, reason="a match without data")
    match = STATUSES.get(status, Match.ERROR) if isinstance(status, int) else Match.IN_DOUBT
    return Enrichment(ref, match, reason="" if match is Match.NO_MATCH else f"status {status}" if isinstance(status, int) else "no status")


def _params(subject: Subject) -> dict[str, str]:
    """What a person is found by; a name needs a place."""
    given = {name: subject.identifiers[name] for name in MATCHED_BY if subject.identifiers.get(name)}
    return given if {"pdl_id", "email", "phone"} & given.keys() or {"name", "location"} <= given.keys() else {}
