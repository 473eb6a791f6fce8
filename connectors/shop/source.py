"""`ShopSource`: the shop as a source. Decides which slices are due and hands out pages; the rows are made in the module of each stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from connectors.errors import SourceError
from connectors.shop.config import PAGE, ShopConfig
from connectors.types import Config, ConnectorMeta, Context, Page, StreamDef

if TYPE_CHECKING:
    import pyarrow as pa

    from connectors.shop.population import Population

_T = TypeVar("_T")
_R = TypeVar("_R")
AHEAD = 2
"""Blocks made in threads while the reader is busy with the one before."""


@dataclass(frozen=True)
class _Due:
    """A slice to deliver, and how a block's part of it is made: its rows, their defects, and for contacts whose they are."""

    label: str
    until: int
    rows: Callable[[Population], Sequence[pa.Table]]


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

    def streams(self, context: Context) -> Sequence[StreamDef]:
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

        self._known(stream)
        until = position(self.config, context.as_of)
        mine = cursor is not None and cursor.get("config") == self.config.fingerprint
        done = int(cursor["until"]) if cursor and mine else 0
        if done < until:
            yield from self._pages(stream, self._due(stream, done, until), context.root / self.config.truth if self.config.truth else None)

    def _known(self, stream: str) -> None:
        from connectors.shop.streams import STREAMS

        if stream not in {s.name for s in STREAMS}:
            raise SourceError(f"the shop has no stream {stream!r}", hint="streams: " + ", ".join(s.name for s in STREAMS))

    def _due(self, stream: str, done: int, until: int) -> list[_Due]:
        """The slices to deliver when everything before `done` is there already."""
        from connectors.shop.calendar import months
        from connectors.shop.streams import MONTHLY, WHOLE

        make, config = _maker(stream), self.config
        if stream not in MONTHLY:
            return [_Due(WHOLE, until, lambda who: make(config, who, until))]
        return [
            _Due(month.label, min(month.end, until), lambda who, month=month: make(config, who, month, until))
            for month in months(config)
            if month.end > done and month.start < until
        ]

    def _pages(self, stream: str, due: Sequence[_Due], truth: Path | None) -> Iterator[Page]:
        """Pages slice by slice, block by block. The truth about a slice is written when its pages are through."""
        from connectors.shop.population import population
        from connectors.shop.truth import write_slice, write_whole

        tasks = [(slice_, block) for slice_ in due for block in self.config.blocks]
        made = _ahead(lambda task: task[0].rows(population(self.config, task[1])), tasks)
        for slice_, parts in groupby(zip(tasks, made, strict=True), key=lambda part: part[0][0]):
            cursor = {"config": self.config.fingerprint, "until": slice_.until}
            sizes, planted = [], []
            for (_, block), (table, *about) in parts:
                if table.num_rows or block == 0:
                    yield from (Page(slice_.label, table.slice(at, PAGE), cursor=cursor) for at in range(0, max(table.num_rows, 1), PAGE))
                if truth:
                    sizes.append(table.num_rows)
                    planted.append(about)
            if truth:
                write_slice(truth, stream, slice_.label, sizes, planted)
                write_whole(truth, self.config, stream, slice_.until)


def _maker(stream: str) -> Callable[..., Any]:
    """The function that makes a stream's rows."""
    module = {"crm": "contacts", "storefront": "contacts", "email": "campaigns"}.get(stream, stream)
    return getattr(import_module(f"connectors.shop.{module}"), stream)


def _ahead(make: Callable[[_T], _R], tasks: Iterable[_T]) -> Iterator[_R]:
    """`make` of each task, in order, a few of them made ahead in threads."""
    pool, pending = ThreadPoolExecutor(AHEAD), deque[Future[_R]]()
    try:
        for task in tasks:
            pending.append(pool.submit(make, task))
            if len(pending) > AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
