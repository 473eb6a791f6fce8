"""How a member leaves for good: removals that stand for the whole record go to the destination's own way of archiving or erasing."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TypeVar

from connectors.types import Archives, Context, Destination, Erases, Operation, Outcome

_D = TypeVar("_D", bound=Destination)


def with_leave(destination: _D, leave: Mapping[str, str]) -> _D:
    """The destination, delivering the named removals as what they stand for.

    Args:
        destination: a configured connector.
        leave: op_id to "archive" or "erase".
    """
    if not leave:
        return destination
    changed = copy.copy(destination)

    def deliver(object: str, batch: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        rest = [one for one in batch if one.op_id not in leave]
        outcomes = dict(destination.deliver(object, rest, context)) if rest else {}
        for way in ("archive", "erase"):
            leaving = [one for one in batch if leave.get(one.op_id) == way]
            keys = list(dict.fromkeys(one.key for one in leaving))
            if keys and way == "archive" and isinstance(destination, Archives):
                found = destination.archive(object, keys, context)
            elif keys and way == "erase" and isinstance(destination, Erases):
                found = destination.erase(object, keys, context)
            else:
                continue
            outcomes |= {one.op_id: found[one.key] for one in leaving if one.key in found}
        return outcomes

    changed.deliver = deliver  # type: ignore[method-assign]
    return changed
