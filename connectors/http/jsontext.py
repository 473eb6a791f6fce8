"""Values as JSON, strictly: what has no JSON is refused and never altered. Reading answers is the client's business, see `Answered.json`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson

_AS_GIVEN = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_SORTED = _AS_GIVEN | orjson.OPT_SORT_KEYS


def encoded(value: Any, default: Callable[[Any], Any] | None = None, *, canonical: bool = False) -> bytes:
    """JSON in UTF-8: no spaces, no escapes beyond those JSON demands.

    Args:
        value: texts, numbers, booleans, None, lists and objects of them.
        default: what stands for any other value.
        canonical: sort the keys of objects.

    Raises:
        TypeError, ValueError: a value has no JSON: not a number, infinite, beyond 64 bits, half a character, an instant.
    """
    text = orjson.dumps(value, default, _SORTED if canonical else _AS_GIVEN)
    if b"null" in text:  # which is what orjson writes for numbers that are none, too
        json.dumps(value, default=default, allow_nan=False)
    return text
