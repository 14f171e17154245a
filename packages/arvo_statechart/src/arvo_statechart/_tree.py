"""From the config to the tree of states, without what connects them."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ._errors import location_of
from ._keys import ROOT_KEYS, STATE_KEYS
from ._node import StateNode, StateType
from ._problems import Place, Problems, path_of
from ._shown import shown
from ._state_value import in_key_order
from ._suggestion import unknown

DEFAULT_ID = "(machine)"

# XState takes as many. Ids grow with the depth, so does what is remembered of each state.
_MOST_LEVELS = 1_000
_MOST_STATES = 100_000
_LONGEST_ID = 10_000

_CHILDLESS = frozenset({StateType.ATOMIC, StateType.FINAL, StateType.HISTORY})
_TYPES = {kind.value: kind for kind in StateType}


class Definition(NamedTuple):
    """A state and what the config says about it."""

    node: StateNode
    config: Mapping[str, Any]
    place: Place


class _Level(NamedTuple):
    """A state whose children are being added."""

    node: StateNode
    place: Place
    # An id that it was given does not show in the default ids below it.
    default_id: str
    states: Mapping[str, Any]
    waiting: Iterator[str]


class Tree:
    """All states of a machine in document order.

    What is wrong with them is noted in `problems`, and as much as possible is read on. States
    may be nested 1,000 levels deep, so nothing here calls itself.
    """

    def __init__(self, config: object, problems: Problems) -> None:
        self.definitions: list[Definition] = []
        self.by_id: dict[str, StateNode] = {}
        self._places: dict[str, Place] = {}
        self._problems = problems
        self._levels: list[_Level] = []
        self._add(config, place=None, key="", above=None)
        while self._levels:
            above = self._levels[-1]
            for key in above.waiting:
                place = ((above.place, "states"), key)
                if not key:
                    problems.error(place, "a state needs a key that is not empty")
                self._add(above.states[key], place=place, key=key, above=above)
                if self._levels[-1] is not above:
                    break
            else:
                above.node.last = len(self.definitions) - 1
                self._levels.pop()

    def _add(self, config: object, *, place: Place, key: str, above: _Level | None) -> None:
        problems = self._problems
        checked = problems.mapping(place, config)
        states: Mapping[str, Any] = {}
        if "states" in checked:
            states = problems.mapping((place, "states"), checked["states"])
        kind = self._type_of(checked, place, states)
        keys = (ROOT_KEYS if above is None else STATE_KEYS)[kind]
        if not checked.keys() <= keys.silent:
            keys.check(checked, place, problems)
        default_id = DEFAULT_ID if above is None else f"{above.default_id}.{key}"
        node_id = self._id_of(checked, place, default_id) if "id" in checked else default_id
        if len(node_id) > _LONGEST_ID:
            problems.error(
                (place, "id"),
                f"{shown(node_id)} has more than {_LONGEST_ID:,} characters: give this state, "
                "or those around it, a shorter one",
            )
        node = StateNode(
            node_id, key, kind, len(self.definitions), None if above is None else above.node
        )
        self._register(node, place)
        self.definitions.append(Definition(node, checked, place))
        if above is None:
            problems.machine_id = default_id = node_id
        if states:
            if kind in _CHILDLESS:
                problems.error((place, "states"), f"a state of type {kind} has no children")
            node.lineage = (node, *node.ancestors)
            waiting = iter(in_key_order(states))
            self._levels.append(_Level(node, place, default_id, states, waiting))
            if len(self._levels) > _MOST_LEVELS:
                message = f"states are nested more than {_MOST_LEVELS:,} levels deep"
                self._give_up((place, "states"), message)
        if len(self.definitions) > _MOST_STATES:
            self._give_up(None, f"there are more than {_MOST_STATES:,} states")

    def _give_up(self, place: Place, message: str) -> None:
        self._problems.error(place, message)
        self._problems.raise_errors()

    def _id_of(self, config: Mapping[str, Any], place: Place, default_id: str) -> str:
        given: object = config["id"]
        if isinstance(given, str):
            return given
        self._problems.error((place, "id"), f"expected a text, got {shown(given)}")
        return default_id

    def _type_of(self, config: Mapping[str, Any], place: Place, states: object) -> StateType:
        given = config.get("type")
        if given is not None:
            kind = _TYPES.get(given) if isinstance(given, str) else None
            if kind is not None:
                return kind
            self._problems.error((place, "type"), unknown("state type", given, StateType))
        if states:
            return StateType.COMPOUND
        return StateType.HISTORY if config.get("history") else StateType.ATOMIC

    def _register(self, node: StateNode, place: Place) -> None:
        if node.id in self.by_id:
            where = location_of(path_of(self._places[node.id]))
            self._problems.error(
                (place, "id"),
                f"duplicate id {shown(node.id)}: the state at {where} has it, too",
            )
        self.by_id[node.id] = node
        self._places[node.id] = place
        parent = node.parent
        if parent is not None:
            history = node.type is StateType.HISTORY
            (parent.histories if history else parent.children)[node.key] = node
        elif node.type is StateType.HISTORY:
            self._problems.error(place, "the root cannot be a history state")
