"""What a microstep does. It follows from the active states, the transitions and the history."""

from ._completion import Completion
from ._configuration import Configuration, configuration_of, mask_of
from ._entry_set import EntrySet
from ._exit_set import without_conflicts
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
        found = configuration.plans.keep(key, _make(configuration, transitions, history))
    return found


def _make(configuration: Configuration, enabled: tuple[Transition, ...], history: History) -> Plan:
    chart = configuration.chart
    exit_sets = without_conflicts(enabled, configuration.mask, dict(history))
    leaving = 0
    for exit_set in exit_sets.values():
        leaving |= exit_set
    exited = chart.members(leaving)[::-1]
    actions = [action for node in exited for action in node.exit]
    actions += [action for transition in exit_sets for action in transition.actions]

    remembered = record(history, exited, configuration)
    entry = EntrySet(dict(remembered))
    for transition in exit_sets:
        entry.follow(transition)
    active = dict.fromkeys(node for node in configuration.nodes if not node.bit & leaving)
    completion = Completion(chart.root)
    for node in chart.members(entry.entering):
        active[node] = None
        actions += node.entry
        if node.bit & entry.by_default:
            actions += node.initial_actions
        if node.type is StateType.FINAL:
            actions += completion.enter(node, mask_of(active))

    nodes = tuple(active)
    if completion.machine_done:
        nodes = tuple(sorted(active, key=_number, reverse=True))
        actions += [action for node in nodes for action in node.exit]
    recorded = any(node.histories for node in exited)
    # The same states keep the order in which they were entered first.
    moved = recorded or mask_of(nodes) != configuration.mask
    return Plan(
        tuple(actions),
        configuration_of(chart, nodes) if moved else configuration,
        remembered,
        moved or completion.machine_done,
    )


def _number(node: StateNode) -> int:
    return node.number
