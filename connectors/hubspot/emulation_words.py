"""How the HubSpot stand-in reads numbers and batches, and how it says what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from connectors.sandbox.emulation import Call, JSONResponse, RefusedError, instant, iso

BATCH = 100
"""Inputs of a batch at most."""


def inputs_of(call: Call, body: Any) -> list[dict[str, Any]]:
    """The inputs of a batch, each with an id."""
    inputs = body.get("inputs") if isinstance(body, dict) else None
    if not isinstance(inputs, list):
        raise invalid(call, "Invalid input JSON: inputs are required.")
    for one in inputs:
        if not isinstance(one, dict) or not isinstance(one.get("id"), str):
            raise invalid(call, "Invalid input JSON: inputs with an id each are required.")
        if not isinstance(one.get("idProperty", ""), str) or not isinstance(one.get("objectWriteTraceId", ""), str):
            raise invalid(call, "Invalid input JSON: idProperty and objectWriteTraceId are strings.")
    if not inputs or len(inputs) > BATCH:
        raise invalid(call, f"A batch has 1 to {BATCH} inputs.")
    call.rows = len(inputs)
    return inputs


def page_size(call: Call, value: Any, most: int) -> int:
    """How many results a page shall have."""
    size = number(call, value)
    if not 1 <= size <= most:
        raise invalid(call, f"limit must be between 1 and {most}")
    return size


def number(call: Call, value: Any) -> int:
    """A whole number from text."""
    try:
        return int(value)
    except (TypeError, ValueError):
        raise invalid(call, "A whole number is needed.") from None


def moment(call: Call, value: Any) -> int:
    """Unix milliseconds from milliseconds or ISO 8601 as text."""
    text = str(value)
    at = int(text) if text.isdecimal() else instant(text)
    if at is None:
        raise invalid(call, "A point in time is needed.")
    return at


def batch(call: Call, results: list[dict[str, Any]], errors: list[dict[str, Any]]) -> Response:
    """The answer to a batch: 207 where some of it failed."""
    answer: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": iso(call.at), "completedAt": iso(call.at)}
    if not errors:
        return JSONResponse(answer)
    return JSONResponse(answer | {"numErrors": len(errors), "errors": errors}, 207)


def row_error(category: str, message: str, context: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What was wrong with one input; `context` names it."""
    return {"status": "error", "category": category, "message": message, "context": context, "errors": [], "links": {}}


def invalid(call: Call, message: str, code: str = "VALIDATION_ERROR") -> RefusedError:
    """Refuses a request as malformed."""
    return RefusedError(error(call, 400, message, "VALIDATION_ERROR", code))


def error(call: Call, status: int, message: str, category: str, code: str | None = None) -> Response:
    """HubSpot's body of a request that failed."""
    errors = {"errors": [{"message": message, "code": code}]} if code else {}
    return JSONResponse({"status": "error", "message": message, "correlationId": call.id, "category": category, **errors}, status)
