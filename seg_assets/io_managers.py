"""How assets reach the lake: Ibis tables in and out, pandas and Arrow by annotation. Schemas are enforced here, at the border.

https://docs.dagster.io/guides/build/io-managers
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import dagster as dg
import ibis
import ibis.expr.types as ir
import pyarrow as pa

from seg_assets.as_of import run_as_of
from seg_assets.errors import LakeError
from seg_assets.graph import Graph
from seg_assets.lake.lake import RUN_ID
from seg_assets.schema.tables import PLAN, RECEIPTS
from seg_assets.schema.types import Table


class LakeIOManager(dg.IOManager):
    """Stores outputs as Delta tables and hands them to inputs, lazily unless an input is annotated `pd.DataFrame` or `pa.Table`."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        if obj is None:
            return
        key = self._graph.lake_key(context.asset_key)
        table = self._graph.tables.get(table_shape(key))
        expr = as_expression(obj)
        if table:
            expr = conformed(expr, table)
        commit = self._graph.lake.write(
            key,
            expr,
            partition_by=table.partition_by if table else None,
            order_by=_stored_order(table) if table else (),
            facts=self._facts(context),
        )
        context.add_output_metadata({"dagster/row_count": commit.rows, "bytes": commit.size, "delta_version": commit.version})

    def load_input(self, context: dg.InputContext) -> Any:
        pa.default_memory_pool().release_unused()  # after clusters of a million persons, for one, it would keep 1.2 GB for the rest of the run
        table = self._graph.lake.read(self._graph.lake_key(context.asset_key))
        wanted = context.dagster_type.typing_type
        if wanted is pa.Table:
            return table.to_pyarrow()
        return table.to_pandas() if getattr(wanted, "__module__", "").startswith("pandas") else table

    def _facts(self, context: dg.OutputContext) -> dict[str, Any]:
        """What the commit says about its origin, so that every number can be traced."""
        step = context.step_context
        layer = step.job_def.asset_layer
        return {
            **origin(
                self._graph, layer.get(context.asset_key).parent_keys, run_as_of(context, self._graph), layer.get(context.asset_key).code_version
            ),
            RUN_ID: context.run_id,
            **_figures(context),
        }


def origin(graph: Graph, inputs: Iterable[dg.AssetKey], as_of: datetime, code_version: str | None) -> dict[str, Any]:
    """What decides the content of a table: instant, code, and the version of each input. Where it is equal, so is the table."""
    lake = graph.lake
    versions = {"/".join(k): lake.delta(k).version() for k in sorted(map(graph.lake_key, inputs)) if lake.exists(k)}
    return {"as_of": as_of.isoformat(), "code_version": code_version, "inputs": versions}


def _stored_order(table: Table) -> tuple[str, ...]:
    """Primary key, within the partition: equal tables are equal byte for byte, and one partition's file is written after the other."""
    return (table.partition_by, *table.primary_key) if table.partition_by else table.primary_key


def _figures(context: dg.OutputContext) -> dict[str, float]:
    """The plain numbers an asset states about itself; kept with the version they are true for."""
    values = {name: getattr(value, "value", value) for name, value in context.output_metadata.items()}
    return {name: value for name, value in values.items() if isinstance(value, int | float) and not isinstance(value, bool)}


def table_shape(key: tuple[str, ...]) -> tuple[str, ...]:
    """Key of the canonical table that gives the shape of a lake table: plans of every destination share one, deliveries and receipts another."""
    if key[0] != "activation":
        return key
    return PLAN.key if key[-1] == "plan" else RECEIPTS.key


def as_expression(data: Any) -> ir.Table:
    """Ibis tables as they are; pandas and Arrow data as in-memory tables."""
    return data if isinstance(data, ir.Table) else ibis.memtable(data)


def conformed(expr: ir.Table, table: Table) -> ir.Table:
    """The expression with exactly the table's columns and types.

    Raises:
        LakeError: columns are missing or too many, or a type can't be cast.
    """
    missing, extra = [n for n in table.schema.names if n not in expr.columns], [n for n in expr.columns if n not in table.schema.names]
    if missing or extra:
        what = "; ".join(f"{word} {', '.join(names)}" for word, names in (("without", missing), ("with the unknown", extra)) if names)
        raise LakeError(f"{table.name}: a table {what}", hint="its columns are listed in docs/schema.md")
    ordered = expr.select(*table.schema.names)
    return ordered if ordered.schema() == table.schema else ordered.cast(dict(table.schema))
