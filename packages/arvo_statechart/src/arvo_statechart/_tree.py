"""From the config to the tree of states, without what connects them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._config import MachineConfig, StateConfig
from ._errors import location_of
from ._node import StateNode, StateType
from ._problems import Path, Problems
from ._state_value import in_key_order
from ._suggestion import unknown

DEFAULT_ID = "(machine)"

_CHILDLESS = {StateType.ATOMIC, StateType.FINAL, StateType.HISTORY}
_NOT_HERE = {
    "invoke": "invoke is not supported: emit an event and wait for the answer",
    "after": "after is not supported: nothing here runs by the clock",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A state and what the config says about it."""

    node: StateNode
    config: Mapping[str, Any]
    path: Path


class Tree:
    """All states of a machine in document order.

    What is wrong with them is noted in `problems`, and as much as possible is read on.
    """

    def __init__(self, config: object, problems: Problems) -> None:
        self.definitions: list[Definition] = []
        self.by_id: dict[str, StateNode] = {}
        self._paths: dict[str, Path] = {}
        self._problems = problems
        self._add(config, path=(), key="", parent=None)

    @property
    def machine_id(self) -> str:
        """The id of the root."""
        return self.definitions[0].node.id

    def _add(self, config: object, *, path: Path, key: str, parent: StateNode | None) -> None:
        checked = self._problems.mapping(path, config)
        self._check_keys(checked, path, root=parent is None)
        states = self._problems.mapping((*path, "states"), checked.get("states", {}))
        node = StateNode(
            id=self._id_of(checked, path, key, parent),
            key=key,
            type=self._type_of(checked, path, states),
            number=len(self.definitions),
            parent=parent,
        )
        self.definitions.append(Definition(node=node, config=checked, path=path))
        self._register(node, path)
        if states and node.type in _CHILDLESS:
            self._problems.error((*path, "states"), f"a state of type {node.type} has no children")
        for child in in_key_order(states):
            below = (*path, "states", child)
            if not child:
                self._problems.error(below, "a state needs a key that is not empty")
            self._add(states[child], path=below, key=child, parent=node)

    def _check_keys(self, config: Mapping[str, Any], path: Path, *, root: bool) -> None:
        known = (MachineConfig if root else StateConfig).__optional_keys__
        for key in config:
            if key in _NOT_HERE:
                self._problems.error((*path, key), _NOT_HERE[key])
            elif key not in known:
                self._problems.error((*path, key), unknown("key", key, known))

    def _id_of(
        self, config: Mapping[str, Any], path: Path, key: str, parent: StateNode | None
    ) -> str:
        if "id" in config:
            given = config["id"]
            if isinstance(given, str):
                return given
            self._problems.error((*path, "id"), f"expected a text, got {given!r}")
        if parent is None:
            return DEFAULT_ID
        # An id that an ancestor was given does not show in the ids below it.
        return ".".join((self.machine_id, *parent.path, key))

    def _type_of(self, config: Mapping[str, Any], path: Path, states: object) -> StateType:
        given = config.get("type")
        if given is not None:
            try:
                return StateType(given)
            except ValueError:
                self._problems.error((*path, "type"), unknown("state type", given, StateType))
        if states:
            return StateType.COMPOUND
        return StateType.HISTORY if config.get("history") else StateType.ATOMIC

    def _register(self, node: StateNode, path: Path) -> None:
        if node.id in self.by_id:
            self._problems.error(
                (*path, "id"),
                f"duplicate id {node.id!r}: the state at {location_of(self._paths[node.id])} "
                "has it, too",
            )
        self.by_id[node.id] = node
        self._paths[node.id] = path
        for ancestor in node.ancestors:
            ancestor.descendants |= node.bit
        if node.parent is not None:
            history = node.type is StateType.HISTORY
            siblings = node.parent.histories if history else node.parent.children
            siblings[node.key] = node
        elif node.type is StateType.HISTORY:
            self._problems.error(path, "the root cannot be a history state")
