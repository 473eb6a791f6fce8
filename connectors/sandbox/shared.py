"""Stand-ins of one folder, served once: whoever comes first serves them, everybody else on this machine is told where. No HTTP here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from connectors.errors import DestinationError
from connectors.sandbox.emulation import Emulation
from connectors.sandbox.server import VENDORS, Served, emulations, serving


@contextmanager
def shared(folder: Path, vendors: Sequence[str] = VENDORS, *, port: int = 0) -> Iterator[tuple[Served, Sequence[Emulation]]]:
    """The folder's stand-ins while the block runs.

    Args:
        folder: where they keep their state; made when absent.
        vendors: which ones, if they are not served yet.
        port: to serve them at; 0 takes a free one.

    Returns:
        Where they are served, and the stand-ins themselves; none of them if another process serves them.

    Raises:
        OSError: the port is taken.
        DestinationError: another process serves them, and has not said where yet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    address = folder / "address"
    # A lock that ends with its process, on every system.
    with closing(sqlite3.connect(folder / "served.lock", timeout=0, isolation_level=None)) as lock:
        try:
            lock.execute("begin exclusive")
        except sqlite3.OperationalError:
            yield Served(_read(address)), ()
            return
        address.unlink(missing_ok=True)
        some = emulations(folder, vendors)
        try:
            with serving(*some, port=port) as served:
                address.write_text(served.page, encoding="utf-8")
                yield served, some
        finally:
            address.unlink(missing_ok=True)
            for one in some:
                one.store.close()


def _read(address: Path) -> str:
    try:
        return address.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DestinationError(f"the sandbox in {address.parent} is just being started by another process", hint="try again") from None
