"""Workflows written as statecharts: a machine bound to a contract, and the machines by version."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from typing_extensions import override

from arvo_core import ArvoEvent, ArvoOrchestratorContract, VersionedArvoContract
from arvo_core.semantic_version import SemanticVersion, is_semantic_version
from arvo_event_handler._construction_checks import services_by_type
from arvo_event_handler._emission._moment import LONGEST_DELAY
from arvo_event_handler._errors import ConfigViolation, InvalidHandlerError
from arvo_event_handler._incoming import read_input
from arvo_statechart import Call, DefinitionProblem, Machine, MachineDefinitionError, assign
from arvo_statechart.typing import (
    ActionImplementation,
    Delay,
    GuardImplementation,
    MachineConfig,
    XStateVersion,
)
from arvo_time.logs import bounded_logger

_logger = bounded_logger("arvo_event_handler")

ENQUEUE = "enqueueArvoEvent"
"""Name of the action that requests an event, besides `emit`."""
QUEUE = "arvo$$"
"""The context member in which `enqueueArvoEvent` keeps its events until the step ends."""

_MOST_LEVELS = 100


class ArvoMachine:
    """One version of a workflow, written as a statechart.

    The machine receives services' events as dicts with their parsed data. It requests events with
    `emit`, or with the action `enqueueArvoEvent`, whose params are the event; both are checked
    against the services' contracts. The root's `output` computes the completion.

    What is valid in the config but probably a mistake, such as an `on` for an event that none of
    the services emits, is logged as a warning by the logger `arvo_event_handler` and listed in
    `warnings`.

    TypeScript: `setupArvoMachine({...}).createMachine({...})`.

    Args:
        contract: The workflow's contract in the version that the machine implements.
        services: The contract versions it may ask; contracts must be unique.
        config: The statechart as XState accepts it, without `invoke`.
        actions: Implementations of actions, by name.
        guards: Implementations of guards, by name.
        delays: Delays that `after` and `raise_` name: numbers of milliseconds, timedeltas, or functions
            that return one of them. A memory with an index of what is due keeps the timers.
        xstate: The XState version to behave like, where versions differ: "5.24" for a workflow
            that TypeScript Arvo runs too, as that is its version. Default: "5.33", with an entry
            in `warnings` wherever the choice makes a difference for the definition.

    Raises:
        ConfigViolation: The config uses `invoke`, names another version, or uses a
            reserved name; two services share a URI or a type, or the workflow is its own service.
        InvalidHandlerError: `contract` is not an orchestrator contract in one version, or the
            statechart is wrong, as by a constant delay above 10 years; the message says what and where.

    Example:
        >>> class Ask(BaseModel):
        ...     n: int
        >>> class Answer(BaseModel):
        ...     total: int
        >>> V1 = OrchestratorVersion("1.0.0", init=Ask, complete=Answer)
        >>> contract = ArvoOrchestratorContract(uri="#/org/twice", name="twice", versions=[V1])
        >>> machine = ArvoMachine(
        ...     contract=contract.version(V1),
        ...     services=[],
        ...     config={
        ...         "context": lambda call: {"n": call.input["data"]["n"]},
        ...         "initial": "done",
        ...         "states": {"done": {"type": "final"}},
        ...         "output": lambda call: {"total": 2 * call.context["n"]},
        ...     },
        ... )
        >>> machine.requires_resource_locking
        False
    """

    def __init__(
        self,
        *,
        contract: VersionedArvoContract[Any],
        services: Iterable[VersionedArvoContract[Any]],
        config: MachineConfig,
        actions: Mapping[str, ActionImplementation] | None = None,
        guards: Mapping[str, GuardImplementation] | None = None,
        delays: Mapping[str, Delay] | None = None,
        xstate: XStateVersion | None = None,
    ) -> None:
        if not isinstance(contract, VersionedArvoContract):
            raise InvalidHandlerError(
                f"the contract of a machine: expected one version of a contract, got {contract!r}; "
                "pass contract.version(...)"
            )
        where = f"machine of {contract.dataschema!r}"
        if not isinstance(contract.contract, ArvoOrchestratorContract):
            raise InvalidHandlerError(f"{where}: the contract must be an ArvoOrchestratorContract")
        _check_config(where, contract, config, actions or {})
        self.contract: VersionedArvoContract[Any] = contract
        """The workflow's contract in the machine's version."""
        self.owner: ArvoOrchestratorContract = contract.contract
        """The workflow's contract with all its versions."""
        self.services: Mapping[str, VersionedArvoContract[Any]] = services_by_type(
            contract.contract, services
        )
        """The services it may ask, by the event type they accept."""
        try:
            self.machine: Machine = Machine(
                config,
                actions={**(actions or {}), ENQUEUE: assign(_enqueue)},
                guards=guards,
                delays=delays,
                longest_delay=LONGEST_DELAY,
                events=_awaitable(self.services),
                xstate=xstate,
            )
            """The statechart itself."""
        except MachineDefinitionError as error:
            raise _refusal(where, error) from error
        for warning in self.machine.warnings:
            _logger.warning("%s: %s: %s", where, warning.location, warning.message)
        self.waits_for_time: bool = _has_delays(config)
        """Whether a state has `after`, so that the memory must have an index of what is due."""
        self.requires_resource_locking: bool = _has_parallel_regions(where, config) or any(
            len(service.emits) > 1 for service in self.services.values()
        )
        """Whether replies may arrive concurrently, so that a four-call memory should lock."""
        self.definition: str = _as_json(where, config)
        """The statechart as JSON, for records and tools; functions appear as their names."""

    @property
    def source(self) -> str:
        """The workflow's address."""
        return self.contract.type

    @property
    def warnings(self) -> tuple[DefinitionProblem, ...]:
        """What is valid in the config but probably a mistake; the first 20."""
        return self.machine.warnings

    @property
    def version(self) -> str:
        """The version that the machine implements."""
        return self.contract.version

    def validate_input(self, event: ArvoEvent) -> None:
        """Check that the machine can take an event: an init event, or an answer.

        Raises:
            ConfigViolation: None of the services emits such an event.
            ContractViolation: The data schema is missing, unreadable or of another contract or
                version, or the data does not match.
        """
        read_input(event, contract=self.contract, services=self.services)

    @override
    def __repr__(self) -> str:
        return f"ArvoMachine({self.contract.dataschema!r})"


