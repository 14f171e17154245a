"""The machines of one workflow, by version."""

import pytest

from arvo_core import ArvoOrchestratorContract, OrchestratorVersion
from arvo_event_handler import ArvoMachine, ConfigViolation, InvalidHandlerError, MachineRegistry

from .order_machines import CHARGE_SERVICE, RESERVE_SERVICE, machine
from .shop import CHARGE, ORDER_V1, RESERVE, Order, Ordered

V2 = OrchestratorVersion("2.0.0", init=Order, complete=Ordered)
V10 = OrchestratorVersion("10.0.0", init=Order, complete=Ordered)
contract = ArvoOrchestratorContract(uri="#/versions", name="versions", versions=[ORDER_V1, V2, V10])


def implementing(version: str) -> ArvoMachine:
    services = [RESERVE_SERVICE] if version == "1.0.0" else [CHARGE_SERVICE]
    return machine(contract=contract.version(version), services=services)


def test_it_finds_the_machine_of_a_version() -> None:
    old, new = implementing("1.0.0"), implementing("2.0.0")
    registry = MachineRegistry([new, old])
    assert registry.machine("1.0.0") is old
    assert registry.machine("2.0.0") is new
    assert registry.contract is contract


def test_each_version_has_its_services() -> None:
    registry = MachineRegistry([implementing("1.0.0"), implementing("2.0.0")])
    assert list(registry.services("1.0.0")) == [RESERVE]
    assert list(registry.services("2.0.0")) == [CHARGE]


def test_machines_are_ordered_by_version_not_as_strings() -> None:
    registry = MachineRegistry(map(implementing, ["10.0.0", "1.0.0", "2.0.0"]))
    assert [each.version for each in registry.machines] == ["1.0.0", "2.0.0", "10.0.0"]


def test_an_unknown_version_is_refused_with_the_known_ones() -> None:
    registry = MachineRegistry([implementing("2.0.0"), implementing("1.0.0")])
    with pytest.raises(ConfigViolation, match=r"10\.0\.0 of '#/versions'; there are 1\.0\.0, 2"):
        registry.machine("10.0.0")
    with pytest.raises(ConfigViolation, match=r"no machine implements version 10\.0\.0"):
        registry.services("10.0.0")


def test_a_registry_without_machines_is_refused() -> None:
    with pytest.raises(InvalidHandlerError, match="at least one machine"):
        MachineRegistry([])


def test_two_machines_of_one_version_are_refused() -> None:
    with pytest.raises(ConfigViolation, match=r"two machines implement version 1\.0\.0"):
        MachineRegistry([implementing("1.0.0"), implementing("1.0.0")])


def test_machines_of_several_contracts_are_refused() -> None:
    with pytest.raises(ConfigViolation, match=r"'#/versions' and '#/shop/order' cannot share"):
        MachineRegistry([implementing("1.0.0"), machine()])
