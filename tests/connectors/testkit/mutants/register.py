"""Where broken connectors are registered, with the law each breaks."""

from dataclasses import replace

import pytest

MUTANTS = []


def breaks(contract, law, *arguments):
    """Registers a connector that breaks a law; `arguments` are those of one of its parametrised cases."""

    def register(connector):
        MUTANTS.append(pytest.param(contract, connector, law, arguments, id=f"{contract.__name__}-{law}-{connector.__name__}"))
        return connector

    return register


def turned(connector, change):
    """A connector whose outcomes are changed on their way out."""

    def deliver(self, object, batch, context):
        return change(connector.deliver(self, object, batch, context))

    return deliver


def reworded(old, new):
    """A change of outcomes that says one verdict where the connector said another."""
    return lambda outcomes: {op_id: replace(one, verdict=new if one.verdict is old else one.verdict) for op_id, one in outcomes.items()}


ONCE = {"retry": {"attempts": 1}}
"""Settings of a connector that never asks a second time."""
