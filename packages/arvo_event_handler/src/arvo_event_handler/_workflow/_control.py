"""What a workflow does when it is itself retried, cancelled or woken."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from arvo_core import ArvoEvent
from arvo_event_handler._errors import ConfigViolation, ContractViolation, ExecutionViolation
from arvo_event_handler._stored_event import stored_event
from arvo_event_handler._timer_event import tick_id
from arvo_event_handler.memory._kept_event import KeptEvent
from arvo_event_handler.memory._state import StepFailure, WorkflowState

from ._control_events import CANCEL, Cancel, Retry, Tick, Wake
from ._stored_record import unreadable


class WorkflowCancelled(Exception):
    """The workflow was ended from outside; what the initiator reads as the error's name."""


def check_known(event: ArvoEvent, state: WorkflowState | None) -> WorkflowState:
    """Return what is stored of the workflow that an event is for.

    Raises:
        ExecutionViolation: Nothing is.
    """
    if state is None:
        raise ExecutionViolation(
            f"{_named(event)}: no workflow is stored under its subject; it has not started, or its "
            "memory has forgotten it"
        )
    return state


def answer_control(
    control: Retry | Cancel | Wake, event: ArvoEvent, state: WorkflowState
) -> Iterable[KeptEvent] | None:
    """Return what to publish when nothing changes; None when there is a step to take.

    Args:
        control: What is asked.
        event: The event that asks.
        state: What is stored of the workflow.

    Raises:
        ExecutionViolation: A retry is refused.
    """
    match control:
        case Wake():
            return state.owed_for(event, is_init=True) if state.ended else state.awaited()
        case Cancel():
            if state.has_seen(event, is_init=False):
                return state.owed_for(event, is_init=False)
            return () if state.ended else None
        case Retry():
            return _answer_retry(control, event, state)


def answer_tick(
    tick: Tick, event: ArvoEvent, state: WorkflowState | None
) -> Sequence[KeptEvent] | None:
    """Return what to publish for a tick that changes nothing; None when its timer is pending.

    A timer that is not pending has fired, or was cancelled; or its workflow has ended, or was
    forgotten. A tick with the id of another timer is made up, and would be taken for that one's.
    """
    if state is None or event.id != tick_id(event.subject, tick.key):
        return ()
    if state.has_seen(event, is_init=False):
        return tuple(state.owed_for(event, is_init=False))
    return () if state.ended or tick.key not in state.timers else None


def _answer_retry(
    retry: Retry, event: ArvoEvent, state: WorkflowState
) -> Iterable[KeptEvent] | None:
    if state.parent_subject is not None and not retry.detached:
        raise ExecutionViolation(
            f"{_named(event)}: the workflow is a child, whose parent has consumed the failure and "
            "drops a later completion; retry the root of the tree, which the parent with subject "
            f"{state.parent_subject!r} is or belongs to, or pass detached=True"
        )
    retried = state.retried
    if retried is not None and retry.attempt <= retried.attempt:
        return _outcome(state, retried.event) if retry.attempt == retried.attempt else ()
    if not state.failed:
        stands = "has completed" if state.ended else "runs"
        raise ExecutionViolation(
            f"{_named(event)}: the workflow {stands}; only one that has failed can be retried"
        )
    _check_failure(state.failure, retry, event)
    return None


def _outcome(state: WorkflowState, retried: str) -> Iterator[KeptEvent]:
    """Return what has come of a retry, given by the hash of the event that was handled again."""
    if state.failure is not None:
        yield from state.failure.outputs
        return
    own = {output.id: output for output in state.owed.by(retried)}
    yield from own.values()
    yield from (output for output in state.awaited() if output.id not in own)


def _check_failure(failure: StepFailure | None, retry: Retry, event: ArvoEvent) -> None:
    if failure is None:
        raise ExecutionViolation(
            f"{_named(event)}: the workflow's record does not say which event failed, as of one "
            "written by the TypeScript version; start it again under another subject"
        )
    if failure.consumed.type == CANCEL:
        raise ExecutionViolation(
            f"{_named(event)}: the workflow was cancelled, so no step has failed; start it again "
            "under another subject"
        )
    if retry.attempt != failure.attempt:
        raise ExecutionViolation(
            f"{_named(event)}: the workflow has failed {failure.attempt} times, not "
            f"{retry.attempt}; pass attempt={failure.attempt}"
        )


def failed_event(state: WorkflowState) -> ArvoEvent:
    """Return the event at which a workflow has failed.

    Raises:
        TransactionViolation: What is stored is not an event.
    """
    try:
        if state.failure is None:
            raise ValueError("its failure is missing")
        return stored_event(state.failure.consumed.wire())
    except Exception as error:
        raise unreadable(state.subject, f"the event that failed: {error}") from error


@contextmanager
def refuse_unreadable(failed: ArvoEvent) -> Iterator[None]:
    """Turn what is wrong with an event that failed before into a matter of the deployed code.

    It was accepted when it came.

    Raises:
        ConfigViolation: It is not accepted any more.
    """
    try:
        yield
    except (ContractViolation, ExecutionViolation) as error:
        raise ConfigViolation(
            f"the {_named(failed)}, at which the workflow has failed, does not fit the deployed "
            f"code; deploy a version that can read it, then retry again. {error}"
        ) from error


def lost_requests(state: WorkflowState) -> list[str]:
    """Return the ids of unanswered requests that cannot be sent again.

    A record that the TypeScript version has written lacks those of earlier steps. Those that leave
    later are not lost.
    """
    kept = {output.id for output in state.owed.all()}
    kept |= {str(timer.event.get("id")) for timer in state.timers.values() if timer.event}
    return [request for request in state.unanswered if request not in kept]


def _named(event: ArvoEvent) -> str:
    return f"event {event.id!r} of type {event.type!r}"
