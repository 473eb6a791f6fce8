"""References to secrets in configuration: `${NAME}` stands for what a plug-in (hook `seg_secret`) or else the environment calls NAME, `$${` for `${`.

They are looked up when a connector is built or a key is needed, never while a project loads. Values appear in no message.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from seg_assets.errors import Place, ProjectError

_REFERENCE = re.compile(r"\$(\$(?=\{))|\$\{([^}]*)\}?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_well_formed(text: str) -> bool:
    """Whether every `${...}` in `text` names an environment variable."""
    return all(m[1] or (m[0].endswith("}") and _NAME.fullmatch(m[2])) for m in _REFERENCE.finditer(text))


def resolve_secrets(
    config: Mapping[str, Any],
    *,
    place: Place | None = None,
    ask: Callable[[str], str | None] = lambda _: None,
    environ: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A copy of `config` with every `${NAME}` in its texts, however deep, replaced by its value.

    Args:
        config: plain data, as a connection or destination holds it.
        place: where it stands, for the error.
        ask: what plug-ins know; None where they know nothing, then the environment is asked.
        environ: the variables; default the process's own.

    Raises:
        ProjectError: variables are not set. Names all of them, and no value.
    """
    variables = os.environ if environ is None else environ
    missing: dict[str, None] = {}
    known: dict[str, str | None] = {}

    def look_up(match: re.Match[str]) -> str:
        if match[1]:
            return "$"
        name = match[2]
        if name not in known:
            known[name] = ask(name)
        value = known[name]
        if value is not None:
            return value
        if name not in variables:
            missing[name] = None
        return variables.get(name, "")

    def resolve(value: Any) -> Any:
        if isinstance(value, str):
            return _REFERENCE.sub(look_up, value)
        if isinstance(value, Mapping):
            return {key: resolve(entry) for key, entry in value.items()}
        return [resolve(entry) for entry in value] if isinstance(value, list | tuple) else value

    resolved = resolve(config)
    if missing:
        plural = "s" if len(missing) > 1 else ""
        raise ProjectError(f"environment variable{plural} not set: {', '.join(missing)}", place=place, hint="export it, or put it into .env")
    return resolved


def resolve_secret(text: str, *, place: Place | None = None, environ: Mapping[str, str] | None = None) -> str:
    """One text with its `${NAME}` references replaced; see `resolve_secrets`."""
    return resolve_secrets({"": text}, place=place, environ=environ)[""]
