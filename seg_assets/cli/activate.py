"""`seg activate`: deliveries, from the plan to the proof."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seg_assets.cli.console import JSON_OPTION, PROJECT_OPTION, print_json, print_rows, progress

if TYPE_CHECKING:
    from seg_assets.graph import DestinationNode, Graph


@click.group()
def activate() -> None:
    """Plan, apply, look into and mend deliveries.

    `plan` shows what would change at a destination and why some of it does not; `apply` sends exactly that, if it is still true and the destination is
    `armed: true` in project.yaml. `seg run` does both for all destinations. Nothing here prints an e-mail address or a phone number.
    """


@activate.command()
@click.argument("destinations", nargs=-1, metavar="[DESTINATION]...")
@click.option("--resync", is_flag=True, help="Send every member again, as if the destination had forgotten them. Who left is still removed.")
@PROJECT_OPTION
@JSON_OPTION
def plan(destinations: tuple[str, ...], resync: bool, project_dir: Path | None, as_json: bool) -> None:
    """Show what would be sent, and what is blocked and why. Nothing is sent.

    Each plan has an id, which stands for everything in it: `seg activate apply ID` sends that and nothing else.
    """
    from seg_assets.deliveries.planning import PlanId, digest
    from seg_assets.deliveries.standing import plan_counts, planning_now

    found, inputs = [], None
    graph = _graph(project_dir)
    for node in _nodes(graph, destinations):
        planning = planning_now(graph, node, inputs)
        inputs = planning.inputs
        planned = planning.plan(resync=resync).cache()
        rows = planned.select("op", "blocked", "urgent").to_pyarrow().to_pylist()
        found.append({"plan": str(PlanId(node.name, digest(planned), resync)), "armed": node.config.armed, **plan_counts(rows)})
    if as_json:
        print_json(found)
        return
    table = [{**one, "blocked": sum(one["blocked"].values())} for one in found]
    print_rows(table, ["plan", "armed", "add", "update", "remove", "urgent", "blocked"], as_json=False)
    reasons = [{"plan": one["plan"], "blocked because": why, "operations": n} for one in found for why, n in one["blocked"].items()]
    if reasons:
        click.echo()
        print_rows(reasons, ["plan", "blocked because", "operations"], as_json=False)
    due = next((one["plan"] for one in found if one["add"] + one["update"] + one["remove"]), None)
    click.echo(f"\nNext: seg activate apply {due}" if due else "\nNothing to send.")


@activate.command()
@click.argument("plan_id", metavar="PLAN")
@PROJECT_OPTION
@JSON_OPTION
def apply(plan_id: str, project_dir: Path | None, as_json: bool) -> None:
    """Send a plan, if it is still what would be planned now.

    Refused when anything has changed since it was shown: memberships, consents, fields, what the destination holds. Plan again then, and look again.
    """
    from seg_assets.assets.activation import RESYNC_TAG, activation_keys
    from seg_assets.cli.refresh import refresh
    from seg_assets.cli.run import complain
    from seg_assets.deliveries.planning import PlanId, digest
    from seg_assets.deliveries.standing import node_of, planning_now, standing
    from seg_assets.errors import SegError

    wanted = PlanId.parse(plan_id)
    graph = _graph(project_dir)
    node = node_of(graph, wanted.destination)
    if not node.config.armed:
        raise SegError(
            f"destination {node.name} is not armed, so nothing is sent", place=graph.project.place("destinations", node.name), hint="add armed: true"
        )
    planning = planning_now(graph, node)
    now = PlanId(node.name, digest(planning.plan(resync=wanted.resync)), wanted.resync)
    if now != wanted:
        raise SegError(f"the plan {wanted} is stale: now it would be {now}", hint=f"look at it with seg activate plan {node.name}")

    def begin(steps: int) -> Callable[[str, bool], None]:
        click.echo(f"Applying {wanted}", err=True)
        return progress(steps)

    key = "/".join(activation_keys(node)["plan"])
    tags = {RESYNC_TAG: node.name} if wanted.resync else {}
    done = refresh(graph, as_of=planning.as_of, select=f'key:"{key}"+', on_step=begin, tags=tags)
    found = {"plan": str(wanted), **standing(graph, node)}
    if as_json:
        print_json(found)
    else:
        _show_standings([found])
    complain(done.failures)
    sys.exit(0 if done.ok else 1)


@activate.command()
@click.argument("destinations", nargs=-1, metavar="[DESTINATION]...")
@PROJECT_OPTION
@JSON_OPTION
def status(destinations: tuple[str, ...], project_dir: Path | None, as_json: bool) -> None:
    """Show how destinations stand: members they acknowledged to hold, and operations by state.

    acked: done. rejected: refused, see `retry`. retry_wait: sent again by the next delivery. gated: held back for now. in_doubt: see `resolve`.
    """
    from seg_assets.deliveries.standing import standing

    graph = _graph(project_dir)
    found = [standing(graph, node) for node in _nodes(graph, destinations)]
    if as_json:
        print_json(found)
    else:
        _show_standings(found)


@activate.command()
@click.argument("destination")
@click.option("--op", "op_ids", multiple=True, metavar="OP_ID", help="Only this operation; repeat for more. Default: all that were rejected.")
@PROJECT_OPTION
@JSON_OPTION
def retry(destination: str, op_ids: tuple[str, ...], project_dir: Path | None, as_json: bool) -> None:
    """Let rejected operations be sent again, after the reason was mended at the destination.

    They are not sent now but with the next delivery. One whose payload changes is sent again by itself.
    """
    graph = _graph(project_dir)
    node = _nodes(graph, (destination,))[0]
    count = _ledger(graph, node).reopen(datetime.now(UTC), list(op_ids) or None)
    if as_json:
        print_json({"destination": destination, "reopened": count})
        return
    click.echo(f"{count:,} rejected operations may be sent again.\nNext: seg activate plan {destination}" if count else "Nothing was rejected.")


@activate.command()
@click.argument("destination")
@click.argument("op_ids", nargs=-1, metavar="[OP_ID]...")
@click.option("--applied/--not-applied", default=None, help="What you found at the destination.")
@click.option("--all", "everything", is_flag=True, help="All operations in doubt.")
@PROJECT_OPTION
@JSON_OPTION
def resolve(destination: str, op_ids: tuple[str, ...], applied: bool | None, everything: bool, project_dir: Path | None, as_json: bool) -> None:
    """Say whether operations in doubt took effect; without --applied or --not-applied, list them.

    An operation is in doubt when no answer came and neither asking again nor reading back can tell. Applied ones count as acknowledged; the others are
    sent again if they are still wanted.
    """
    from seg_assets.deliveries.standing import in_doubt

    graph = _graph(project_dir)
    node = _nodes(graph, (destination,))[0]
    doubtful = in_doubt(graph, node)
    if applied is None:
        print_rows(doubtful, ["op_id", "op", "audience", "person_id", "reason"], as_json=as_json, title=None if doubtful else "Nothing is in doubt.")
        return
    chosen = [row["op_id"] for row in doubtful] if everything else list(op_ids)
    if not chosen and not everything:
        raise click.UsageError("name operations, or say --all")
    if unknown := sorted(set(chosen) - {row["op_id"] for row in doubtful}):
        raise click.UsageError(f"{unknown[0]} is not in doubt")
    count = _ledger(graph, node).settle(dict.fromkeys(chosen, applied), datetime.now(UTC))
    if as_json:
        print_json({"destination": destination, "resolved": count})
        return
    click.echo(f"{count:,} operations are {'acknowledged' if applied else 'to be sent again if they are still wanted'}.")


@activate.command()
@click.argument("person")
@click.option("--destination", "destinations", multiple=True, metavar="NAME", help="Only this destination; repeat for more. Default: all.")
@PROJECT_OPTION
@JSON_OPTION
def explain(person: str, destinations: tuple[str, ...], project_dir: Path | None, as_json: bool) -> None:
    """Why a person is in an audience of a destination, or is not.

    PERSON is a person's number, e-mail address, phone number or customer id. `seg segments explain` tells why they are in a segment.
    """
    from seg_assets.deliveries.standing import explained, person_named

    graph = _graph(project_dir)
    number = person_named(graph, person)
    rows = [row for node in _nodes(graph, destinations) for row in explained(graph, node, number)]
    if as_json:
        print_json({"person_id": number, "audiences": rows})
        return
    columns = ["destination", "audience", "member", "held", "planned", "why", "last", "reason"]
    print_rows(rows, columns, as_json=False, title=f"Person {number}" if rows else f"Person {number} has to do with no audience of a destination.")


@activate.command()
@click.argument("destinations", nargs=-1, metavar="[DESTINATION]...")
@click.option("--sample", type=click.IntRange(1, 100_000), default=200, show_default=True, help="Persons to ask for.")
@PROJECT_OPTION
@JSON_OPTION
def reconcile(destinations: tuple[str, ...], sample: int, project_dir: Path | None, as_json: bool) -> None:
    """Ask destinations what they hold for a sample of persons, and compare it with what they acknowledged.

    Who is missing there was removed by somebody else; `seg activate plan DESTINATION --resync` sends everybody again. Exit code 1 if anything differs.
    """
    from seg_assets.deliveries.standing import drifted

    graph = _graph(project_dir)
    rows = []
    for node in _nodes(graph, destinations):
        with graph.context(datetime.now(UTC)) as context:
            found = drifted(graph, node, sample, context)
        known = {"asked": found.asked, "missing": found.missing, "differing": dict(found.differing)} if found else {}
        rows.append({"destination": node.name, "can_be_asked": found is not None, **known})
    print_rows(rows, ["destination", "can_be_asked", "asked", "missing", "differing"], as_json=as_json)
    sys.exit(1 if any(row.get("missing") or row.get("differing") for row in rows) else 0)


def _graph(project_dir: Path | None) -> Graph:
    from seg_assets.graph import Graph
    from seg_assets.project.load import load_project

    return Graph.of(load_project(project_dir))


def _nodes(graph: Graph, names: tuple[str, ...]) -> list[DestinationNode]:
    """The destinations named, or all that can be used."""
    from seg_assets.deliveries.standing import node_of

    return [node_of(graph, name) for name in names] if names else [node for node in graph.destinations if node.object]


def _ledger(graph: Graph, node: DestinationNode) -> Any:
    return graph.ledger(node.name, node.object.name if node.object else "")


def _show_standings(found: list[dict[str, Any]]) -> None:
    states = ("acked", "rejected", "retry_wait", "in_doubt", "gated")
    rows = [{**one, **{state: one.get("states", {}).get(state, 0) for state in states}} for one in found]
    print_rows(rows, ["destination", "object", "armed", "held", *states], as_json=False)
    for one in found:
        if one.get("broken_receipt"):
            click.echo(f"{one['destination']}: receipt {one['broken_receipt']} and later ones are not as they were written", err=True)
