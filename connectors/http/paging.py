"""How to get from one page of an answer to the next. Decides on the next request; sending it is `api`'s business.

A vendor that leads in a circle, or on for ever, is an error and not an endless run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from connectors.errors import SourceError
from connectors.http.client import Answered
from connectors.http.jsonpath import Path


class _Paging(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    items: Path = Field(description="JSONPath to the rows of a page.")
    max_pages: int = Field(100_000, ge=1, description="More pages than this are an error.")


class TokenPaging(_Paging):
    """The answer holds a cursor or token, in its body or in a header, that is sent back in the query, the body or a header."""

    type: Literal["cursor", "token"]
    next: Path | None = Field(None, description="JSONPath to the cursor.")
    header: str | None = Field(None, description="Header with the cursor, instead of `next`.")
    more: Path | None = Field(None, description="JSONPath to a flag that says whether there is more.")
    param: str = Field(description="Name it is sent back under.")
    place: Literal["query", "body", "header"] = "query"
    end: frozenset[str] = Field(frozenset({"", "null"}), description="Cursors that mean there is no more.")

    def after(self, answer: Answered, sent: Mapping[str, Any], rows: int) -> tuple[str, Any] | None:
        """Where and what to send next."""
        if self.more and not self.more.first(answer.json):
            return None
        found = answer.headers.get(self.header.lower()) if self.header else self.next.first(answer.json) if self.next else None
        return None if found is None or str(found) in self.end else (self.place, {self.param: found})


class LinkPaging(_Paging):
    """The answer holds the next page's address, in the body or in a Link header (RFC 8288)."""

    type: Literal["next_link"]
    next: Path | None = Field(None, description="JSONPath to the address; absent: the Link header with rel=next.")
    below_base: bool = Field(False, description="An address that begins with / is below base_url, and not at the host's root.")

    def after(self, answer: Answered, sent: Mapping[str, Any], rows: int) -> tuple[str, Any] | None:
        """Where and what to send next."""
        link = self.next.first(answer.json) if self.next else _next_link(answer.headers.get("link", ""))
        return ("url", link) if isinstance(link, str) and link else None


class OffsetPaging(_Paging):
    """Rows are skipped by number; a page with fewer rows than asked for is the last."""

    type: Literal["offset"]
    param: str = "offset"
    size_param: str = "limit"
    size: int = Field(ge=1)

    def first(self) -> dict[str, Any]:
        return {self.param: 0, self.size_param: self.size}

    def after(self, answer: Answered, sent: Mapping[str, Any], rows: int) -> tuple[str, Any] | None:
        """Where and what to send next."""
        return None if rows < self.size else ("query", {self.param: int(sent.get(self.param, 0)) + rows, self.size_param: self.size})


class NumberPaging(_Paging):
    """Pages are numbered; an empty page, or the one whose number is the count of pages, is the last."""

    type: Literal["page"]
    param: str = "page"
    start: int = 1
    pages: Path | None = Field(None, description="JSONPath to the count of pages.")

    def first(self) -> dict[str, Any]:
        return {self.param: self.start}

    def after(self, answer: Answered, sent: Mapping[str, Any], rows: int) -> tuple[str, Any] | None:
        """Where and what to send next."""
        number = int(sent.get(self.param, self.start))
        pages = self.pages.first(answer.json) if self.pages else None
        done = number - self.start + 1 >= pages if isinstance(pages, int) else rows == 0
        return None if done else ("query", {self.param: number + 1})


Paging = Annotated[TokenPaging | LinkPaging | OffsetPaging | NumberPaging, Field(discriminator="type")]


class LoopGuard:
    """Notices a vendor that leads in a circle or on for ever.

    Args:
        max_pages: as many pages are believed.
    """

    def __init__(self, max_pages: int) -> None:
        self._max_pages, self._seen = max_pages, set[str]()

    def step(self, following: tuple[str, Any]) -> None:
        """Takes note of where the next page is.

        Raises:
            SourceError: it was there before, or there are too many.
        """
        mark = repr(following)
        if mark in self._seen:
            raise SourceError(
                "paging leads in a circle: the vendor names the same next page twice", hint="nothing after it was read; report it to the vendor"
            )
        self._seen.add(mark)
        if len(self._seen) >= self._max_pages:
            raise SourceError(f"more than {self._max_pages:,} pages", hint="raise max_pages of the endpoint if that is right")


def _next_link(header: str) -> str | None:
    for match in re.finditer(r"<([^>]*)>([^<]*)", header):
        if re.search(r';\s*rel\s*=\s*"?(?:[^";]*\s)?next(?:\s[^";]*)?"?\s*(?:[;,]|$)', match[2], re.IGNORECASE):
            return match[1]
    return None
