"""From memberships to destinations: plan, deliver, prove. The ledger remembers every operation; a crash repeats none and loses none."""

from typing import TYPE_CHECKING, Any

from seg_assets.activation.eligibility import Audience
from seg_assets.activation.plan import Target, plan

if TYPE_CHECKING:
    from seg_assets.activation.deliver import Delivered, deliver

__all__ = ["Audience", "Delivered", "Target", "deliver", "plan"]


def __getattr__(name: str) -> Any:
    """What sends needs SQLAlchemy, which would be a fifth of the graph's loading time."""
    if name not in ("Delivered", "deliver"):
        raise AttributeError(name)
    import importlib

    return getattr(importlib.import_module("seg_assets.activation.deliver"), name)
