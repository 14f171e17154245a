"""Reaching final states: done events, and the end of the machine."""

from typing import TYPE_CHECKING

from ._call import NO_PARAMS, new_call
from ._event import Event, done_event_type
from ._fresh import fresh
from ._node import UNSET, Executable, StateNode, StateType

if TYPE_CHECKING:
    from ._step import Step


class Completion:
    """Follows the final states that one microstep enters.

    Attributes:
        machine_done: Whether the machine has reached its end.
    """

    __slots__ = ("_completed", "_root", "machine_done")

    def __init__(self, root: StateNode) -> None:
        self._root = root
        self._completed: set[StateNode] = set()
        self.machine_done = False

    def enter(self, final: StateNode, active: int) -> list[Executable]:
        """Return what entering a final state leads to.

        Args:
            final: The state.
            active: The states that are active now, this one among them.
        """
        executables: list[Executable] = []
        above = final.parent
        if above is not None and above.type is StateType.COMPOUND:
            executables.append(_raise_done(above, final.output))
            above = above.parent
        completed = final
        while above is not None and self._completes(above, active):
            self._completed.add(above)
            executables.append(_raise_done(above, UNSET))
            completed, above = above, above.parent
        if above is None:
            self.machine_done = True
            executables.append(_end_machine(self._root, completed))
        return executables

    def _completes(self, node: StateNode, active: int) -> bool:
        parallel = node.type is StateType.PARALLEL
        return parallel and node not in self._completed and is_final(node, active)


def is_final(node: StateNode, active: int) -> bool:
    """Whether a state has reached its end.

    Args:
        node: The state.
        active: The states that are active now.
    """
    match node.type:
        case StateType.COMPOUND:
            active_children = (child for child in node.children.values() if child.bit & active)
            return any(child.type is StateType.FINAL for child in active_children)
        case StateType.PARALLEL:
            return all(is_final(region, active) for region in node.children.values())
        case _:
            return node.type is StateType.FINAL


def _raise_done(node: StateNode, output: object) -> Executable:
    event_type = done_event_type(node.id)

    def execute(step: "Step") -> None:
        step.queue.append(_done_event(event_type, output, step))

    return execute


def _end_machine(root: StateNode, completed: StateNode) -> Executable:
    event_type = done_event_type(completed.id)
    # The root's own output is what is being computed, so it is not part of the event.
    output = UNSET if completed is root else completed.output

    def execute(step: "Step") -> None:
        step.status = "done"
        if root.output is not UNSET:
            step.raw_output = _evaluate(root.output, step, _done_event(event_type, output, step))

    return execute


def _done_event(event_type: str, output: object, step: "Step") -> Event:
    if output is UNSET:
        return {"type": event_type}
    return {"type": event_type, "output": _evaluate(output, step, step.event)}


def _evaluate(output: object, step: "Step", event: Event) -> object:
    return (
        output(new_call(step.context, event, NO_PARAMS, step.configuration))
        if callable(output)
        else fresh(output)
    )