def _awaitable(services: Mapping[str, VersionedArvoContract[Any]]) -> Iterator[str]:
    """Yield the types of all events that can reach a machine: its services' answers."""
    for service in services.values():
        yield from service.emits
        yield service.system_error_type


def queued_events(context: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the events that `enqueueArvoEvent` has put into a context.

    Raises:
        ConfigViolation: The machine uses the member for something else.
    """
    match context.get(QUEUE, {}):
        case {"volatile$$": {"eventQueue$$": list(events)}}:
            return events
        case {**members} if not members:
            return []
    raise ConfigViolation(f"the context member {QUEUE!r} is reserved by Arvo; choose another name")


def _enqueue(call: Call) -> dict[str, Any]:
    waiting = [*queued_events(call.context), dict(call.params)]
    return {QUEUE: {"volatile$$": {"eventQueue$$": waiting}}}


def _check_config(
    where: str,
    contract: VersionedArvoContract[Any],
    config: MachineConfig,
    actions: Mapping[str, ActionImplementation],
) -> None:
    if ENQUEUE in actions:
        raise ConfigViolation(
            f"{where}: the action name {ENQUEUE!r} is reserved by Arvo; choose another name"
        )
    version = config.get("version")
    if version is not None and not _is_version(version, contract.version):
        raise ConfigViolation(
            f"{where}: expected the config's version to be {contract.version!r}, got {version!r}; "
            "correct it or leave it out"
        )


def _is_version(text: object, version: str) -> bool:
    return (
        isinstance(text, str)
        and is_semantic_version(text)
        and SemanticVersion.parse(text) == SemanticVersion.parse(version)
    )


def _refusal(where: str, error: MachineDefinitionError) -> ConfigViolation | InvalidHandlerError:
    unsupported = [problem.location for problem in error.problems if _is_unsupported(problem.path)]
    if unsupported:
        return ConfigViolation(
            f"{where}: {', '.join(unsupported)}: a workflow waits for events, not for actors; "
            "ask a service instead"
        )
    return InvalidHandlerError(f"{where}: {error}")


def _is_unsupported(path: tuple[str | int, ...]) -> bool:
    """Return whether a path leads to a state's `invoke`, not to a state of that name."""
    depth = 0
    while path[depth : depth + 1] == ("states",):
        depth += 2
    return path[depth:] == ("invoke",)


def _has_parallel_regions(where: str, config: Mapping[str, Any]) -> bool:
    """Return whether there are parallel regions.

    Raises:
        InvalidHandlerError: States are nested more deeply than records can be.
    """
    parallel = False
    waiting = [(config, 0)]
    while waiting:
        state, level = waiting.pop()
        children = state.get("states", {})
        parallel = parallel or (state.get("type") == "parallel" and bool(children))
        waiting += [(child, level + 1) for child in children.values()]
        if level > _MOST_LEVELS:
            raise InvalidHandlerError(
                f"{where}: states are nested more than {_MOST_LEVELS} levels deep, which a stored "
                "record cannot hold; flatten the statechart"
            )
    return parallel


def _has_delays(config: Mapping[str, Any]) -> bool:
    """Return whether a state has `after`."""
    waiting = [config]
    while waiting:
        state = waiting.pop()
        if state.get("after"):
            return True
        waiting += (state.get("states") or {}).values()
    return False


def _as_json(where: str, config: Mapping[str, Any]) -> str:
    try:
        return json.dumps(_described(config), separators=(",", ":"))
    except RecursionError:
        raise InvalidHandlerError(
            f"{where}: a value in the config is nested too deeply to be written as JSON"
        ) from None


def _described(value: object) -> Any:
    match value:
        case Mapping():
            return {str(name): _described(item) for name, item in value.items()}
        case list() | tuple():
            return [_described(item) for item in value]
        case float() if not math.isfinite(value):
            return None  # as in JavaScript: JSON has no such number
        case None | bool() | int() | float() | str():
            return value
        case _:
            return getattr(value, "__name__", type(value).__name__)


class MachineRegistry:
    """Finds the machine for an event's version.

    Args:
        machines: At least one, all of one contract; versions must be unique.

    Raises:
        InvalidHandlerError: `machines` is empty.
        ConfigViolation: The machines belong to several contracts, or two implement one version.
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
        # Subjects normally spell a version as here, so it need not be parsed.
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
            ConfigViolation: No machine implements the version.
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
