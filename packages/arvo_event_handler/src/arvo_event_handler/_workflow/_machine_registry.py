"""The machines of one workflow, by version."""

from collections.abc import Iterable, Mapping
from typing import Any

from arvo_core import ArvoOrchestratorContract, SemanticVersion, VersionedArvoContract
from arvo_event_handler._errors import ConfigViolation, InvalidHandlerError

from ._machine import ArvoMachine


class MachineRegistry:
    """Finds the machine for an event's version.

    Args:
        machines: At least one; all of one contract, each version once.

    Raises:
        InvalidHandlerError: There is no machine.
        ConfigViolation: They belong to several contracts, or two implement one version.
    """

    def __init__(self, machines: Iterable[ArvoMachine]) -> None:
        found = list(machines)
        if not found:
            raise InvalidHandlerError("an orchestrator needs at least one machine")
        self._machines: dict[SemanticVersion, ArvoMachine] = {}
        for machine in found:
            if machine.contract.uri != found[0].contract.uri:
                raise ConfigViolation(
                    f"machines of {found[0].contract.uri!r} and {machine.contract.uri!r} cannot "
                    "share an orchestrator; make one for each contract"
                )
            version = SemanticVersion.parse(machine.version)
            if version in self._machines:
                raise ConfigViolation(
                    f"two machines implement version {machine.version} of "
                    f"{machine.contract.uri!r}; keep one"
                )
            self._machines[version] = machine
        # As subjects normally spell it; parsing would be wasted on them.
        self._spelled = {machine.version: machine for machine in self._machines.values()}
        self.contract: ArvoOrchestratorContract = found[0].owner
        """The contract that the machines implement."""

    @property
    def machines(self) -> tuple[ArvoMachine, ...]:
        """All machines, oldest version first."""
        return tuple(self._machines[version] for version in sorted(self._machines))

    def machine(self, version: str) -> ArvoMachine:
        """Return the machine that implements a version.

        Raises:
            ConfigViolation: None does.
        """
        found = self._spelled.get(version) or self._machines.get(SemanticVersion.parse(version))
        if found is None:
            known = ", ".join(machine.version for machine in self.machines)
            raise ConfigViolation(
                f"no machine implements version {version} of {self.contract.uri!r}; "
                f"there are {known}"
            )
        return found

    def services(self, version: str) -> Mapping[str, VersionedArvoContract[Any]]:
        """Return the services that a version may ask, by the event type they accept.

        Raises:
            ConfigViolation: No machine implements the version.
        """
        return self.machine(version).services
