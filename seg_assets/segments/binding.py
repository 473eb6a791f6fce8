"""Which clauses share one key. `same: product_id` means: there is one product for which all of them hold.

An `all` binds a key when a clause directly in it asks for at least one event with that `same:`; every clause of that `all` with the same `same:`
joins it, also through `any` and `none` made of such clauses only. A clause bound by no `all` stands alone: there is a key for which it holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seg_assets.segments.ast import All, Any, Attribute, Condition, Did, InSegment, NoneOf, Then


@dataclass(frozen=True)
class Same:
    """There is one value of the property `key` for which `condition`, whose leaves are all `Did`, holds."""

    key: str
    condition: Condition


@dataclass(frozen=True)
class Bound:
    """`all`, `any` or `none` of resolved parts."""

    kind: type[All] | type[Any] | type[NoneOf]
    parts: tuple[Resolved, ...]


Resolved = Bound | Same | Attribute | Did | Then | InSegment


class BindingError(ValueError):
    """A `same:` has nothing to bind to. `leaf` is the clause at fault."""

    def __init__(self, message: str, hint: str, leaf: Did) -> None:
        super().__init__(message)
        self.hint, self.leaf = hint, leaf


def resolve(condition: Condition) -> Resolved:
    """The condition with its keyed clauses gathered into `Same` groups; no bare `Did` with `same` is left.

    Raises:
        BindingError: a keyed clause has no key to hold for.
    """
    if isinstance(condition, Did) and condition.same:
        if not condition.count.low:
            raise BindingError(
                f"no event binds {condition.same}: the clause holds without any event",
                f"put it into an `all` beside a `did` with `same: {condition.same}`",
                condition,
            )
        return Same(condition.same, condition)
    if isinstance(condition, All):
        return _resolve_all(condition)
    if isinstance(condition, Any | NoneOf):
        return Bound(type(condition), tuple(resolve(part) for part in condition.parts))
    return condition


def _resolve_all(condition: All) -> Bound:
    binders = {part.same: None for part in condition.parts if isinstance(part, Did) and part.same and part.count.low}
    groups: dict[str, list[Condition]] = {key: [] for key in binders}
    rest: list[Resolved] = []
    for part in condition.parts:
        reached = list(_reach(part))
        keys = {leaf.same if isinstance(leaf, Did) else None for leaf in reached}
        bound = [key for key in binders if key in keys]
        if not bound:
            rest.append(resolve(part))
        elif len(keys) == 1:
            groups[bound[0]].append(part)
        else:
            leaf = next(leaf for leaf in reached if isinstance(leaf, Did) and leaf.same == bound[0])
            raise BindingError(
                f"`same: {bound[0]}` is bound by the enclosing `all`, but stands beside other clauses", "move it directly into the `all`", leaf
            )
    return Bound(All, (*(Same(key, parts[0] if len(parts) == 1 else All(tuple(parts))) for key, parts in groups.items()), *rest))


def _reach(condition: Condition) -> Iterator[Condition]:
    """What an enclosing `all` can bind: the clause itself, or those below `any` and `none`. A further `all` is its own scope."""
    if isinstance(condition, Any | NoneOf):
        for part in condition.parts:
            yield from _reach(part)
    else:
        yield condition
