"""Which records are the same person: links between identifiers, stable person ids, and the vault."""

from seg_assets.identity.persons import with_person
from seg_assets.identity.resolve import Identity, IdentityRules, resolve
from seg_assets.identity.survivorship import surviving, vault

__all__ = ["Identity", "IdentityRules", "resolve", "surviving", "vault", "with_person"]
