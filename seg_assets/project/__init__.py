"""The project folder: what project.yaml and taxonomy.yaml may say, and how they become one validated `Project`. Imports no Dagster."""
