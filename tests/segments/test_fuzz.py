"""The compiler against the judge on random cases. A case is one (segment, stream of 20 to 50 persons, as_of), so that many verdicts.
One evaluation covers 20 segments over 50 such streams.

    pytest tests/segments/test_fuzz.py                          1,000 cases
    SEG_FUZZ_CASES=100000 pytest -s tests/segments/test_fuzz.py the full run
    SEG_FUZZ_SEED=1234 ...                                      start at another seed; a failure names its own

The meaning of everything is in the docstring of `oracle`, under Readings.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import os
from random import Random
from typing import Any

import ibis
import pyarrow as pa
import pytest

from seg_assets.errors import SegError
from seg_assets.schema.tables import EVENTS, PERSON, PERSON_CONSENTS
from seg_assets.segments.passage import Passage, passages
from tests.segments.definitions import ATTRIBUTES
from tests.segments.generator import Case, generate
from tests.segments.oracle import World, members, next_flip
from tests.segments.reducer import reduce

segments = pytest.importorskip("seg_assets.segments", reason="the compiler is not there yet")
if not hasattr(segments, "evaluate"):
    pytest.skip("the compiler is not there yet", allow_module_level=True)

PER_BATCH = 20 * 50
CASES = int(os.environ.get("SEG_FUZZ_CASES", "1000"))
FIRST_SEED = int(os.environ.get("SEG_FUZZ_SEED", "1"))
BATCHES = -(-CASES // PER_BATCH)
ROUNDS = -(-BATCHES // 10)
CATALOG = segments.default_catalog()

TYPES = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
PERSONS_SCHEMA = pa.schema([("person_id", pa.int64()), ("timezone", pa.string()), *((a, TYPES[type(v[0])]) for a, v in ATTRIBUTES.items())])
EVENTS_SCHEMA = ibis.schema({PERSON.name: PERSON.dtype, **EVENTS.schema}).to_pyarrow()
CONSENTS_SCHEMA = PERSON_CONSENTS.schema.to_pyarrow()


def table(rows: list[dict[str, Any]], schema: pa.Schema) -> ibis.Table:
    return ibis.memtable(pa.Table.from_pylist([{n: row.get(n) for n in schema.names} for row in rows], schema=schema))


def inputs(case: Case) -> dict[str, Any]:
    return {
        "persons": table(case.persons, PERSONS_SCHEMA),
        "events": table(case.events, EVENTS_SCHEMA),
        "consents": table(case.consents, CONSENTS_SCHEMA),
        "as_of": case.as_of,
    }


def compiled(case: Case) -> dict[str, set[int]]:
    """The compiler's verdicts: who is in which segment."""
    found = segments.verdicts(segments.parse_segments(case.text, CATALOG), **inputs(case)).to_pyarrow().to_pylist()
    return {d["segment"]: {row["person_id"] for row in found if row[d["segment"]]} for d in case.documents}


def memberships(case: Case) -> pa.Table:
    """The compiler's memberships, with reasons and valid_until."""
    evaluation = segments.evaluate(segments.parse_segments(case.text, CATALOG), **inputs(case))
    assert not evaluation.errors
    found = evaluation.memberships.to_pyarrow()
    evaluation.release()
    return found


def judged(case: Case) -> dict[str, set[int]]:
    return members(case.written(), case.persons, case.events, case.consents, case.as_of)


def differs(case: Case) -> bool:
    """Whether compiler and judge disagree; False where one of them can't tell."""
    try:
        return bool(case.documents) and compiled(case) != judged(case)
    except (SegError, KeyError):
        return False


def closure(case: Case, segment: str) -> list[dict[str, Any]]:
    """The definition of a segment and of those nested in it."""
    text = {d["segment"]: str(d["where"]) for d in case.documents}
    wanted, new = set(), {segment}
    while new:
        wanted |= new
        new = {s for s in text for w in new if f"'in_segment': '{s}'" in text[w]} - wanted
    return [d for d in case.documents if d["segment"] in wanted]


def report(case: Case, seed: int) -> str:
    """A reduced case, readable."""
    lines = [f"seed {seed}, as_of {case.as_of.isoformat()}", case.text]
    for title, rows in (("persons", case.persons), ("events", sorted(case.events, key=lambda e: e["event_time"])), ("consents", case.consents)):
        lines += [title, *(f"  {' '.join(f'{k}={v}' for k, v in row.items() if v is not None)}" for row in rows)]
    return "\n".join([*lines, f"judge:    {judged(case)}", f"compiler: {compiled(case)}"])


