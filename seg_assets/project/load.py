"""From a folder to a validated `Project`. Reads files and two environment variables; writes nothing and opens no connection."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from seg_assets.documents import Document, DocumentError, Steps, read_documents
from seg_assets.errors import Place, ProjectError
from seg_assets.project.checks import config_problems, taxonomy_problems
from seg_assets.project.explain import Problem, explain
from seg_assets.project.models import ProjectConfig
from seg_assets.project.secrets import resolve_secret
from seg_assets.schema.taxonomy import Taxonomy, default_taxonomy

PROJECT_FILE = "project.yaml"
TAXONOMY_FILE = "taxonomy.yaml"
DEMO_HOME = "demo"
"""Where the demo project's lake goes, in the current folder: its own folder is package data."""


@dataclass(frozen=True)
class Project:
    """A project folder, read and checked.

    Args:
        root: the folder; relative paths in connector settings start here.
        home: what relative `lake` and `state` start from; `root`, except for the demo.
        config: project.yaml.
        taxonomy: the default taxonomy with the project's additions.
    """

    root: Path
    home: Path
    config: ProjectConfig
    taxonomy: Taxonomy = field(repr=False)
    document: Document = field(repr=False)

    @property
    def id(self) -> str:
        return self.config.project

    @property
    def title(self) -> str:
        return self.config.title or self.config.project

    @property
    def segments_dir(self) -> Path:
        """Folder of segment definitions; may be missing."""
        return self.root / "segments"

    @property
    def connectors_dir(self) -> Path | None:
        """Folder of the project's own connectors, or None."""
        folder = self.root / "connectors"
        return folder if folder.is_dir() else None

    @property
    def lake(self) -> str:
        """Where the tables are: an absolute path or an object-store address."""
        return self.config.lake if self.config.lake_is_remote else str((self.home / Path(self.config.lake).expanduser()).resolve())

    @property
    def state_url(self) -> str:
        """SQLAlchemy address of the operational store, secrets resolved: never log it.

        Raises:
            ProjectError: it names an environment variable that is not set.
        """
        if self.config.state is None:
            return f"sqlite:///{self.lake}/ops.sqlite"
        url = resolve_secret(self.config.state, place=self.place("state"))
        scheme, slashes, path = url.partition(":///")
        return f"{scheme}{slashes}{(self.home / path).resolve()}" if scheme.startswith("sqlite") else url

    @property
    def pseudonym_key(self) -> bytes:
        """Key of the hashes that stand for e-mail addresses and phone numbers: never log it.

        Raises:
            ProjectError: it names an environment variable that is not set.
        """
        key = self.config.privacy.pseudonym_key
        return (resolve_secret(key, place=self.place("privacy", "pseudonym_key")) if key else f"seg-assets/{self.id}").encode()

    def place(self, *steps: str | int) -> Place:
        """Where something stands in project.yaml, for errors found later."""
        return self.document.place(steps)


def demo_path() -> Path:
    """The demo project's folder inside the package."""
    return Path(str(resources.files("seg_assets.project") / "demo"))


def load_project(path: Path | None = None, *, home: Path | None = None) -> Project:
    """Reads and checks a project folder.

    Args:
        path: the folder; default the environment variable SEG_PROJECT, else the demo project.
        home: where relative `lake` and `state` paths start; default the environment variable SEG_HOME, else the folder itself (for the demo: ./demo).

    Raises:
        ProjectError: the folder is not a valid project. Every problem found, one per line, with file, line and column.
    """
    root = (path or Path(os.environ.get("SEG_PROJECT") or demo_path())).expanduser().resolve()
    if not root.is_dir():
        what = "is a file, not a project folder" if root.exists() else "there is no such folder"
        raise ProjectError(what, place=Place(root), hint="name the folder that holds project.yaml, or make one with seg init DIR")
    if not (root / PROJECT_FILE).is_file():
        raise ProjectError(f"the folder has no {PROJECT_FILE}", place=Place(root), hint="make a project with seg init DIR")
    document = _document(root / PROJECT_FILE)
    taxonomy = _taxonomy(root / TAXONOMY_FILE)
    config = _config(document)
    _refuse(document, config_problems(config, taxonomy))
    return Project(root=root, home=(home or home_of(root)).expanduser().resolve(), config=config, taxonomy=taxonomy, document=document)


def home_of(root: Path) -> Path:
    """Where a project folder's relative `lake` and `state` start: SEG_HOME, else the folder itself (for the demo in the package: ./demo)."""
    chosen = os.environ.get("SEG_HOME")
    return Path(chosen) if chosen else Path(DEMO_HOME) if root == demo_path().resolve() else root


def _config(document: Document) -> ProjectConfig:
    try:
        config = ProjectConfig.model_validate(document.data)
    except ValidationError as error:
        raise _refusal(document, explain(error, ProjectConfig)) from None
    return config


def _taxonomy(file: Path) -> Taxonomy:
    if not file.exists():
        return default_taxonomy()
    document = _document(file)
    addition: dict[str, Any] = document.data
    _refuse(document, taxonomy_problems(addition))
    try:
        return default_taxonomy().extended(addition)
    except ValidationError as error:
        raise _refusal(document, explain(error, Taxonomy)) from None


def _document(file: Path) -> Document:
    """The one YAML document of `file`, a mapping."""
    try:
        documents = read_documents(file)
    except DocumentError as error:
        raise ProjectError(error.message, place=error.place, hint=error.hint) from None
    if not documents and file.name == TAXONOMY_FILE:
        return Document({}, file, {})
    if not documents:
        raise ProjectError("the file is empty", place=Place(file), hint="it needs at least `project: <id>`")
    if len(documents) > 1:
        raise ProjectError("the file holds more than one document", place=documents[1].place(), hint="take out the line ---")
    if not isinstance(documents[0].data, dict):
        raise ProjectError("the file must be a mapping of keys", place=documents[0].place())
    return documents[0]


def _refuse(document: Document, problems: Iterable[Problem]) -> None:
    found = list(problems)
    if found:
        raise _refusal(document, found)


def _refusal(document: Document, problems: Iterable[Problem]) -> ProjectError:
    """One error for all problems, in the order of the file."""
    placed = sorted(
        {(document.place(p.steps), _within(p.steps) + p.message) for p in problems}, key=lambda p: (p[0].line or 0, p[0].column or 0, p[1])
    )
    (place, first), *others = placed
    return ProjectError("\n".join([first, *(f"{where}: {message}" for where, message in others)]), place=place)


def _within(steps: Steps) -> str:
    return f"{'.'.join(str(step) for step in steps)}: " if steps else ""
