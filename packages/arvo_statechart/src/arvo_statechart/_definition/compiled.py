"""A compiled machine: everything about it that no event changes."""

from collections.abc import Callable

from arvo_statechart._call import Call, Context
from arvo_statechart._event import INIT

from .implementations import Implementations
from .rules import Rules
from .states import StateNode, Transition


class Chart:
    """A compiled machine. Shared between threads: once made it does not change."""

    __slots__ = (
        "_takers",
        "_takers_of_wildcards",
        "by_id",
        "context",
        "has_eventless",
        "implementations",
        "max_microsteps",
        "nodes",
        "root",
        "rules",
        "start",
    )

    def __init__(
        self,
        *,
        nodes: tuple[StateNode, ...],
        by_id: dict[str, StateNode],
        context: Context | Callable[[Call], Context],
        implementations: Implementations,
        rules: Rules,
        max_microsteps: float,
    ) -> None:
        # In document order, so that a state's number is its index.
        self.nodes: tuple[StateNode, ...] = nodes
        self.root: StateNode = nodes[0]
        # What enters the initial states.
        self.start: Transition = Transition(self.root, INIT)
        self.start.targets = (self.root,)
        self.start.reenter = True
        self.by_id: dict[str, StateNode] = by_id
        self.context: Context | Callable[[Call], Context] = context
        self.implementations: Implementations = implementations
        self.rules: Rules = rules
        # Infinite where the config says so.
        self.max_microsteps: float = max_microsteps
        self.has_eventless: bool = any(node.always for node in nodes)
        self._takers: dict[str, list[StateNode]] | None = None
        self._takers_of_wildcards: list[StateNode] = []

    def takers(self, event_type: str) -> list[StateNode]:
        """Return the states that may have candidates for an event of some type.

        The done events of many regions are mostly taken by nobody: then nobody is asked.
        """
        index = self._takers
        if index is None:
            index = {}
            for node in self.nodes:
                for descriptor in node.on:
                    index.setdefault(descriptor, []).append(node)
            self._takers_of_wildcards = [node for node in self.nodes if node.wildcards]
            self._takers = index
        takers = index.get(event_type, [])
        return takers + self._takers_of_wildcards if self._takers_of_wildcards else takers
