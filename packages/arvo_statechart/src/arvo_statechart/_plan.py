"""What a microstep does. It follows from the active states, the transitions and the history."""

from ._chart import remember
from ._completion import Completion
from ._configuration import Configuration, configuration_of
from ._entry_set import EntrySet
from ._exit_set import exit_sets
from ._history import History, record
from ._node import Executable, StateNode, StateType, Transition


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
    taken = exit_sets(enabled, configuration, dict(history))
    leaving = dict.fromkeys(node for exit_set in taken.values() for node in exit_set)
    exited = sorted(leaving, key=_number, reverse=True)
    actions = [action for node in exited for action in node.exit]
    for transition in taken:
        actions += transition.actions

    remembered = record(history, exited, configuration)
    entry = EntrySet(dict(remembered))
    for transition in taken:
        entry.follow(transition)
    staying = [node for node in configuration.nodes if node not in leaving]
    active = dict.fromkeys(staying)
    completion = Completion(chart.root, staying)
    for node in entry.in_document_order():
        active[node] = None
        actions += node.entry
        if node.initial_actions and node in entry.by_default:
            actions += node.initial_actions
        if node.type is StateType.FINAL:
            actions += completion.enter(node)

    recorded = remembered is not history
    # The same states keep the order in which they were entered first.
    moved = recorded or active.keys() != configuration.members
    if completion.machine_done:
        nodes = sorted(active, key=_number, reverse=True)
        actions += [action for node in nodes for action in node.exit]
        active = dict.fromkeys(nodes)
    return Plan(
        tuple(actions),
        configuration_of(chart, active) if moved else configuration,
        remembered,
        moved or completion.machine_done,
    )


def _number(node: StateNode) -> int:
    return node.number
