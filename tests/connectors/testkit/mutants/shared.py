"""Connectors that break a law all contracts share."""

from dataclasses import replace
from datetime import date

from pydantic import Field
from seg_connector_acme.connectors import AcmeConfig, AcmeDestination
from seg_connector_acme.contracts import Destination

from seg_assets.sdk import (
    Limit,
)
from tests.connectors.testkit.mutants.register import breaks


@breaks(Destination, "test_every_setting_is_described")
class Undescribed(AcmeDestination):
    class config_model(AcmeConfig):  # noqa: N801
        region: str = "eu"


@breaks(Destination, "test_settings_that_look_secret_are_secret")
class Exposed(AcmeDestination):
    class config_model(AcmeConfig):  # noqa: N801
        api_key: str = Field("", description="Key.")


@breaks(Destination, "test_limits_say_where_and_when_they_were_read")
class Vague(AcmeDestination):
    meta = replace(AcmeDestination.meta, limits=(Limit("rows", 5, "", date(2026, 1, 1)),))


@breaks(Destination, "test_making_one_touches_nothing")
class Eager(AcmeDestination):
    def __init__(self, config):
        super().__init__(config)
        import urllib.request

        urllib.request.urlopen(f"{config.url}token", b"x").read()


@breaks(Destination, "test_a_check_passes_with_right_credentials_and_tells_refused_ones")
class ChecksNothing(AcmeDestination):
    def check(self, context): ...
