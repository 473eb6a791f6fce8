"""The canonical tables and the taxonomy: the one typed source for validation, Dagster column schemas, docs and tests."""
