"""Reads the tree of states from the config, without their transitions."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from arvo_statechart._errors import location_of
from arvo_statechart._messages import short_repr, unknown
from arvo_statechart._state_value import in_key_order, is_index

from .keys import ROOT_KEYS, STATE_KEYS
from .problems import Place, Problems, path_of
from .states import ATOMIC, COMPOUND, FINAL, HISTORY, NOTHING, StateNode, StateType

DEFAULT_ID = "(machine)"

# XState accepts as many. Ids grow with the depth, and so does the memory for each state.
_MOST_LEVELS = 1_000
_MOST_STATES = 100_000
_LONGEST_ID = 10_000

_CHILDLESS = frozenset({ATOMIC, FINAL, HISTORY})
_TYPES = {kind.value: kind for kind in StateType}


class _Level(NamedTuple):
    """A state whose children are being added."""

    node: StateNode
    # An explicit id does not appear in the default ids below it.
    default_id: str
    states: Mapping[str, Any]
    waiting: Iterator[str]


class Tree:
    """All states of a machine in document order.

    Problems are noted in `problems`, and reading goes on where possible. States may be nested 1,000
    levels deep, so this uses no recursion.
    """

    def __init__(self, config: object, problems: Problems) -> None:
        self.nodes: list[StateNode] = []
        self.by_id: dict[str, StateNode] = {}
        self._problems = problems
        self._levels: list[_Level] = []
        self._add(config, None, "", None, DEFAULT_ID)
        while self._levels:
            above, prefix, states, waiting = self._levels[-1]
            around = (above.place, "states")
            for key in waiting:
                if not key:
                    problems.error((around, key), "the key of a state must not be empty")
                if self._add(states[key], (around, key), key, above, f"{prefix}.{key}"):
                    break
            else:
                above.last = len(self.nodes) - 1
                self._levels.pop()

    def _add(
        self, config: object, place: Place, key: str, parent: StateNode | None, default_id: str
    ) -> bool:
        """Add a state; return whether it has states below it."""
        problems = self._problems
        checked = config if type(config) is dict else problems.mapping(place, config)
        states = NOTHING
        if "states" in checked:
            states = problems.mapping((place, "states"), checked["states"])
        kind = self._type_of(checked, place, states)
        keys = (ROOT_KEYS if parent is None else STATE_KEYS)[kind]
        if not checked.keys() <= keys.silent:
            keys.check(checked, place, problems)
        node_id = self._id_of(checked, place, default_id) if "id" in checked else default_id
        if node_id in self.by_id or len(node_id) > _LONGEST_ID:
            self._check_id(node_id, place)
        node = StateNode(node_id, key, kind, len(self.nodes), parent, checked, place)
        self.by_id[node_id] = node
        self.nodes.append(node)
        if parent is None:
            problems.machine_id = default_id = node_id
            if kind is HISTORY:
                problems.error(place, "the root cannot be a history state")
        elif kind is HISTORY:
            parent.histories[key] = node
        else:
            parent.children[key] = node
        if states:
            self._open(node, default_id, states)
        if len(self.nodes) > _MOST_STATES:
            self._give_up(None, f"there are more than {_MOST_STATES:,} states")
        return bool(states)

    def _open(self, node: StateNode, default_id: str, states: Mapping[str, Any]) -> None:
        place = (node.place, "states")
        if node.type in _CHILDLESS:
            self._problems.error(place, f"a state of type {node.type} has no children")
        node.lineage = (node, *node.ancestors)
        keys = in_key_order(states)
        node.indexed = is_index(keys[0])
        self._levels.append(_Level(node, default_id, states, iter(keys)))
        if len(self._levels) > _MOST_LEVELS:
            self._give_up(place, f"states are nested more than {_MOST_LEVELS:,} levels deep")

    def _give_up(self, place: Place, message: str) -> None:
        self._problems.error(place, message)
        self._problems.raise_errors()

    def _id_of(self, config: Mapping[str, Any], place: Place, default_id: str) -> str:
        given: object = config["id"]
        if isinstance(given, str):
            return given
        self._problems.error((place, "id"), f"expected a string, got {short_repr(given)}")
        return default_id

    def _type_of(self, config: Mapping[str, Any], place: Place, states: object) -> StateType:
        given = config.get("type")
        if given is not None:
            kind = _TYPES.get(given) if isinstance(given, str) else None
            if kind is not None:
                return kind
            self._problems.error((place, "type"), unknown("state type", given, StateType))
        if states:
            return COMPOUND
        return HISTORY if config.get("history") else ATOMIC

    def _check_id(self, node_id: str, place: Place) -> None:
        if node_id in self.by_id:
            where = location_of(path_of(self.by_id[node_id].place))
            message = f"duplicate id {short_repr(node_id)}: the state at {where} has it too"
        else:
            message = (
                f"the id {short_repr(node_id)} has more than {_LONGEST_ID:,} characters: give this "
                "state, or those around it, a shorter id"
            )
        self._problems.error((place, "id"), message)
