"""From memberships to destinations: plan, deliver, prove. The ledger remembers every operation; a crash repeats none and loses none."""

from seg_assets.activation.deliver import Delivered, deliver
from seg_assets.activation.eligibility import Audience
from seg_assets.activation.plan import Target, plan

__all__ = ["Audience", "Delivered", "Target", "deliver", "plan"]
