"""Runs a machine for one event, from stored state to stored state."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from arvo_core import InvalidDataError, JsonObject, json_problems
from arvo_event_handler._errors import ConfigViolation, ContractViolation, raise_violation
from arvo_event_handler._stored_event import STORED_DEPTH
from arvo_statechart import (
    GuardError,
    InvalidResultError,
    MachineDefinitionError,
    MicrostepLimitError,
    ScheduleEffect,
    Snapshot,
)

from ._machine import QUEUE, ArvoMachine, queued_events
from ._workflow import WorkflowFailure

_JSON_OBJECT = TypeAdapter[dict[str, Any]](JsonObject)
# Both copy at every depth; only the first checks that the value is JSON.
_checked_copy = _JSON_OBJECT.validator.validate_python
_copy = _JSON_OBJECT.serializer.to_python


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineExecution:
    """How a machine reacted to an event."""

    state: dict[str, Any]
    """The machine's new state, as XState stores it."""
    value: Any
    """The state value, for people who read records."""
    done: bool
    """Whether it has reached its end."""
    output: Any
    """What it computed at its end; an empty object when it computes nothing."""
    emitted: tuple[Mapping[str, Any], ...]
    """The events it requests: those of `emit`, then those of `enqueueArvoEvent`."""
    scheduled: tuple[ScheduleEffect, ...] = ()
    """The timers it sets, in order: those of `after`, and of `raise_` with a delay."""
    cancelled: tuple[str, ...] = ()
    """The ids of timers it cancels, which may not be pending; before the others are set."""
    expected: tuple[str, ...] = ()
    """The ids of timers that had to be pending before the event; see `Snapshot.expected_timers`."""


class MachineExecutionEngine:
    """Runs machines, without side effects. Replace it to run them differently.

    TypeScript: `MachineExecutionEngine`.
    """

    def execute(
        self, machine: ArvoMachine, *, event: Mapping[str, Any], state: Mapping[str, Any] | None
    ) -> MachineExecution:
        """Run a machine for one event.

        Args:
            machine: The machine.
            event: The event as on the wire, with its parsed data.
            state: The machine's state as stored; None starts it with the event as its input.

        Raises:
            WorkflowFailure: A guard or an action raised, or the new state is not JSON.
            ConfigViolation: The machine cannot read the stored state, or does not come to rest.
            ContractViolation: A function returned a value that cannot be used in its place.
            ViolationError: A guard or an action raised one.
        """
        chart = machine.machine
        expected: tuple[str, ...] = ()
        if state is None:
            result = chart.start(event)
        else:
            restored = _restored(machine, state)
            expected = restored.expected_timers
            result = chart.run(restored, event)
        if result.snapshot.status == "error":
            error = _as_exception(result.error)
            raise_violation(_raised_by_user(error))
            _raise_misuse(machine, error)
            raise WorkflowFailure(error) from error
        persisted = chart.persist(result.snapshot)
        queued = _take_queued(persisted)
        return MachineExecution(
            state=_storable(machine, persisted),
            value=persisted.get("value"),
            done=result.done,
            output={} if result.output is None else result.output,
            emitted=(*result.emitted, *queued),
            scheduled=result.scheduled,
            cancelled=result.cancelled,
            expected=expected,
        )


def _raise_misuse(machine: ArvoMachine, error: Exception) -> None:
    """Raise the violation that a mistake in the machine amounts to; return for other errors."""
    where = machine.contract.dataschema
    if isinstance(error, InvalidResultError | MachineDefinitionError):
        raise ContractViolation(f"{where}: {error}") from error
    if isinstance(error, MicrostepLimitError):
        raise ConfigViolation(f"{where}: {error}") from error


def _take_queued(persisted: dict[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Remove the queued events from the context; its member stays, empty, as in TypeScript."""
    context = persisted["context"]
    if QUEUE not in context:
        return ()
    queued = queued_events(context)
    persisted["context"] = {**context, QUEUE: {}}
    return tuple(queued)


def _storable(machine: ArvoMachine, persisted: dict[str, Any]) -> dict[str, Any]:
    try:
        return _checked_copy(persisted)  # type: ignore[no-any-return]
    except ValidationError:
        unfit = InvalidDataError(
            f"the state of {machine.contract.dataschema!r} cannot be stored",
            problems=json_problems(persisted, max_depth=STORED_DEPTH),
        )
        raise WorkflowFailure(unfit) from None


def _restored(machine: ArvoMachine, state: Mapping[str, Any]) -> Snapshot:
    try:
        # A copy, so that no action can change what the write is compared with.
        restored = machine.machine.restore(_copy(state))
        if restored.status != "active":
            raise ValueError(f"its status is {restored.status!r}, while the workflow is active")
        return restored
    except Exception as error:
        # Restoring runs no user code, so any error is about the stored state.
        raise ConfigViolation(
            f"the machine of {machine.contract.dataschema!r} cannot read the stored state; "
            f"deploy one that can, then deliver again. {error}"
        ) from error


def _raised_by_user(error: Exception) -> Exception:
    """Return what a guard raised, which the statechart wraps to name the guard."""
    cause = error.__cause__ if isinstance(error, GuardError) else None
    return cause if isinstance(cause, Exception) else error


def _as_exception(error: object) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(str(error))
