"""How operations are put into batches: within the object's limits, a key once per batch, and a key's operations one after another."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar
from zlib import crc32

from connectors.types import ObjectDef, Operation

_T = TypeVar("_T")


def lanes(items: Sequence[_T], operation: Callable[[_T], Operation], target: ObjectDef) -> list[list[_T]]:
    """Items split for sending side by side: all operations of a key are in one lane, in their order. No more lanes than there are full batches."""
    count = min(target.concurrency, -(-len(items) // target.max_batch))
    if count < 2:
        return [list(items)]
    split: list[list[_T]] = [[] for _ in range(count)]
    for item in items:
        split[crc32(operation(item).key.casefold().encode()) % count].append(item)
    return split


def batches(items: Sequence[_T], operation: Callable[[_T], Operation], target: ObjectDef) -> Iterator[list[_T]]:
    """Items in batches of at most `max_batch` operations and about `max_bytes` bytes; whose key comes again waits for a later batch."""
    turns: dict[int, list[_T]] = defaultdict(list)
    times = Counter[str]()
    for item in items:
        key = operation(item).key.casefold()
        turns[times[key]].append(item)
        times[key] += 1
    for turn in turns.values():
        batch: list[_T] = []
        size = 0
        for item in turn:
            bytes_ = _size(operation(item)) if target.max_bytes else 0
            if batch and (len(batch) == target.max_batch or (target.max_bytes and size + bytes_ > target.max_bytes)):
                yield batch
                batch, size = [], 0
            batch.append(item)
            size += bytes_
        if batch:
            yield batch


def _size(operation: Operation) -> int:
    """Roughly the bytes it takes in a request."""
    return len(operation.key.encode()) + sum(len(name) + len(str(value).encode()) + 6 for name, value in operation.fields.items())
