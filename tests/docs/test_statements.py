"""Pages and repository files say what the code says: tables, floors, bounds, variables, settings."""

from __future__ import annotations

import ast
import itertools
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from packaging.requirements import Requirement

from connectors.hookspecs import ConnectorSpecs
from connectors.types import Verdict
from seg_assets.project.load import demo_path
from seg_assets.schema.tables import ALL
from tests.docs.pages import ROOT

SVG = "{http://www.w3.org/2000/svg}"


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_decisions_give_a_reason_for_every_upper_bound() -> None:
    declared = tomllib.loads(page("pyproject.toml"))
    named = [*declared["project"]["dependencies"], *itertools.chain(*declared["dependency-groups"].values())]
    bounds = {f"{r.name}<{s.version}" for r in map(Requirement, named) for s in r.specifier if s.operator == "<"}
    rows = [line for line in page("docs/decisions.md").splitlines() if line.startswith("| `")]
    given = {bound for row in rows for bound in re.findall(r"`([\w.-]+<[\w.]+)`", row.split("|")[1])}
    assert bounds == given
    assert all(row.split("|")[2].strip() for row in rows)


def test_operations_explain_every_variable_the_code_reads() -> None:
    code = "".join(file.read_text(encoding="utf-8") for package in ("seg_assets", "connectors") for file in (ROOT / package).rglob("*.py"))
    read = set(re.findall(r"environ(?:\.get\(|\[)\"(\w+)\"", code)) | set(re.findall(r"_listed\(\"(\w+)\"\)", code))
    explained = set(re.findall(r"^\| `(\w+)` \|", page("docs/operations.md"), re.MULTILINE))
    ours = ("SEG_", "DAGSTER_")  # the object store's, AWS_..., are read by delta-rs
    assert {name for name in read if name.startswith(ours)} == {name for name in explained if name.startswith(ours)}


def test_the_guide_names_every_hook_method_and_verdict() -> None:
    guide = page("docs/connectors.md")
    hooks = [name for name in vars(ConnectorSpecs) if name.startswith("seg_")]
    methods = ["streams(", "watermark(", "read(", "objects(", "deliver("]
    assert [word for word in [*hooks, *methods, *(v.name for v in Verdict)] if f"`{word}" not in guide] == []


def test_the_picture_of_the_layers_shows_every_table() -> None:
    boxes = [box for box in ElementTree.parse(ROOT / "docs" / "img" / "layers.svg").iter(f"{SVG}g") if box.find(f"{SVG}rect") is not None]
    layers = {title.text: names for title, names in (box.findall(f"{SVG}text") for box in boxes if box.find(f"{SVG}path") is not None)}
    shown = {(layer, span.text) for layer, names in layers.items() if layer != "raw" for span in names}
    keys = {table.key for table in ALL}
    delivered = {("activation", part) for part in ("plan", "delivery", "receipts")}
    assert shown == {key for key in keys if key[0] not in {"activation", "ops"}} | delivered


def test_the_readme_shows_segments_the_demo_has() -> None:
    text = re.search(r"^id +size +share\n(.*?)^\.\.\.", page("README.md"), re.MULTILINE | re.DOTALL)
    shown = [line.split()[0] for line in text[1].splitlines()] if text else []
    definitions = "".join(file.read_text(encoding="utf-8") for file in (demo_path() / "segments").glob("*.yaml"))
    assert shown
    assert [name for name in shown if f"segment: {name}\n" not in definitions] == []


def test_settings_here_are_those_new_projects_get_and_no_dialogs() -> None:
    ours, theirs = (yaml.safe_load(page(name)) for name in ("dagster.yaml", "seg_assets/project/template/dagster.yaml"))
    assert ours == {"nux": {"enabled": False}, **theirs}
    assert ours["telemetry"] == {"enabled": False}


def floors() -> list[list[str]]:
    """Module names of each floor of docs/architecture.md, from the top."""
    table = page("docs/architecture.md").split("| floor |")[1].split("\n\n")[0]
    found = []
    for cell in re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE):
        start, _, rest = cell.partition("{")
        paths = [start + part for part in rest.rstrip("}").split(",")] if rest else [cell]
        assert all((ROOT / path).exists() for path in paths)
        found.append([path.removesuffix("/").removesuffix(".py").replace("/", ".") for path in paths])
    return found


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


@pytest.mark.parametrize("above", range(1, len(floors())))
def test_a_floor_imports_nothing_from_floors_above_it(above: int) -> None:
    stack = floors()
    forbidden = tuple(itertools.chain(*stack[:above]))
    climbing = []
    for module in stack[above]:
        place = ROOT / module.replace(".", "/")
        for file in place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]:
            if demo_path() not in file.parents:
                climbing += [(str(file.relative_to(ROOT)), name) for name in imports(file) if is_in(name, forbidden)]
    assert climbing == []


def is_in(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)
