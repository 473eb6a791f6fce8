"""YAML files read with the place of every value, so that errors can name file, line and column.

YAML 1.2 words: only `true` and `false` are booleans (`on`, `no`, `yes` are plain words) and nothing is a base-60 number. Aliases, tags and
duplicate keys are refused: a definition is data, and what it says is what stands there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml
from yaml.composer import ComposerError

from seg_assets.errors import Place, SegError

MAX_BYTES = 5_000_000
MAX_DEPTH = 50

Steps = tuple[str | int, ...]
"""The way from a document's root to a value: keys and list indices."""


class DocumentError(SegError):
    """A YAML file can't be read."""


@dataclass(frozen=True)
class Document:
    """One YAML document: plain data, and where each part of it stands."""

    data: Any
    file: Path | None
    places: Mapping[Steps, tuple[int, int]] = field(repr=False)

    def place(self, steps: Sequence[str | int] = ()) -> Place:
        """Where the value at `steps` stands (for a mapping entry: its key), or its nearest known parent."""
        at = tuple(steps)
        while at and at not in self.places:
            at = at[:-1]
        line, column = self.places.get(at, (1, 1))
        return Place(self.file, line, column)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise ComposerError(None, None, "aliases (*name) are not allowed; write the value out", mark)
        return super().compose_node(parent, index)


for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    ("float", r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$", "-+.0123456789"),
    ("null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), [*_first] + ([""] if _tag == "null" else []))


def read_documents(file: Path) -> list[Document]:
    """The documents of a YAML file, in order.

    Raises:
        DocumentError: the file is missing, too large, not UTF-8, or not plain YAML.
    """
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise DocumentError(f"can't read the file: {error.strerror}", place=Place(file)) from error
    if len(raw) > MAX_BYTES:
        raise DocumentError(f"the file has {len(raw):,} bytes; at most {MAX_BYTES:,} are read", place=Place(file), hint="split it")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DocumentError("the file is not UTF-8", place=Place(file, line), hint="save it as UTF-8") from error
    return parse_documents(text, file)


def parse_documents(text: str, file: Path | None = None) -> list[Document]:
    """The documents of a YAML text. `file` is named in errors.

    Raises:
        DocumentError: the text is not plain YAML.
    """
    loader = _Loader(text)
    documents = []
    try:
        while loader.check_node():
            root = loader.get_node()
            places: dict[Steps, tuple[int, int]] = {}
            data = _plain(loader, root, (), places, file)  # type: ignore[arg-type]
            if data is not None:
                documents.append(Document(data, file, places))
    except RecursionError:
        raise DocumentError(f"nested deeper than {MAX_DEPTH} levels", place=Place(file)) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        raise DocumentError(f"not valid YAML: {error.problem}", place=place) from None
    except yaml.YAMLError as error:
        raise DocumentError(f"not valid YAML: {str(error).splitlines()[0]}", place=Place(file)) from None
    finally:
        loader.dispose()
    return documents


def _plain(loader: _Loader, node: yaml.Node, steps: Steps, places: dict[Steps, tuple[int, int]], file: Path | None) -> Any:
    """Python values of a node, recording in `places` where each one stands."""
    here = Place(file, node.start_mark.line + 1, node.start_mark.column + 1)
    if len(steps) > MAX_DEPTH:
        raise DocumentError(f"nested deeper than {MAX_DEPTH} levels", place=here)
    if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.rsplit(":", 1)[1] not in {"map", "seq", "str", "int", "float", "bool", "null"}:
        raise DocumentError("YAML tags are not allowed here", place=here)
    places.setdefault(steps, (node.start_mark.line + 1, node.start_mark.column + 1))
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key_place = Place(file, key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                raise DocumentError("a key must be a plain word", place=key_place)
            key = str(key_node.value)
            if key in mapping:
                raise DocumentError(f"the key {key!r} stands here twice", place=key_place)
            places[(*steps, key)] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            mapping[key] = _plain(loader, value_node, (*steps, key), places, file)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, child, (*steps, i), places, file) for i, child in enumerate(node.value)]
    return loader.construct_object(node)
