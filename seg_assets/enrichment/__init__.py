"""Asking others about persons: whom, within which budget, and what became of it. Tables and a connector in, pages out; landing them is the asset's."""

from seg_assets.enrichment.ask import ANSWERS, MATCHED, Asked, answers
from seg_assets.enrichment.due import due

__all__ = ["ANSWERS", "MATCHED", "Asked", "answers", "due"]
