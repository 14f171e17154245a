"""Plans what a microstep does, given the active states, the transitions and the history."""

from collections.abc import Iterable
from typing import TypeAlias

from arvo_statechart._definition.chart import Chart
from arvo_statechart._definition.executables import Executable
from arvo_statechart._definition.states import FINAL, StateNode, Transition, document_order

from .completion import Completion
from .configuration import Configuration, most_entries, remember
from .entry_and_exit import EntrySet, History, exit_sets, record
from .state_values import states_of_value

_MOST_CONFIGURATIONS = 1_024
# On average; it depends on how many events and guards there are in one configuration.
_MOST_PLANS_PER_CONFIGURATION = 8


class Plan:
    """What a microstep does.

    Attributes:
        actions: The executables to run, in order.
        configuration: The active states afterwards.
        history: The history afterwards.
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


PlanKey: TypeAlias = tuple[Configuration, tuple[Transition, ...], History]
"""What a plan depends on: configuration and history before the microstep, and the enabled transitions.

The transitions may conflict.
"""


class Planner:
    """Plans the microsteps of one machine, and caches the plans and their configurations.

    It is shared between threads: only the caches ever change.

    Attributes:
        configurations: Configurations by their states, in order.
        plans: The plans made so far; `plan` makes missing ones.
        restored: Configurations by the `repr` of their stored value.
        most_configurations: How many configurations each of the two caches may hold.
    """

    __slots__ = ("_root", "chart", "configurations", "most_configurations", "plans", "restored")

    def __init__(self, chart: Chart) -> None:
        self.chart: Chart = chart
        self._root = chart.root
        self.configurations: dict[tuple[StateNode, ...], Configuration] = {}
        self.plans: dict[PlanKey, Plan] = {}
        self.restored: dict[str, Configuration] = {}
        self.most_configurations: int = most_entries(chart, _MOST_CONFIGURATIONS)

    def configuration(self, nodes: Iterable[StateNode]) -> Configuration:
        """Return the one configuration of these states in this order."""
        key = tuple(nodes)
        found = self.configurations.get(key)
        if found is None:
            found = Configuration(self.chart, key)
            if len(self.configurations) >= self.most_configurations:
                # The plans refer to configurations that are dropped.
                self.plans.clear()
            remember(self.configurations, key, found, self.most_configurations)
        return found

    def configuration_of_value(self, value: object) -> Configuration:
        """Return the configuration of a state value.

        Raises:
            InvalidSnapshotError: If the value does not fit the machine.
        """
        try:
            key = repr(value)
        except RecursionError:  # nested too deeply for `repr`, so it is computed each time
            key = ""
        found = self.restored.get(key)
        if found is None:
            found = self.configuration(states_of_value(self._root, value))
            if key:
                remember(self.restored, key, found, self.most_configurations)
        return found

    def plan(self, key: PlanKey) -> Plan:
        """Return the plan of a microstep, and make it if it is missing."""
        found = self.plans.get(key)
        if found is None:
            found = self._make(*key)
            limit = _MOST_PLANS_PER_CONFIGURATION * self.most_configurations
            remember(self.plans, key, found, limit)
        return found

    def _make(
        self, configuration: Configuration, enabled: tuple[Transition, ...], history: History
    ) -> Plan:
        remembered = dict(history)
        taken = exit_sets(enabled, configuration, remembered)
        actions: list[Executable] = []
        exited: list[StateNode] = []
        for exit_set in taken.values():
            exited += exit_set
        if exited:
            exited.sort(key=document_order, reverse=True)
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
        done = self._enter(entry, active, actions)
        # If the states are the same, their old order is kept.
        moved = after is not history or active.keys() != configuration.members
        if done:
            active = dict.fromkeys(sorted(active, key=document_order, reverse=True))
            for node in active:
                actions += node.exit
        planned = self.configuration(active) if moved else configuration
        return Plan(tuple(actions), planned, after, moved or done)

    def _enter(
        self, entry: EntrySet, active: dict[StateNode, None], actions: list[Executable]
    ) -> bool:
        """Add the states that are entered to `active`, and their actions to `actions`.

        Returns:
            Whether the machine reaches its end.
        """
        completion: Completion | None = None
        for node in entry.in_document_order():
            if node.type is FINAL and completion is None:
                completion = Completion(self._root, active)
            active[node] = None
            actions += node.entry
            if node.initial_actions and node in entry.by_default:
                actions += node.initial_actions
            if completion is not None and node.type is FINAL:
                actions += completion.enter(node)
        return completion is not None and completion.machine_done
