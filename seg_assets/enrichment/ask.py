"""Asking an enricher within a budget: in portions, each quoted before and kept after, so that no more than one portion's answers can be lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from connectors.types import Context, Enricher, Enrichment, Match, Page, Subject

PORTION = 500
"""Persons asked about between two commits."""
UTC = pa.timestamp("us", tz="UTC")
ANSWERS = pa.schema(
    [
        ("enrichment_id", pa.string()),
        ("email", pa.string()),
        ("match", pa.string()),
        ("attribute", pa.string()),
        ("value", pa.string()),
        ("confidence", pa.float64()),
        ("provided_at", UTC),
        ("expires_at", UTC),
        ("cost", pa.string()),
        ("reason", pa.string()),
    ]
)
"""A row per attribute of somebody who was found, and one row for each other answer. `cost` is that of the whole answer, in the vendor's unit."""
MATCHED = f"match = '{Match.MATCH.value}'"
"""Rows that tell something."""


@dataclass
class Asked:
    """How far asking came.

    Args:
        matches: how many answers there were of each kind.
        spent: what they cost, those in doubt included.
        unit: of the cost.
        stopped: why not everybody was asked about; "" when everybody was.
    """

    matches: Counter[str] = field(default_factory=Counter)
    spent: Decimal = Decimal(0)
    unit: str = ""
    stopped: str = ""

    @property
    def asked(self) -> int:
        return sum(self.matches.values())

    @property
    def found_share(self) -> float:
        """Of those asked about with a clear answer; 1 where there were none."""
        clear = self.matches[Match.MATCH.value] + self.matches[Match.NO_MATCH.value]
        return self.matches[Match.MATCH.value] / clear if clear else 1.0


def answers(enricher: Enricher, emails: Sequence[str], fields: Mapping[str, str], budget: Decimal, context: Context, asked: Asked) -> Iterator[Page]:
    """Asks about persons until all are asked about or the budget is used up.

    Args:
        enricher: a configured connector.
        emails: of whom to ask about.
        fields: the connector's field to the attribute it tells.
        budget: most that may be spent, in the quote's unit.
        context: of the run.
        asked: counts what happened.

    Yields:
        Pages of `ANSWERS`, one per portion. Who is to be asked again later (RETRY) is in none.
    """
    start = 0
    while start < len(emails):
        portion = emails[start : start + PORTION]
        affordable = _affordable(enricher, len(portion), list(fields), budget - asked.spent, context, asked)
        if affordable < len(portion):
            asked.stopped = f"the budget of {budget} {asked.unit} leaves {len(emails) - start - affordable:,} persons for another run"
        if not affordable:
            return
        subjects = [Subject(f"person-{start + n}", {"email": email}) for n, email in enumerate(portion[:affordable])]
        told = list(enricher.enrich(subjects, list(fields), context))
        most = enricher.quote(1, list(fields), context).most
        asked.matches.update(one.match.value for one in told)
        asked.spent += sum((most if one.match is Match.IN_DOUBT else one.cost for one in told), Decimal(0))
        start += affordable
        by_ref = {one.ref: one.identifiers["email"] for one in subjects}
        rows = [row for one in told if one.match is not Match.RETRY for row in _rows(one, by_ref[one.ref], fields, context.as_of)]
        yield Page(f"{context.as_of.isoformat()} {start}", pa.Table.from_pylist(rows, ANSWERS), cursor={"spent": str(asked.spent)})
        if all(one.match is Match.RETRY for one in told):
            asked.stopped = f"the vendor answers nobody now: {told[0].reason}"
        if asked.stopped:
            return


def _affordable(enricher: Enricher, persons: int, fields: Sequence[str], left: Decimal, context: Context, asked: Asked) -> int:
    """How many of so many persons can be asked about for sure."""
    while persons:
        quote = enricher.quote(persons, fields, context)
        asked.unit = quote.unit
        most = left if quote.left is None else min(left, quote.left)
        if quote.most <= most:
            return persons
        persons = min(persons - 1, int(persons * max(most, Decimal(0)) / quote.most))
    return 0


def _rows(one: Enrichment, email: str, fields: Mapping[str, str], as_of: datetime) -> Iterator[dict[str, Any]]:
    shared = {
        "email": email,
        "match": one.match.value,
        "provided_at": as_of,
        "expires_at": one.expires_at,
        "cost": str(one.cost),
        "reason": one.reason,
    }
    told = [(fields[name], str(value)) for name, value in one.values.items() if value is not None] or [(None, None)]
    for attribute, value in told:
        id = blake2b("\0".join((email, str(attribute), as_of.isoformat())).encode(), digest_size=16).hexdigest()
        yield {**shared, "enrichment_id": id, "attribute": attribute, "value": value, "confidence": one.confidence}
