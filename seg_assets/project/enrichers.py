"""What project.yaml may say about an enricher: what is asked, about whom, and what it may cost."""

from __future__ import annotations

from pydantic import Field

from seg_assets.project.base import Model, Settings
from seg_assets.project.values import Duration, Share, Slug, parse_duration


class Enricher(Model):
    """A configured connector that tells more about persons, mostly for money. Its answers become part of unified/enrichments."""

    connector: Slug = Field(description="Id of the connector (`seg connectors list`).")
    config: Settings = Field(default={}, repr=False, description="The connector's own settings. `${NAME}` stands for an environment variable.")
    fields: dict[str, Slug] = Field(
        min_length=1, description="Field of the connector (`seg connectors discover NAME`) to the attribute of the taxonomy it tells."
    )
    purpose: Slug = Field(description="Purpose of the taxonomy that a person must have granted: asking tells the vendor about them.")
    budget: float = Field(ge=0, description="Most that one run may spend, in the vendor's unit; what one question costs at most is quoted first.")
    again: Duration = Field(default=parse_duration("180d"), description="How long an answer holds, also that nobody was found.")
    expect: Share = Field(default=0.1, description="Share of those asked about that should be found; less is warned about.")
