"""Pydantic's findings in this project's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel, ValidationError

from connectors.words import did_you_mean
from seg_assets.documents import Steps


class Problem(NamedTuple):
    """Something wrong at `steps` of a document."""

    steps: Steps
    message: str


_MUST_BE = {
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping of keys",
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
}
_LIMITS = {"greater_than": "above", "greater_than_equal": "at least", "less_than": "below", "less_than_equal": "at most"}


def explain(error: ValidationError, model: type[BaseModel]) -> Iterator[Problem]:
    """One problem per thing that is wrong, at the key it is wrong with. No message holds a value a validator did not put there on purpose.

    Args:
        error: what validating plain data against `model` raised.
        model: the outermost model.
    """
    for finding in error.errors(include_url=False, include_input=False):
        steps: Steps = tuple(step for step in finding["loc"] if step != "[key]")
        kind, context = finding["type"], finding.get("ctx", {})
        if kind == "extra_forbidden":
            yield Problem(steps, f"unknown key{did_you_mean(str(steps[-1]), _keys(model, steps[:-1]), lead='; ')}")
        elif kind == "missing":
            yield Problem(steps[:-1], f"the key {str(steps[-1])!r} is missing")
        elif kind == "value_error":
            yield Problem(steps, str(context["error"]))
        elif kind == "literal_error":
            yield Problem(steps, f"must be one of {context['expected']}")
        elif kind in _LIMITS:
            yield Problem(steps, f"must be {_LIMITS[kind]} {next(iter(context.values())):g}")
        else:
            yield Problem(steps, _MUST_BE.get(kind) or finding["msg"].replace("Input should", "must").replace("should", "must"))


def _keys(model: type[BaseModel], steps: Steps) -> list[str]:
    """The keys of the model that stands at `steps` below `model`."""
    annotation: Any = model
    for step in steps:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            annotation = annotation.model_fields[str(step)].annotation
        elif get_origin(annotation) in (dict, list, Mapping):
            annotation = get_args(annotation)[-1]
    return list(annotation.model_fields) if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []
