"""The `acme` enricher: what Acme knows about a person, a credit per match."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from seg_assets.sdk import (
    Action,
    Api,
    Config,
    ConnectorMeta,
    Context,
    Enrichment,
    FieldDef,
    Match,
    Outcome,
    Quote,
    Reply,
    Subject,
    Verdict,
    hookimpl,
    load_spec,
)

SPEC_FILE = Path(__file__).with_suffix(".yaml")
FIELDS = (FieldDef("job_title", "Job title."), FieldDef("city", "City."))
CREDIT = Decimal(1)


class AcmeEnricherConfig(Config):
    """An account."""

    token: SecretStr = Field(description="API token.")
    base_url: str = Field("https://api.acme.example", description="Address of the API.")


class AcmeEnricher:
    """Asks about persons by e-mail address, many per call. An answer that was lost may have been paid for, so it is not asked for again."""

    meta: ClassVar[ConnectorMeta] = ConnectorMeta(
        id="acme",
        title="Acme",
        description="Work and place of persons; a credit per match.",
        kinds=("acme",),
        api=">=1,<2",
        limits=load_spec(SPEC_FILE).limits,
    )
    config_model: ClassVar[type[Config]] = AcmeEnricherConfig

    def __init__(self, config: AcmeEnricherConfig) -> None:
        self._config = config

    def fields(self) -> Sequence[FieldDef]:
        return FIELDS

    def quote(self, subjects: int, fields: Sequence[str], context: Context) -> Quote:
        return Quote(subjects * CREDIT, "credits", -(-subjects // self._size))

    def enrich(self, subjects: Sequence[Subject], fields: Sequence[str], context: Context) -> Iterator[Enrichment]:
        asked = [one for one in subjects if one.identifiers.get("email")]
        yield from (Enrichment(one.ref, Match.ERROR, reason="no e-mail address") for one in subjects if one not in asked)
        for start in range(0, len(asked), self._size):
            part = asked[start : start + self._size]
            people = [{"ref": one.ref, "email": one.identifiers["email"]} for one in part]
            reply = self._api.call("enrich", context, json={"people": people, "fields": list(fields)})
            yield from (_answer(one, fields, reply) for one in part)

    def purge(self, subjects: Sequence[Subject], context: Context) -> Mapping[str, Outcome]:
        return {one.ref: Outcome(Verdict.REJECTED, "Acme has no call for it") for one in subjects}

    @cached_property
    def _api(self) -> Api:
        spec = load_spec(SPEC_FILE, base_url=self._config.base_url)
        return Api(spec, {"token": self._config.token.get_secret_value()}, name="Acme")

    @property
    def _size(self) -> int:
        return self._api.spec.endpoints["enrich"].max_rows or 1


def _answer(one: Subject, fields: Sequence[str], reply: Reply) -> Enrichment:
    """What a reply says about a subject. Answers are found by our own word for them, whatever order they come in."""
    if reply.action is not Action.OK:
        match = {Action.RETRY: Match.RETRY, Action.IN_DOUBT: Match.IN_DOUBT}.get(reply.action, Match.ERROR)
        return Enrichment(one.ref, match, reason=reply.reason)
    told: Mapping[str, Any] | None = next((answer for answer in reply.json["people"] if answer.get("ref") == one.ref), None)
    if told is None:
        return Enrichment(one.ref, Match.IN_DOUBT, reason="the answer does not speak of this person")
    if told["found"] is None:
        return Enrichment(one.ref, Match.NO_MATCH)
    return Enrichment(one.ref, Match.MATCH, {name: told["found"][name] for name in fields if told["found"].get(name)}, cost=CREDIT)


@hookimpl
def seg_enrichers() -> list[type[AcmeEnricher]]:
    return [AcmeEnricher]
