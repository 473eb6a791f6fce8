"""The kit tested: for each law a connector that breaks it, and only that way, is found out."""

import inspect

import pytest

from connectors.testkit import ConsentContract, DestinationContract, EnricherContract, SourceContract
from seg_assets.sdk import ConnectorError
from tests.connectors.testkit.mutants import consent, destinations, enrichers, shared, sources  # noqa: F401  # registers them
from tests.connectors.testkit.mutants.register import MUTANTS


@pytest.mark.parametrize(("contract", "connector", "law", "arguments"), MUTANTS)
def test_a_connector_that_breaks_a_law_is_found_out(contract, connector, law, arguments, tmp_path):
    mutated = type("Mutated", (contract,), {"connector": connector})()
    names = [name for name in inspect.signature(getattr(contract, law)).parameters if name != "self"]
    with mutated.surroundings(tmp_path) as world:
        given = {"world": world, **dict(zip([name for name in names if name != "world"], arguments, strict=True))}
        with pytest.raises((AssertionError, pytest.fail.Exception, ConnectorError)):
            getattr(mutated, law)(**{name: given[name] for name in names})


def test_every_law_has_a_connector_that_breaks_it():
    broken = {(param.values[0].__mro__[2], param.values[2]) for param in MUTANTS}
    laws = {
        (contract, name)
        for contract in (DestinationContract, SourceContract, EnricherContract, ConsentContract)
        for name in vars(contract)
        if name.startswith("test_")
    }
    assert sorted(f"{contract.__name__}.{law}" for contract, law in laws - broken) == []
    common = [name for name in vars(DestinationContract.__mro__[1]) if name.startswith("test_")]
    assert [law for law in common if not any(name == law for _, name in broken)] == []
