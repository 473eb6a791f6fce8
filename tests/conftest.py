"""What holds for all tests: files whose tests run whole graphs start first, so that no worker is left with one of them at the end; Ctrl-C is heard."""

from __future__ import annotations

import signal

import pytest

WHOLE_GRAPHS = ("ui/", "docs/", "cli/test_outside_world", "cli/test_project_life", "projects/", "definitions/", "bad_input/", "activation/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((i for i, part in enumerate(WHOLE_GRAPHS) if f"tests/{part}" in item.nodeid), len(WHOLE_GRAPHS)))


def pytest_configure() -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background; the programs that tests start and stop would ignore it too
        signal.signal(signal.SIGINT, signal.default_int_handler)
