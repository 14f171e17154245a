"""What a microstep does. It follows from the active states, the transitions and the history."""

from ._chart import remember
from ._completion import Completion
from ._configuration import Configuration, configuration_of
from ._entry_set import EntrySet
from ._exit_set import exit_sets
from ._history import History, record
from ._node import FINAL, Executable, StateNode, Transition


class Plan:
    """What a microstep does.

    Attributes:
        actions: Everything to run, in order.
        configuration: The active states afterwards.
        history: What is remembered afterwards.
        changes: Whether the microstep counts as a change even if no action assigns.
    """

    __slots__ = ("actions", "changes", "configuration", "history")

    def __init__(
        self,
        actions: tuple[Executable, ...],
        configuration: Configuration,
        history: History,
        changes: bool,
    ) -> None:
        self.actions = actions
        self.configuration = configuration
        self.history = history
        self.changes = changes


def plan_of(
    configuration: Configuration, transitions: tuple[Transition, ...], history: History
) -> Plan:
    """Return the plan of a microstep, made when it is first needed.

    Args:
        configuration: The active states before the microstep.
        transitions: The enabled transitions, conflicts among them included.
        history: What is remembered before the microstep.
    """
    key = (transitions, history)
    found = configuration.plans.get(key)
    if found is None:
        found = _make(configuration, transitions, history)
        remember(configuration.plans, key, found, configuration.chart.most_plans)
    return found


def _make(configuration: Configuration, enabled: tuple[Transition, ...], history: History) -> Plan:
    chart = configuration.chart
    remembered = dict(history)
    taken = exit_sets(enabled, configuration, remembered)
    actions: list[Executable] = []
    exited: list[StateNode] = []
    for exit_set in taken.values():
        exited += exit_set
    if exited:
        exited.sort(key=_number, reverse=True)
        for node in exited:
            actions += node.exit
    entering = False
    for transition in taken:
        actions += transition.actions
        entering = entering or bool(transition.targets)
    if not entering:
        return Plan(tuple(actions), configuration, history, False)

    after = record(history, exited, configuration)
    entry = EntrySet(remembered if after is history else dict(after))
    for transition in taken:
        entry.follow(transition)
    active = dict.fromkeys(configuration.nodes)
    for node in exited:
        del active[node]
    completion: Completion | None = None
    for node in entry.in_document_order():
        if node.type is FINAL and completion is None:
            completion = Completion(chart.root, active)
        active[node] = None
        actions += node.entry
        if node.initial_actions and node in entry.by_default:
            actions += node.initial_actions
        if completion is not None and node.type is FINAL:
            actions += completion.enter(node)

    recorded = after is not history
    # The same states keep the order in which they were entered first.
    moved = recorded or active.keys() != configuration.members
    done = completion is not None and completion.machine_done
    if done:
        active = dict.fromkeys(sorted(active, key=_number, reverse=True))
        for node in active:
            actions += node.exit
    return Plan(
        tuple(actions),
        configuration_of(chart, active) if moved else configuration,
        after,
        moved or done,
    )


def _number(node: StateNode) -> int:
    return node.number
