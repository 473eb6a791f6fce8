"""`ShopSource`: the shop as a source. Decides which slices are due and hands out pages; the rows are made in the module of each stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from connectors.errors import SourceError
from connectors.shop.config import PAGE, ShopConfig
from connectors.types import Config, ConnectorMeta, Context, Page, StreamDef

if TYPE_CHECKING:
    import pyarrow as pa


class ShopSource:
    """An online shop generated from a seed. Same configuration, same bytes."""

    meta: ClassVar[ConnectorMeta] = ConnectorMeta(
        id="shop",
        title="Generated shop",
        description="A realistic online shop generated from a seed, with planted truth: for demos, tests and benchmarks.",
        kinds=("python",),
    )
    config_model: ClassVar[type[Config]] = ShopConfig

    def __init__(self, config: ShopConfig) -> None:
        self.config = config

    def streams(self, context: Context) -> Sequence[StreamDef]:  # noqa: ARG002
        from connectors.shop.streams import STREAMS

        return STREAMS

    def watermark(self, stream: str, context: Context) -> str:
        from connectors.shop.calendar import position

        self._known(stream)
        return f"{self.config.fingerprint}:{position(self.config, context.as_of)}"

    def read(self, stream: str, cursor: Mapping[str, Any] | None, context: Context) -> Iterator[Page]:
        """Slices not delivered up to the instant the cursor names: months for events, one slice for the rest.

        The month that is not over is delivered again whenever `as_of` moved; a cursor of another configuration is ignored.
        """
        from connectors.shop.calendar import position
        from connectors.shop.streams import MONTHLY

        self._known(stream)
        until = position(self.config, context.as_of)
        mine = cursor is not None and cursor.get("config") == self.config.fingerprint
        done = int(cursor["until"]) if cursor and mine else 0
        if done >= until:
            return
        truth = context.root / self.config.truth if self.config.truth else None
        pages = self._months(stream, done, until, truth) if stream in MONTHLY else self._whole(stream, until, truth)
        yield from pages

    def _known(self, stream: str) -> None:
        from connectors.shop.streams import STREAMS

        if stream not in {s.name for s in STREAMS}:
            raise SourceError(f"the shop has no stream {stream!r}", hint="streams: " + ", ".join(s.name for s in STREAMS))

    def _months(self, stream: str, done: int, until: int, truth: Path | None) -> Iterator[Page]:
        from connectors.shop.calendar import months

        rows = _rows_of(stream)
        for month in months(self.config):
            if month.end <= done:
                continue
            if month.start >= until:
                return
            cursor = {"config": self.config.fingerprint, "until": min(month.end, until)}
            yield from self._slice(stream, month.label, cursor, truth, lambda who, start, month=month: rows(self.config, who, month, until, start))

    def _whole(self, stream: str, until: int, truth: Path | None) -> Iterator[Page]:
        from connectors.shop.streams import WHOLE

        rows = _rows_of(stream)
        cursor = {"config": self.config.fingerprint, "until": until}
        yield from self._slice(stream, WHOLE, cursor, truth, lambda who, start: rows(self.config, who, until, start))
        if truth:
            self._write_whole(stream, until, truth)

    def _slice(self, stream: str, label: str, cursor: dict[str, Any], truth: Path | None, rows: Callable[..., Sequence[pa.Table]]) -> Iterator[Page]:
        """Pages of one slice, block by block; what is wrong with its rows goes to the truth when the slice is through."""
        from connectors.shop import truth as planted
        from connectors.shop.population import population

        start, wrong, records = 0, [], []
        for block in self.config.blocks:
            table, defects, *rest = rows(population(self.config, block), start)
            if table.num_rows or block == 0:
                for at in range(0, max(table.num_rows, 1), PAGE):
                    yield Page(label, rows=table.slice(at, PAGE), cursor=cursor)
            start += table.num_rows
            if truth:
                wrong.append(defects)
                records += rest
        if truth:
            planted.write(truth / "defects" / stream / f"{label}.parquet", wrong)
            if records:
                planted.write(truth / "records" / f"{stream}.parquet", records)

    def _write_whole(self, stream: str, until: int, truth: Path) -> None:
        """The parts of the truth that come with a stream of one slice."""
        from connectors.shop import consents
        from connectors.shop import truth as planted
        from connectors.shop.population import population

        def blocks():
            return (population(self.config, block) for block in self.config.blocks)

        if stream == "crm":
            planted.write(truth / "persons.parquet", (planted.persons(self.config, who) for who in blocks()))
            planted.write(truth / "traps.parquet", (planted.traps(who) for who in blocks()))
        if stream == "consents":
            made = lambda who: consents.statements(self.config, who)  # noqa: E731
            planted.write(truth / "consent_statements.parquet", (consents.true_statements(who, made(who), until) for who in blocks()))
            planted.write(truth / "consent_state.parquet", (consents.state_at(who, made(who), until) for who in blocks()))


def _rows_of(stream: str) -> Callable[..., Any]:
    """The function that makes a stream's rows."""
    module = {"crm": "contacts", "storefront": "contacts", "email": "campaigns"}.get(stream, stream)
    return getattr(import_module(f"connectors.shop.{module}"), stream)
