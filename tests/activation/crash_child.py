"""Delivers in processes that die on command. A small server that forks one per task, so that hundreds of crashes need no hundreds of interpreters.

Tasks come as pickles on standard input; each is answered with the process's exit status. `point` is the moment of death, `nth` how often it is passed alive.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from connectors.sandbox.counting import CountingConfig, CountingDestination, ReadableDestination
from connectors.types import Context, Idempotency
from seg_assets.activation.claim import Claim
from seg_assets.activation.deliver import deliver
from seg_assets.activation.ledger import Ledger


@dataclass(frozen=True)
class Still:
    """A clock that stands, and passes when slept on."""

    time: list[float]

    def now(self) -> float:
        return self.time[0]

    def sleep(self, seconds: float) -> None:
        self.time[0] += seconds


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying(owner: Any, name: str, nth: int, *, after: bool) -> None:
    """Makes the nth call of a method the last thing this process does."""
    alive: Callable[..., Any] = getattr(owner, name)
    calls = iter(range(nth))

    def last(*arguments: Any, **given: Any) -> Any:
        again = next(calls, None) is not None
        if not again and not after:
            die()
        result = alive(*arguments, **given)
        if not again:
            die()
        return result

    setattr(owner, name, last)


def half(connection: Any, path: str, body: bytes) -> None:
    """Sends half of a request, and dies."""
    connection.putrequest("POST", path)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[: len(body) // 2])
    die()


def work(task: dict[str, Any]) -> None:
    kind, point, nth = task["kind"], task["point"], task["nth"]
    made = ReadableDestination if kind is Idempotency.READ_BACK else CountingDestination
    destination = made(CountingConfig(url=task["url"], kind=kind, **task["config"]))
    match point:
        case "planned":
            dying(Claim, "begin", nth, after=False)
        case "begun":
            dying(Claim, "begin", nth, after=True)
        case "half sent":
            whole, calls = destination.transmit, iter(range(nth))
            destination.transmit = lambda *given: whole(*given) if next(calls, None) is not None else half(*given)  # type: ignore[method-assign]
        case "answered":
            dying(destination, "deliver", nth, after=True)
        case "recorded":
            dying(Claim, "record", nth, after=True)
        case "submitted":
            dying(destination, "submit", nth, after=True)
        case "handed in":
            dying(Claim, "handed_in", nth, after=True)
    folder = Path(task["folder"])
    context = Context(datetime.fromisoformat(task["as_of"]), folder, folder, clock=Still([task["now"]]))
    with pa.ipc.open_stream(task["rows"]) as rows:
        deliver(iter(rows), destination, destination.objects()[0], Ledger(task["store"], "crm", "members"), context)


def serve() -> None:
    for url in ("sqlite://", "postgresql+psycopg://nobody@localhost/nothing"):
        sa.create_engine(url).dispose()  # so that no child has to import what it takes
    while task := pickle.load(sys.stdin.buffer):
        child = os.fork()
        if not child:
            try:
                work(task)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        pickle.dump(os.waitpid(child, 0)[1], sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve()