def disagreement(case: Case, seed: int) -> str | None:
    """A readable small case on which compiler and judge disagree, or None where they agree on all of `case`."""
    found, expected = compiled(case), judged(case)
    wrong = [s for s in expected if found[s] != expected[s]]
    if not wrong:
        return None
    alone = [dataclasses.replace(case, documents=closure(case, s)) for s in wrong]
    smallest = min(alone, key=lambda c: len(c.text))
    return f"{len(wrong)} segments differ: {', '.join(wrong)}\n{report(reduce(smallest if differs(smallest) else case, differs), seed)}"


@pytest.mark.slow
def test_compiler_and_judge_agree():
    for seed in range(FIRST_SEED, FIRST_SEED + BATCHES):
        assert (found := disagreement(generate(seed), seed)) is None, found
        print(f"seed {seed}: {(seed - FIRST_SEED + 1) * PER_BATCH:,} of {BATCHES * PER_BATCH:,} cases agree", flush=True)  # noqa: T201


@functools.cache
def evaluated(seed: int) -> tuple[Case, list[dict[str, Any]]]:
    """A smaller case and its memberships, for what only a whole evaluation tells."""
    case = generate(seed, segments=8, streams=1)
    return case, memberships(case).to_pylist()


SEEDS = pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + ROUNDS))


@pytest.mark.slow
@SEEDS
def test_memberships_are_the_verdicts(seed):
    case, rows = evaluated(seed)
    assert {(row["segment"], row["person_id"]) for row in rows} == {(s, p) for s, people in judged(case).items() for p in people}


@pytest.mark.slow
@SEEDS
def test_a_verdict_holds_until_valid_until_and_changes_then(seed):
    case, rows = evaluated(seed)
    flips = next_flip(case.written(), case.persons, case.events, case.consents, case.as_of)
    found = {(row["segment"], row["person_id"]): row["valid_until"] for row in rows}
    wrong = {member: (until, flips[member]) for member, until in found.items() if until != flips[member]}
    assert not wrong, f"(segment, person): (compiler, judge) {wrong}"


@pytest.mark.slow
@SEEDS
def test_time_alone_turns_a_verdict_only_the_ways_the_definition_shows(seed):
    case, rows = evaluated(seed)
    members = {(row["segment"], row["person_id"]) for row in rows}
    flips = next_flip(case.written(), case.persons, case.events, case.consents, case.as_of)
    ways = passages(segments.parse_segments(case.text, CATALOG))
    turned = {(segment, Passage.OUT if (segment, person) in members else Passage.IN) for (segment, person), at in flips.items() if at}
    assert {(segment, way.value) for segment, way in turned if way not in ways[segment]} == set()


@pytest.mark.slow
@SEEDS
def test_a_member_stays_one_on_the_cited_events_alone(seed):
    case, rows = evaluated(seed)
    documents, people = case.written(), {p["person_id"]: p for p in case.persons}
    by_share = {d["segment"] for d in documents if "_share." in str(closure(case, d["segment"]))}  # a share is an attribute: it cites no events
    for row in (r for r in rows if r["segment"] not in by_share):
        cited = {event_id for clause in json.loads(row["reasons"]) for event_id in clause["events"]}
        replay = World(documents, case.persons, [e for e in case.events if e["event_id"] in cited], case.consents, case.as_of)
        assert replay.is_member(row["segment"], people[row["person_id"]], case.as_of), row


@pytest.mark.slow
@SEEDS
def test_the_order_of_rows_changes_nothing(seed):
    case, rows = evaluated(seed)
    rng = Random(seed)
    tables = {f: getattr(case, f) for f in ("documents", "persons", "events", "consents")}
    shuffled = dataclasses.replace(case, **{f: rng.sample(table, len(table)) for f, table in tables.items()})
    assert memberships(shuffled).to_pylist() == rows


@pytest.mark.slow
@SEEDS
def test_none_is_the_exact_complement_and_de_morgan_holds(seed):
    case = generate(seed, segments=6, streams=1)
    wheres = [d["where"] for d in case.documents if "in_segment" not in str(d["where"])]
    laws = []
    for number, (a, b) in enumerate(itertools.pairwise(wheres)):
        forms = {"is": {"any": [a, b]}, "not": {"none": [a, b]}, "same": {"none": [{"all": [{"none": [a]}, {"none": [b]}]}]}}
        laws += [{"segment": f"{name}{number}", "calendar": "Europe/Berlin", "where": where} for name, where in forms.items()]
    found = compiled(dataclasses.replace(case, documents=laws))
    everybody = {p["person_id"] for p in case.persons}
    for number in range(len(wheres) - 1):
        assert found[f"not{number}"] == everybody - found[f"is{number}"], laws[3 * number]
        assert found[f"same{number}"] == found[f"is{number}"], laws[3 * number]


@pytest.mark.parametrize("empty", ["persons", "events", "consents"])
def test_empty_tables_are_judged_alike(empty):
    case = dataclasses.replace(generate(FIRST_SEED, segments=6, streams=1), **{empty: []})
    assert compiled(case) == judged(case)
