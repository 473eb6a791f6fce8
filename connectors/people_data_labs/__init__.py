"""Built-in plug-in `people_data_labs`: enrichment of persons. `emulation.py` is the sandbox's stand-in."""

from connectors.hookspecs import hookimpl
from connectors.people_data_labs.enricher import PeopleDataLabsEnricher

__all__ = ["PeopleDataLabsEnricher"]


@hookimpl
def seg_enrichers() -> list[type[PeopleDataLabsEnricher]]:
    return [PeopleDataLabsEnricher]
