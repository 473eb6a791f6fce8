"""Ibis is typed as Any: its annotations do not know the operators and methods its columns have, and pyright would call most expressions wrong."""

from typing import Any

def __getattr__(name: str) -> Any: ...
