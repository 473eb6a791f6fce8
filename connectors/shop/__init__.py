"""The `shop` connector: a realistic online shop generated from a seed, with planted truth. No outside world is touched but the truth folder.

The generator's facts come from public data sets (UCI Online Retail, CDNOW, Hillstrom, Online Shoppers, Olist, Cookie Cats); each constant
names its set where it stands. Nothing of the graph may read the truth.
"""

from __future__ import annotations

from collections.abc import Sequence

from connectors.hookspecs import hookimpl
from connectors.types import Source


@hookimpl
def seg_sources() -> Sequence[type[Source]]:
    from connectors.shop.source import ShopSource

    return [ShopSource]
