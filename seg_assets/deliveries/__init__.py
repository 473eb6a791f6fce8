"""A project's deliveries: the domain's plan and engine with the lake, the ledger and the plug-ins of a graph. For assets, checks, sensors and `seg activate` alike; no Dagster."""
