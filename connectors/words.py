"""Suggestions for misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str], *, lead: str = "", at_most: int = 1) -> str:
    """A question naming the nearest known words, such as "did you mean 'email'?", or "" when none is near.

    Args:
        word: as it was written.
        known: what it could be; case is ignored.
        lead: what the question begins with, if there is one to ask.
        at_most: how many words to name.
    """
    folded = {name.casefold(): name for name in sorted(known, reverse=True)}
    near = difflib.get_close_matches(word.casefold(), folded, n=at_most, cutoff=0.55)
    return f"{lead}did you mean {' or '.join(repr(folded[name]) for name in near)}?" if near else ""
