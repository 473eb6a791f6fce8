"""From memberships to destinations: plan, deliver, prove. The ledger remembers every operation; a crash repeats none and loses none.

What sends is in `deliver`, and not imported here: it needs SQLAlchemy, which would be a fifth of the graph's loading time.
"""

from seg_assets.activation.eligibility import Audience
from seg_assets.activation.plan import Target, plan

__all__ = ["Audience", "Target", "plan"]
