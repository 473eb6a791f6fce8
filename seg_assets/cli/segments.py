"""`seg segments`: definitions checked, tested, previewed and explained from the terminal. What is said here is computed in `seg_assets.segments`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from seg_assets.cli.console import JSON_OPTION, PROJECT_OPTION, print_json, print_rows
from seg_assets.errors import SegError

TEMPLATE = """\
segment: {id}
title: {title}
description: Say whom this is for.
where:
  all:
    - {{did: product_viewed, times: ">=2", in: 30d}}
    - {{never: order_completed, in: 30d}}
needs: [marketing_email]
min_size: 1%
expect:
  - {{events: ["0m product_viewed", "1d product_viewed"], at: 2d, member: true}}
  - {{events: ["0m product_viewed", "1d product_viewed", "2d order_completed"], at: 3d, member: false}}
"""


@click.group()
def segments() -> None:
    """Check, test, preview and explain segments."""


@segments.command()
@PROJECT_OPTION
@JSON_OPTION
def check(project_dir: Path | None, as_json: bool) -> None:
    """Read every definition; print every mistake with its place. Exit code 2 if there is one."""
    found = _definitions(project_dir)
    rows = [{"place": str(e.place or ""), "mistake": e.message, "hint": e.hint} for e in found.errors]
    if as_json or rows:
        print_rows(rows, ["place", "mistake", "hint"], as_json=as_json)
    else:
        click.echo(f"{len(found.segments)} segments, no mistakes")
    sys.exit(2 if rows else 0)


@segments.command(name="list")
@PROJECT_OPTION
@JSON_OPTION
def list_(project_dir: Path | None, as_json: bool) -> None:
    """Every segment with its size at the last refresh and what it says in plain English."""
    from seg_assets.schema.tables import SEGMENT_HEALTH
    from seg_assets.segments.words import sentence

    found, lake = _definitions(project_dir), _lake(project_dir)
    health = {row["segment"]: row for row in _rows(lake, SEGMENT_HEALTH.key)}
    rows = [
        {"segment": name, "hash": found.hashes[name], "sentence": sentence(segment)}
        | {k: health.get(name, {}).get(k) for k in ("size", "share", "stale")}
        for name, segment in found.segments.items()
    ]
    print_rows(rows, ["segment", "size", "share", "stale", "hash", "sentence"], as_json=as_json)


@segments.command()
@click.argument("segment")
@PROJECT_OPTION
def sql(segment: str, project_dir: Path | None) -> None:
    """The SQL a segment compiles to, over tables persons, events and consents. Data-driven thresholds stand as NULL."""
    import ibis

    from seg_assets.schema.tables import EVENTS, PERSON_CONSENTS
    from seg_assets.schema.taxonomy import IBIS_TYPES
    from seg_assets.segments import verdicts
    from seg_assets.segments.ast import cuts

    part = _definitions(project_dir).closure([segment])
    attributes = {n: IBIS_TYPES.get(f.type, f.type) for n, f in part.catalog.attributes.items() if not f.share}
    persons = ibis.table({"person_id": "int64", **attributes}, name="persons")
    events = ibis.table({"person_id": "int64", **{c.name: c.type for c in EVENTS.columns}}, name="events")
    given = {key: None for s in part.segments.values() for key in cuts(s.where)}
    consents = ibis.table(PERSON_CONSENTS.schema, name="consents")
    table = verdicts(part, persons=persons, events=events, consents=consents, as_of=_as_of(project_dir), cuts=given)
    click.echo(ibis.to_sql(table.filter(table[segment]).select("person_id"), dialect="duckdb"))


@segments.command()
@click.argument("names", nargs=-1, metavar="[SEGMENT]...")
@PROJECT_OPTION
@JSON_OPTION
def preview(names: tuple[str, ...], project_dir: Path | None, as_json: bool) -> None:
    """What the definitions as they stand would change: size, who enters and leaves, the segment most alike. Writes nothing.

    With --json the persons who would enter and leave are named, by their numbers.
    """
    from seg_assets.schema.tables import MEMBERSHIPS
    from seg_assets.segments import evaluate

    found, lake = _definitions(project_dir).checked(), _lake(project_dir)
    part = found.closure(names) if names else found
    previous = lake.read(MEMBERSHIPS.key) if lake.exists(MEMBERSHIPS.key) else None
    if previous is not None:
        previous = previous.filter(previous.segment.isin(list(part.segments)))
    done = evaluate(part, **_inputs(project_dir), as_of=_as_of(project_dir), previous=previous)
    rows = [row for row in done.health.to_pyarrow().to_pylist() if not names or row["segment"] in names]
    columns = ["segment", "size", "share", "adds", "drops", "redundant_with", "redundancy", "below_minimum", "error"]
    if as_json:
        moved: dict[tuple[str, str], list[int]] = {}
        for change in done.changes.select("segment", "change", "person_id").to_pyarrow().to_pylist():
            moved.setdefault((change["segment"], change["change"]), []).append(change["person_id"])
        rows = [{**row, "enter": moved.get((row["segment"], "entered"), []), "leave": moved.get((row["segment"], "left"), [])} for row in rows]
        print_json([{name: row[name] for name in (*columns, "enter", "leave")} for row in rows])
    else:
        print_rows(rows, columns, as_json=False)


@segments.command()
@click.argument("names", nargs=-1, metavar="[SEGMENT]...")
@PROJECT_OPTION
@JSON_OPTION
def test(names: tuple[str, ...], project_dir: Path | None, as_json: bool) -> None:
    """Run the `expect:` lines of definitions. Exit code 1 if one fails."""
    from seg_assets.segments import run_fixtures

    outcomes = run_fixtures(_definitions(project_dir).checked(), names or None)
    failed = [o for o in outcomes if not o.passed]
    rows = [
        {"segment": o.segment.id, "place": str(o.fixture.place), "expected": o.fixture.member, "found": o.member, "passed": o.passed}
        for o in (outcomes if as_json else failed)
    ]
    if rows or as_json:
        print_rows(rows, ["segment", "place", "expected", "found", "passed"], as_json=as_json)
    click.echo(f"{len(outcomes) - len(failed)} of {len(outcomes)} fixtures pass", err=as_json)
    sys.exit(1 if failed else 0)


@segments.command()
@click.argument("person", type=int)
@click.argument("segment")
@PROJECT_OPTION
@JSON_OPTION
def explain(person: int, segment: str, project_dir: Path | None, as_json: bool) -> None:
    """Why a person is in a segment or is not, clause by clause."""
    from seg_assets.segments import explain as explained

    found = explained(_definitions(project_dir), person, segment, **_inputs(project_dir), as_of=_as_of(project_dir))
    if as_json:
        print_json(vars(found))
        return
    until = f", until {found.valid_until.isoformat()} if nothing happens" if found.valid_until else ""
    click.echo(f"{found.sentence}\nPerson {person} is {'' if found.member else 'not '}in {segment}{until}.\n")
    rows = [{**r, "events": ", ".join(r["events"])} for r in found.reasons]
    print_rows(rows, ["clause", "met", "value", "threshold", "events"], as_json=False)
    for miss in found.misses:
        click.echo(f"missing: {miss}")


@segments.command()
@click.argument("person", type=int)
@PROJECT_OPTION
@JSON_OPTION
def history(person: int, project_dir: Path | None, as_json: bool) -> None:
    """Every segment a person entered and left, with the reason."""
    from seg_assets.schema.tables import SEGMENT_CHANGES

    lake = _lake(project_dir)
    rows = [row for row in _rows(lake, SEGMENT_CHANGES.key, person) if row["person_id"] == person]
    rows.sort(key=lambda row: (row["as_of"], row["segment"]))
    if as_json:
        print_rows(rows, ["as_of", "segment", "change", "cause", "definition_hash", "reason"], as_json=True)
    else:
        print_rows([{**row, "why": _why(row["reason"])} for row in rows], ["as_of", "segment", "change", "cause", "why"], as_json=False)


def _why(reasons: str | None) -> str:
    """Reasons as in memberships, in words: each clause with what was found."""
    return "; ".join(f"{r['clause']}: {'unknown' if r['value'] is None else r['value']}" for r in json.loads(reasons or "[]"))


@segments.command()
@click.argument("gitref")
@PROJECT_OPTION
@JSON_OPTION
def diff(gitref: str, project_dir: Path | None, as_json: bool) -> None:
    """Segments that differ from those at a git reference; with a refreshed lake also who would enter and leave."""
    from seg_assets.schema.tables import MEMBERSHIPS
    from seg_assets.segments import evaluate
    from seg_assets.segments.words import sentence

    now, before = _definitions(project_dir).checked(), _definitions_at(project_dir, gitref)
    changed = [n for n in sorted({*now.segments, *before.segments}) if now.hashes.get(n) != before.hashes.get(n)]
    moves: Mapping[str, Mapping[str, Any]] = {}
    if changed and _lake(project_dir).exists(MEMBERSHIPS.key):
        inputs, as_of = _inputs(project_dir), _as_of(project_dir)
        old = evaluate(before.closure([n for n in changed if n in before.segments]), **inputs, as_of=as_of)
        new = evaluate(now.closure([n for n in changed if n in now.segments]), **inputs, as_of=as_of, previous=old.memberships)
        moves = {row["segment"]: row for row in new.health.to_pyarrow().to_pylist()}
    rows = [
        {
            "segment": name,
            "change": "added" if name not in before.segments else "removed" if name not in now.segments else "edited",
            "before": sentence(before.segments[name]) if name in before.segments else None,
            "now": sentence(now.segments[name]) if name in now.segments else None,
            **{key: moves.get(name, {}).get(key) for key in ("size", "adds", "drops")},
        }
        for name in changed
    ]
    print_rows(rows, ["segment", "change", "size", "adds", "drops", "before", "now"], as_json=as_json)


@segments.command()
@click.argument("name")
@PROJECT_OPTION
def new(name: str, project_dir: Path | None) -> None:
    """Write a new definition to start from: segments/NAME.yaml."""
    from seg_assets.project.load import load_project
    from seg_assets.segments import catalog_of, parse_segments

    project = load_project(project_dir)
    text = TEMPLATE.format(id=name, title=name.replace("_", " ").capitalize())
    parse_segments(text, catalog_of(project.taxonomy))
    target = project.segments_dir / f"{name}.yaml"
    if target.exists() or name in _definitions(project_dir).segments:
        raise SegError(f"there is a segment {name!r} already", hint="choose another id")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    click.echo(str(target))


@segments.command()
@PROJECT_OPTION
def schema(project_dir: Path | None) -> None:
    """The JSON Schema of a definition, for editors."""
    from seg_assets.segments.editor import json_schema

    print_json(json_schema(_definitions(project_dir).catalog))


def _project(project_dir: Path | None) -> Any:
    from seg_assets.project.load import load_project

    return load_project(project_dir)


def _definitions(project_dir: Path | None) -> Any:
    from seg_assets.segments import catalog_of, read_segments

    project = _project(project_dir)
    return read_segments(project.segments_dir, catalog_of(project.taxonomy))


def _definitions_at(project_dir: Path | None, gitref: str) -> Any:
    """The definitions as they were at a git reference."""
    from seg_assets.documents import parse_documents
    from seg_assets.segments import catalog_of
    from seg_assets.segments.parse import segments_of

    project = _project(project_dir)
    folder = project.segments_dir

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SegError(f"git could not read {gitref!r}: {done.stderr.strip().splitlines()[-1]}", hint="name a branch, tag or commit")
        return done.stdout

    commit = git("rev-parse", "--verify", "--end-of-options", f"{gitref}^{{commit}}").strip()
    files = [f for f in git("ls-tree", "-r", "--name-only", commit, ".").splitlines() if Path(f).suffix in {".yaml", ".yml"}]
    documents = [d for f in sorted(files) for d in parse_documents(git("show", f"{commit}:./{f}"), Path(f"{gitref}:{f}"))]
    return segments_of(documents, catalog_of(project.taxonomy))


def _lake(project_dir: Path | None) -> Any:
    from seg_assets.graph import Graph

    return Graph.of(_project(project_dir)).lake


def _rows(lake: Any, key: tuple[str, ...], person: int | None = None) -> list[dict[str, Any]]:
    if not lake.exists(key):
        return []
    table = lake.read(key)
    return (table if person is None else table.filter(table.person_id == person)).to_pyarrow().to_pylist()


def _as_of(project_dir: Path | None) -> datetime:
    """The instant of the lake's memberships, else of its profiles, else the project's."""
    from seg_assets.as_of import parse_as_of
    from seg_assets.schema.tables import MEMBERSHIPS, PROFILES

    project, lake = _project(project_dir), _lake(project_dir)
    for key in (MEMBERSHIPS.key, PROFILES.key):
        if lake.exists(key) and (stated := lake.facts(key).get("as_of")):
            return parse_as_of(stated)
    if project.config.as_of:
        return project.config.as_of
    raise SegError("the project has no as_of, and nothing was refreshed yet", hint="run `seg run` first")


def _inputs(project_dir: Path | None) -> dict[str, Any]:
    """What segments are evaluated on, from the lake."""
    from seg_assets.assets.segments import INPUTS
    from seg_assets.graph import Graph
    from seg_assets.identity import with_person
    from seg_assets.profiles.profiles import everything_known

    graph = Graph.of(_project(project_dir))
    missing = [table.name for table in INPUTS.values() if not graph.lake.exists(table.key)]
    if missing:
        raise SegError(f"the lake has no {missing[0]} yet", hint="run `seg run` first")
    tables = {name: graph.lake.read(table.key) for name, table in INPUTS.items()}
    consents, events, links = (tables.pop(name) for name in ("consents", "events", "links"))
    return {"persons": everything_known(**tables), "events": with_person(events, links, graph.project.pseudonym_key), "consents": consents}
