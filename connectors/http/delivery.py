"""From operations to outcomes over one endpoint: batches within the vendor's limits, halves where a batch fails as a whole, one outcome per operation.

A row the answer does not speak of is in doubt, unless the endpoint states that silence means success.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from connectors.errors import ConfigError, ConnectorError, DestinationError
from connectors.http.api import Api, Reply
from connectors.http.jsontext import encoded
from connectors.http.rules import Action, RowAnswer
from connectors.types import ACKED, IN_DOUBT, Context, Operation, Outcome, Verdict


def row_text(content: Any) -> str:
    """JSON text of a row: no spaces, no escapes beyond those JSON demands.

    Raises:
        TypeError, ValueError: a value has no JSON.
    """
    return encoded(content).decode()


class Row(NamedTuple):
    """An operation as it goes over the wire.

    Args:
        op_id: which operation it is.
        text: its JSON text.
        key: the vendor's word for this row, by which answers name it; None: they name its place.
        unique: rows with the same value never share a batch; default `key`.
        person: text that names a person; a vendor's code that holds it is not kept.
    """

    op_id: str
    text: str
    key: str | None = None
    unique: str | None = None
    person: str = ""


def rows_of(operations: Iterable[Operation], row: Callable[[Operation], Row], outcomes: dict[str, Outcome]) -> Iterator[Row]:
    """Rows of operations, each made when its request is; `outcomes` takes the rejection of an operation whose row can't be made."""
    for one in operations:
        try:
            made = row(one)
        except (TypeError, ValueError):
            outcomes[one.op_id] = Outcome(Verdict.REJECTED, "a value can't be written as JSON")
        else:
            yield made


def deliver_rows(
    api: Api,
    endpoint: str,
    rows: Iterable[Row],
    context: Context,
    *,
    envelope: tuple[str, str] = ("[", "]"),
    on_reply: Callable[[Reply, Sequence[Row]], None] = lambda _, __: None,
    **given: Any,
) -> dict[str, Outcome]:
    """Sends rows to an endpoint.

    Args:
        api: the vendor.
        endpoint: name in its spec; `max_rows` and `max_bytes` limit a call.
        rows: what to send, in order. Those of a request are taken just before it is sent, so that other calls are not kept waiting while rows are made.
        context: of the run.
        envelope: JSON text before and after the rows, which are separated by commas.
        on_reply: sees each reply and the rows it is about, for what it says besides outcomes.
        given: further arguments of `Api.call`, such as `path`.

    Returns:
        An outcome per op_id.

    Raises:
        ConfigError: credentials, permissions or address are wrong, and nothing was sent.
        DestinationError: the vendor can't be reached or refuses everything, and nothing was sent.
    """
    limits = api.spec.endpoints[endpoint]
    outcomes: dict[str, Outcome] = {}
    batches = _batches(rows, limits.max_rows, limits.max_bytes, envelope, outcomes)
    halves: list[list[Row]] = []
    sent = False
    while batch := halves.pop() if halves else next(batches, None):
        body = f"{envelope[0]}{','.join(row.text for row in batch)}{envelope[1]}".encode()
        headers = {limits.idempotency_header: _digest(batch)} if limits.idempotency_header else {}
        try:
            reply = api.call(endpoint, context, body=body, headers=headers, **given)
        except ConfigError as error:
            if not sent:
                raise
            reply = Reply(Action.RETRY, error.message)
        if reply.action is Action.SPLIT and len(batch) > 1:
            middle = len(batch) // 2
            halves += [batch[middle:], batch[:middle]]
        elif reply.action in {Action.FAIL_PERMANENT, Action.RETRY}:
            if not sent and (reply.action is not Action.RETRY or reply.unreachable):
                raise _error(api.name, endpoint, reply)
            rest = [row for later in (batch, *halves, *batches) for row in later]
            return outcomes | _all(rest, Outcome(Verdict.RETRY, reply.reason, _instant(reply.not_before)))
        else:
            sent = True
            on_reply(reply, batch)
            outcomes |= _read(batch, reply)
    return outcomes


def deliver_turns(batch: Sequence[Operation], send: Callable[[str, Sequence[Operation]], Mapping[str, Outcome]]) -> dict[str, Outcome]:
    """Sends a batch audience by audience, and a person who comes twice in turns, so that the later operation is the last.

    Args:
        batch: operations, in order.
        send: delivers operations of one audience and of different persons.

    Returns:
        An outcome per op_id. Once something was sent, an error of `send` means that the rest is to be retried.

    Raises:
        ConnectorError: what `send` raised at its first call.
    """
    turns: dict[tuple[int, str], list[Operation]] = {}
    times: dict[tuple[str, str], int] = {}
    for one in batch:
        who = one.audience, one.key.casefold()
        turn = times[who] = times.get(who, -1) + 1
        place = turn, one.audience
        if place in turns:
            turns[place].append(one)
        else:
            turns[place] = [one]
    outcomes: dict[str, Outcome] = {}
    failure: str | None = None
    for (_, audience), operations in sorted(turns.items()):
        try:
            if failure is None:
                outcomes |= send(audience, operations)
        except ConnectorError as error:
            if not outcomes:
                raise
            failure = error.message
        if failure is not None:
            outcomes |= {one.op_id: Outcome(Verdict.RETRY, failure) for one in operations}
    return outcomes


