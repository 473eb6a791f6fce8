"""Dagster wiring, one module per layer. Each asset's body is one call into a domain package; none computes anything itself."""
