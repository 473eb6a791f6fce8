"""New project folders: `seg init` from the files in `template/`, `seg demo` from those in `demo/`. What the files say is there, not here."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from seg_assets.errors import Place, ProjectError
from seg_assets.project.load import demo_path

_HIDDEN = {"env.example": ".env.example", "gitignore": ".gitignore"}
"""Files whose names start with a dot, kept visible in the package."""


def copy_demo(directory: Path, *, customers: int, seed: int) -> Path:
    """Makes the demo an ordinary project folder, or sets size and seed of the one that is there already.

    Args:
        directory: made if it is missing; files that are there stay as they are, but for the two settings.
        customers, seed: of the made-up shop.

    Returns:
        The folder, absolute.

    Raises:
        ProjectError: the folder can't be written.
    """
    root = directory.expanduser().resolve()
    source = demo_path()
    texts = {str(f.relative_to(source)): f.read_text(encoding="utf-8") for f in sorted(source.rglob("*")) if f.suffix in {".yaml", ".py"}}
    texts |= {name: text for name, text in _texts(root).items() if name == "workspace.yaml"}
    texts[".env"] = f"SEG_PROJECT='{root}'\nDAGSTER_HOME='{root / 'lake' / '.dagster'}'\n"
    try:
        for name, text in texts.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            if not (root / name).exists():
                (root / name).write_text(text, encoding="utf-8")
        settings = (root / "project.yaml").read_text(encoding="utf-8")
        for key, value in (("customers", customers), ("seed", seed)):
            settings = re.sub(rf"^(      {key}: )\d+", rf"\g<1>{value}", settings, count=1, flags=re.MULTILINE)
        (root / "project.yaml").write_text(settings, encoding="utf-8")
    except OSError as error:
        raise ProjectError(f"can't write the demo: {error.strerror}", place=Place(root)) from None
    return root


def init_project(directory: Path) -> list[Path]:
    """Writes a small project that works at once: sample data, three segments, and what Dagster needs to open it.

    Args:
        directory: made if it is missing; what is in it already stays untouched.

    Returns:
        The files written, in order of name.

    Raises:
        ProjectError: a file is there already, or the folder can't be written. Nothing is written where a file is there already.
    """
    root = directory.expanduser().resolve()
    texts = _texts(root)
    taken = [name for name in texts if (root / name).exists()]
    if taken or (root.exists() and not root.is_dir()):
        what = f"there is a {taken[0]} already" if taken else "is a file, not a folder"
        raise ProjectError(what, place=Place(root), hint="choose an empty folder; nothing was written")
    try:
        for name, text in texts.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ProjectError(f"can't write the project: {error.strerror}", place=Place(root)) from None
    return [root / name for name in texts]


def project_id(folder: str) -> str:
    """The id a project in a folder of that name gets: lower case, with _ for everything that is not a letter or digit."""
    name = re.sub(r"[^a-z0-9]+", "_", folder.lower()).strip("_")
    return (name if name[:1].isalpha() else f"project_{name}".rstrip("_"))[:63]


def _texts(root: Path) -> dict[str, str]:
    """The project's files by relative path, filled in."""
    template = Path(str(resources.files("seg_assets.project") / "template"))
    files = sorted(path for path in template.rglob("*") if path.is_file())
    filled = {str(file.relative_to(template).parent / _HIDDEN.get(file.name, file.name)): file.read_text(encoding="utf-8") for file in files}
    example = "/absolute/path/of/this/folder"
    texts = {name: text.replace("{{project}}", project_id(root.name)).replace("{{root}}", example) for name, text in filled.items()}
    return texts | {".env": filled[".env.example"].replace("{{root}}", str(root))}
