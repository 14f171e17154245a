"""Which keys are allowed where in a config, and the messages about all others.

A key that the interpreter would ignore is a mistake, wherever it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from arvo_statechart._actions import ActionConfig
from arvo_statechart._call import GuardConfig
from arvo_statechart._config import (
    InitialConfig,
    MachineConfig,
    OptionsConfig,
    StateConfig,
    TransitionConfig,
)
from arvo_statechart._errors import MachineDefinitionError
from arvo_statechart._messages import unknown

from .foreign_words import (
    ACTION_WORDS,
    GUARD_WORDS,
    INITIAL_WORDS,
    STATE_WORDS,
    TRANSITION_WORDS,
)
from .problems import Place, Problems
from .states import StateType

_NEVER_ACTIVE = "a history state is never active itself"
_NO_CHILD = "a state of type {} has no initial child"
_NO_END = "a state of type {} cannot reach an end of its own"
_NO_RECORD = "only a history state has one"
_NO_OUTPUT = "only final states and the root have one"

_OF_HISTORY: Final = ("history", "target")
_BY_TYPE: Final[Mapping[StateType, Mapping[str, str]]] = {
    StateType.ATOMIC: {"initial": _NO_CHILD, "onDone": _NO_END, "output": _NO_OUTPUT},
    StateType.COMPOUND: {"output": _NO_OUTPUT},
    StateType.PARALLEL: {"initial": _NO_CHILD, "output": _NO_OUTPUT},
    StateType.FINAL: {"initial": _NO_CHILD, "onDone": "a final state is an end itself"},
    StateType.HISTORY: dict.fromkeys(
        ("initial", "on", "always", "after", "onDone", "entry", "exit", "tags", "meta", "output"),
        _NEVER_ACTIVE,
    ),
}
_OF_ROOT: Final = {"onDone": "the end of the root is the end of the machine"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The keys that are allowed in one kind of mapping.

    Attributes:
        owner: What the keys belong to, such as "a transition".
        known: The allowed keys.
        foreign: Hints for words of other libraries that would belong here.
        without_effect: Reasons why keys that are known elsewhere have no effect here.
        silent: The allowed keys whose values need no check here.
    """

    owner: str
    known: frozenset[str]
    foreign: Mapping[str, str]
    without_effect: Mapping[str, str]
    silent: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "silent", self.known - {"description"})

    def check(self, config: Mapping[str, Any], place: Place, problems: Problems) -> None:
        """Note every key that is not allowed, and a description that is not a string."""
        for key, value in problems.mapping(place, config).items():
            if key in self.known:
                if key == "description" and not isinstance(value, str):
                    problems.error((place, key), f"expected a string, got {type(value).__name__}")
            elif key != "history" or value is not False:
                problems.error((place, key), self._objection(key))

    def refuse_others(self, config: Mapping[str, Any]) -> None:
        """Refuse the first key that is not allowed.

        Raises:
            MachineDefinitionError: If there is one.
        """
        other = next((key for key in config if key not in self.known), None)
        if other is not None:
            raise MachineDefinitionError(self._objection(other))

    def _objection(self, key: str) -> str:
        if key in self.without_effect:
            return f"has no effect: {self.without_effect[key]}"
        if key in self.foreign:
            return f"unknown key {key!r} of {self.owner}: {self.foreign[key]}"
        for owner, known in _OWNERS:
            if key in known:
                return f"unknown key {key!r} of {self.owner}: it belongs to {owner}"
        for elsewhere in _WITH_WORDS:
            if key in elsewhere.foreign:
                would = f"it would belong to {elsewhere.owner}"
                return f"unknown key {key!r} of {self.owner}: {would}; {elsewhere.foreign[key]}"
        return unknown("key", key, self.known)


def _state_keys(kind: StateType, *, root: bool) -> Keys:
    useless = {key: reason.format(kind) for key, reason in _BY_TYPE[kind].items()}
    if kind is not StateType.HISTORY:
        useless |= dict.fromkeys(_OF_HISTORY, _NO_RECORD)
    if root:
        useless = {key: reason for key, reason in useless.items() if key != "output"} | _OF_ROOT
    config = MachineConfig if root else StateConfig
    return Keys(
        owner="the root" if root else "a state",
        known=config.__optional_keys__ - useless.keys(),
        foreign=STATE_WORDS,
        without_effect=useless,
    )


STATE_KEYS: Final = {kind: _state_keys(kind, root=False) for kind in StateType}
"""The keys of a state below the root, by its type."""

ROOT_KEYS: Final = {kind: _state_keys(kind, root=True) for kind in StateType}
"""The keys of the root, by its type."""

TRANSITION_KEYS: Final = Keys(
    owner="a transition",
    known=TransitionConfig.__optional_keys__,
    foreign=TRANSITION_WORDS,
    without_effect={},
)
INITIAL_KEYS: Final = Keys(
    owner="an initial transition",
    known=InitialConfig.__optional_keys__,
    foreign=INITIAL_WORDS,
    without_effect={},
)
ACTION_KEYS: Final = Keys(
    owner="an action",
    known=ActionConfig.__required_keys__ | ActionConfig.__optional_keys__,
    foreign=ACTION_WORDS,
    without_effect={},
)
GUARD_KEYS: Final = Keys(
    owner="a guard",
    known=GuardConfig.__required_keys__ | GuardConfig.__optional_keys__,
    foreign=GUARD_WORDS,
    without_effect={},
)
OPTIONS_KEYS: Final = Keys(
    owner="the options",
    known=OptionsConfig.__optional_keys__,
    foreign={},
    without_effect={},
)

_OWNERS: Final = (
    ("the root", MachineConfig.__optional_keys__ - StateConfig.__optional_keys__),
    ("a state", StateConfig.__optional_keys__),
    ("a transition", TransitionConfig.__optional_keys__),
    ("a named guard or action", ACTION_KEYS.known),
)

# Where a word of another library may belong, the likeliest place first.
_WITH_WORDS: Final = (
    STATE_KEYS[StateType.ATOMIC],
    TRANSITION_KEYS,
    INITIAL_KEYS,
    ACTION_KEYS,
    GUARD_KEYS,
)
