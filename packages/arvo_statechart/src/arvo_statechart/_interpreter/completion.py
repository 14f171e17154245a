"""Reaching final states: done events, and the end of the machine."""

from collections.abc import Iterable

from arvo_statechart._call import NO_PARAMS, new_call
from arvo_statechart._definition.executables import ActionScope, Executable, copy_containers
from arvo_statechart._definition.states import COMPOUND, FINAL, PARALLEL, UNSET, StateNode
from arvo_statechart._event import Event, done_event_type


class Completion:
    """Follows the final states that one microstep enters, in time linear in their number.

    Attributes:
        machine_done: Whether the machine has reached its end.
    """

    __slots__ = ("_completed", "_ended", "_regions", "_root", "machine_done")

    def __init__(self, root: StateNode, active: Iterable[StateNode]) -> None:
        """Start with the states that stay active."""
        self._root = root
        self._completed: set[StateNode] = set()
        # The compound states with an active final child.
        self._ended = {node.parent for node in active if node.type is FINAL}
        # The regions of parallel states that had not reached their end when last checked.
        self._regions: dict[StateNode, list[StateNode]] = {}
        self.machine_done = False

    def enter(self, final: StateNode) -> list[Executable]:
        """Return the executables that follow from entering a final state."""
        executables: list[Executable] = []
        above = final.parent
        self._ended.add(above)
        if above is not None and above.type is COMPOUND:
            executables.append(_raise_done(above, final.output))
            above = above.parent
        completed = final
        while above is not None and self._completes(above):
            self._completed.add(above)
            executables.append(_raise_done(above, UNSET))
            completed, above = above, above.parent
        if above is None:
            self.machine_done = True
            executables.append(_end_machine(self._root, completed))
        return executables

    def _completes(self, node: StateNode) -> bool:
        parallel = node.type is PARALLEL
        return parallel and node not in self._completed and self.is_final(node)

    def is_final(self, node: StateNode) -> bool:
        """Return whether a state has reached its end."""
        # A state that has reached its end keeps it within a microstep, so every region is checked
        # until it has, and then no more. The innermost state is checked first.
        waiting = [node]
        while waiting:
            asked = waiting[-1]
            if asked.type is PARALLEL:
                regions = self._regions.get(asked)
                if regions is None:
                    regions = self._regions[asked] = list(asked.children.values())[::-1]
                if regions:
                    waiting.append(regions[-1])
                    continue
            elif asked.type is not FINAL and asked not in self._ended:
                return False
            waiting.pop()
            if waiting:
                self._regions[waiting[-1]].pop()
        return True


def _raise_done(node: StateNode, output: object) -> Executable:
    event_type = done_event_type(node.id)

    def execute(scope: ActionScope) -> None:
        scope.queue.append(_done_event(event_type, output, scope))

    return execute


def _end_machine(root: StateNode, completed: StateNode) -> Executable:
    event_type = done_event_type(completed.id)
    # The root's own output is just being computed, so it is not part of the event.
    output = UNSET if completed is root else completed.output

    def execute(scope: ActionScope) -> None:
        scope.status = "done"
        if root.output is not UNSET:
            scope.output = _evaluate(root.output, scope, _done_event(event_type, output, scope))

    return execute


def _done_event(event_type: str, output: object, scope: ActionScope) -> Event:
    if output is UNSET:
        return {"type": event_type}
    return {"type": event_type, "output": _evaluate(output, scope, scope.event)}


def _evaluate(output: object, scope: ActionScope, event: Event) -> object:
    return (
        output(new_call(scope.context, event, NO_PARAMS, scope.configuration))
        if callable(output)
        else copy_containers(output)
    )