class Containers:
    """Ids of what a vendor holds audiences in: each is asked for once, whichever thread needs it first."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._asking = threading.Lock()

    def id(self, audience: str, ensure: Callable[[], str]) -> str:
        """The id for an audience; `ensure` finds or makes it."""
        with self._asking:
            if audience not in self._ids:
                self._ids[audience] = ensure()
            return self._ids[audience]

    def forget(self, audience: str) -> None:
        """Has it asked for anew, as it is gone."""
        with self._asking:
            self._ids.pop(audience, None)


def _batches(
    rows: Iterable[Row], max_rows: int | None, max_bytes: int | None, envelope: tuple[str, str], outcomes: dict[str, Outcome]
) -> Iterator[list[Row]]:
    """Batches within the limits; rows that fit into none are rejected."""
    around = len("".join(envelope).encode())
    batch: list[Row] = []
    size, held = around, set[str]()
    for row in rows:
        bytes_ = len(row.text if row.text.isascii() else row.text.encode()) + 1
        unique = row.unique if row.unique is not None else row.key
        if max_bytes and around + bytes_ - 1 > max_bytes:
            outcomes[row.op_id] = Outcome(Verdict.REJECTED, f"larger than the {max_bytes:,} bytes a request may have")
            continue
        if batch and ((max_rows and len(batch) >= max_rows) or (max_bytes and size + bytes_ - 1 > max_bytes) or unique in held):
            yield batch
            batch, size, held = [], around, set()
        batch.append(row)
        size += bytes_
        if unique is not None:
            held.add(unique)
    if batch:
        yield batch


def _read(batch: Sequence[Row], reply: Reply) -> dict[str, Outcome]:
    match reply.action:
        case Action.SPLIT | Action.SKIP_ROW:
            return _all(batch, Outcome(Verdict.REJECTED, reply.reason))
        case Action.IN_DOUBT:
            return _all(batch, Outcome(Verdict.IN_DOUBT, reply.reason))
    by_key: dict[str | int, Row] = {row.key if row.key is not None else place: row for place, row in enumerate(batch)}
    named: dict[str, Outcome] = {}
    strangers = False
    for answer in reply.rows:
        row = by_key.get(answer.key) or by_key.get(str(answer.key))
        if row is None:
            strangers = True
        elif row.op_id not in named or named[row.op_id] is ACKED:  # of two answers the worse one counts
            named[row.op_id] = ACKED if answer.verdict is Verdict.ACKED else Outcome(answer.verdict, _reason(answer, row))
    silence = reply.endpoint is not None and reply.endpoint.silence == "acked" and not strangers
    if silence and reply.endpoint and reply.endpoint.taken:
        failed = sum(outcome.verdict is not Verdict.ACKED for outcome in named.values())
        silence = reply.endpoint.taken.first(reply.json) == len(batch) - failed
    unnamed = ACKED if silence else IN_DOUBT
    return {row.op_id: named.get(row.op_id, unnamed) for row in batch}


def _reason(answer: RowAnswer, row: Row) -> str:
    private = row.person.casefold()
    return answer.code if answer.code and not (private and private in answer.code.casefold()) else "the vendor gives no code word for why"


def _digest(batch: Sequence[Row]) -> str:
    return hashlib.blake2b("\n".join(row.op_id for row in batch).encode(), digest_size=16).hexdigest()


def _all(rows: Sequence[Row], outcome: Outcome) -> dict[str, Outcome]:
    return {row.op_id: outcome for row in rows}


def _error(name: str, endpoint: str, reply: Reply) -> DestinationError:
    if reply.unreachable:
        return DestinationError(f"{name} {reply.reason}", hint="nothing of this batch was sent")
    return DestinationError(f"{name} ({endpoint}) refuses the whole batch: {reply.reason}", hint="nothing of this batch was applied")


def _instant(at: float | None) -> datetime | None:
    return datetime.fromtimestamp(at, UTC) if at is not None else None


def check_object(vendor: str, object: str, known: str) -> None:
    """For destinations with one object.

    Raises:
        ConfigError: it is another one that is asked for.
    """
    if object != known:
        raise ConfigError(f"{vendor} has no object {object!r} here", hint=f"use {known!r}")


def check_reply(vendor: str, reply: Reply) -> None:
    """For calls that everything after them needs.

    Raises:
        DestinationError: the call did not work.
    """
    if reply.action is not Action.OK:
        words = reply.reason if reply.unreachable else f"refuses: {reply.reason}"
        raise DestinationError(f"{vendor} {words}", hint="nothing more of this batch was sent")


def as_outcome(reply: Reply) -> Outcome:
    """What a call that concerns a single operation, or all of its batch alike, means for it."""
    match reply.action:
        case Action.OK:
            return ACKED
        case Action.RETRY:
            return Outcome(Verdict.RETRY, reply.reason, _instant(reply.not_before))
        case Action.IN_DOUBT | Action.ROW_ERRORS:
            return Outcome(Verdict.IN_DOUBT, reply.reason)
    return Outcome(Verdict.REJECTED, reply.reason)
