"""The pages as blocks: what stands between fences, and where."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = tuple(sorted(str(file.relative_to(ROOT)) for file in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]))


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        page: path of the page, relative to the repository.
        line: where the fence opens, from 1.
        language: first word after the fence, "" where there is none.
        tags: the other words.
        text: what stands inside.
    """

    page: str
    line: int
    language: str
    tags: tuple[str, ...]
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file the block is, where its first line is a comment that names one."""
        named = re.match(r"# ([\w./-]+\.\w+)\n", self.text)
        return named[1] if named else None


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for match in re.finditer(r"^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        language, *tags = match[1].split() or [""]
        yield Block(page, text.count("\n", 0, match.start()) + 1, language, tuple(tags), match[2])
