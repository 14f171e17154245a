"""Finds what is allowed in a machine but probably a mistake."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, TypeAlias

from arvo_statechart._actions import Assign, EnqueueActions, Raise
from arvo_statechart._errors import DefinitionProblem
from arvo_statechart._event import done_event_type
from arvo_statechart._guards import All, AnyOf, Not, StateIn
from arvo_statechart._messages import short_repr, suggestion, unknown
from arvo_statechart._state_value import PartialStateValue, value_of_path

from .foreign_words import EVENT_WORDS
from .implementations import Implementations
from .known_events import KnownEvents
from .problems import Place, listed, problem_at
from .rules import XStateVersion
from .states import StateNode, StateType, Transition, is_covered
from .version_differences import version_differences

_Warning: TypeAlias = tuple[Place, str]

_MOST_WARNINGS = 20
_DONE = done_event_type("")
_AFTER = "xstate.after."


def find_warnings(
    nodes: Sequence[StateNode],
    implementations: Implementations,
    events: Collection[str] | None,
    *,
    chosen: XStateVersion | None,
) -> tuple[DefinitionProblem, ...]:
    """Return the first 20 probable mistakes in a machine that is well defined.

    Args:
        nodes: The states of the machine.
        implementations: Its actions and guards.
        events: The event types that come from outside; None means any.
        chosen: The version of XState that was chosen explicitly; None if none was.
    """
    warnings = _Search(nodes, implementations, events).all()
    if chosen is None:
        warnings = chain(warnings, version_differences(nodes))
    found = [problem_at(place, message) for place, message in islice(warnings, _MOST_WARNINGS)]
    if next(warnings, None) is not None:
        found.append(
            problem_at(None, f"these are the first {_MOST_WARNINGS} warnings; there are more")
        )
    return tuple(found)


class _Search:
    def __init__(
        self,
        nodes: Sequence[StateNode],
        implementations: Implementations,
        events: Collection[str] | None,
    ) -> None:
        self._nodes = nodes
        self._implementations = implementations
        self._by_id = {node.id: node for node in nodes}
        # In order, so that a suggestion is the same whenever it is made.
        self._taken = dict.fromkeys(sorted({key for node in nodes for key in node.on}))
        self._wildcards = {key for node in nodes for key in node.wildcards}
        self._known = None if events is None else self._known_events(events)
        self._ends = KnownEvents(map(done_event_type, self._by_id), others=False)
        delayed = (event_type for node in nodes for event_type in node.after)
        self._delayed = KnownEvents(delayed, others=False)
        # The ids of guards that were checked: many transitions may use one guard.
        self._judged: set[int] = set()

    def _known_events(self, events: Collection[str]) -> KnownEvents:
        types = set(events)
        others = False
        for place, actions in chain.from_iterable(map(_actions_of, self._nodes)):
            for _, action in listed(place, actions):
                match self._implementations.action(action):
                    case Raise(event={"type": str(event_type)}):
                        types.add(event_type)
                    case Raise() | EnqueueActions():
                        others = True
                    case _:
                        pass
        return KnownEvents(types, others=others)

    def all(self) -> Iterator[_Warning]:
        """Yield all warnings, state by state."""
        reached = _reachable(self._nodes[0])
        for node in self._nodes:
            place = node.place
            if node.type is StateType.HISTORY:
                if not node.default_targets():
                    message = "a history state of a parallel state leads nowhere without a target"
                    yield (place, "target"), f"has no effect: {message}"
                continue
            if node not in reached:
                yield place, "unreachable: no transition and no initial child leads here"
            yield from self._about_state(node)
            for at, actions in _actions_of(node):
                yield from self._about_actions(actions, at)

    def _about_state(self, node: StateNode) -> Iterator[_Warning]:
        config, place = node.config, node.place
        if node.type is StateType.FINAL:
            for key in ("on", "always", "after"):
                if key in config:
                    yield (place, key), "leads out of a final state, which is an end"
        if "onDone" in config and not _may_end(node):
            yield (
                (place, "onDone"),
                "waits for an end that is never reached: there is no final state below",
            )
        for descriptor in config.get("on", {}):
            yield from self._about_descriptor(node, descriptor, ((place, "on"), descriptor))
        for at, always in listed((place, "always"), config.get("always", ())):
            if isinstance(always, Mapping) and self._never_rests(always):
                yield at, "never comes to rest: it assigns, has no target and no guard"
        for at, transition in _transitions_of(node):
            if "guard" in transition:
                yield from self._about_guard(transition["guard"], (at, "guard"))

    def _about_descriptor(
        self, node: StateNode, descriptor: str, place: Place
    ) -> Iterator[_Warning]:
        if "*" in descriptor and descriptor not in node.wildcards:
            yield place, "'*' stands for other events only as the whole last part, as in 'order.*'"
            return
        for prefix, sentence in EVENT_WORDS:
            if descriptor.startswith(prefix):
                yield place, f"no such event is sent by itself here: {sentence}"
                return
        if message := self._objection(descriptor):
            yield place, message

    def _objection(self, descriptor: str) -> str:
        ended = descriptor.removeprefix(_DONE)
        if ended != descriptor:
            if "*" in ended:
                return "" if ended == "*" else self._ends.objection(descriptor)
            if ended in self._by_id:
                return ""
            return f"waits indefinitely: {unknown('id', ended, self._by_id)}"
        if descriptor.startswith(_AFTER):
            return "" if descriptor == f"{_AFTER}*" else self._delayed.objection(descriptor)
        if self._known is None or descriptor == "*" or descriptor.startswith("xstate."):
            return ""
        return self._known.objection(descriptor)

    def _about_actions(self, actions: object, place: Place) -> Iterator[_Warning]:
        for at, action in listed(place, actions):
            match self._implementations.action(action):
                case Raise() as raised:
                    yield from ((at, message) for message in self._about_raise(raised))
                case _:
                    pass

    def _about_raise(self, action: Raise) -> Iterator[str]:
        match action.event:
            case {"type": str(event_type)} if not self._takes(event_type):
                close = suggestion(event_type, self._taken)
                message = f"raises {short_repr(event_type)}, which no state takes"
                yield f"{message}: {close}" if close else message
            case _:
                pass
        if action.id is not None and action.delay is None:
            yield f"the id {short_repr(action.id)} has no effect without a delay"

    def _takes(self, event_type: str) -> bool:
        return event_type in self._taken or is_covered(event_type, self._wildcards)

    def _about_guard(self, guard: object, place: Place) -> Iterator[_Warning]:
        waiting = [guard]
        while waiting:
            asked = self._implementations.guard(waiting.pop())
            if id(asked) in self._judged:
                continue
            self._judged.add(id(asked))
            match asked:
                case All(guards=guards) | AnyOf(guards=guards):
                    waiting += guards
                case Not(guard=negated):
                    waiting.append(negated)
                case StateIn(value=value) if not (isinstance(value, str) and value[:1] == "#"):
                    for message in _unknown_states(self._nodes[0], value):
                        yield place, f"state_in never passes: {message}"
                case _:
                    pass

    def _never_rests(self, always: Mapping[str, Any]) -> bool:
        if "guard" in always or always.get("target"):
            return False
        return any(
            isinstance(self._implementations.action(action), Assign)
            for _, action in listed(None, always.get("actions", ()))
        )


def _transitions_of(node: StateNode) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Yield the transitions of a state that are more than a target."""
    config, place = node.config, node.place
    found: list[tuple[Place, object]] = [
        (((place, "on"), descriptor), transitions)
        for descriptor, transitions in config.get("on", {}).items()
    ]
    found += [((place, key), config[key]) for key in ("onDone", "always") if key in config]
    found += [(after.place, after.config) for after in node.after.values()]
    for around, transitions in found:
        for at, transition in listed(around, transitions):
            if isinstance(transition, Mapping):
                yield at, transition


def _actions_of(node: StateNode) -> Iterator[tuple[Place, object]]:
    """Yield the actions of a state, single ones or lists, with their places."""
    config, place = node.config, node.place
    if node.type is StateType.HISTORY:
        return
    for key in ("entry", "exit"):
        if key in config:
            yield (place, key), config[key]
    initial = config.get("initial")
    if isinstance(initial, Mapping) and "actions" in initial:
        yield ((place, "initial"), "actions"), initial["actions"]
    for at, transition in _transitions_of(node):
        if "actions" in transition:
            yield (at, "actions"), transition["actions"]


def _unknown_states(root: StateNode, value: PartialStateValue) -> Iterator[str]:
    waiting = [(root, value)]
    while waiting:
        node, asked = waiting.pop()
        if isinstance(asked, str):
            asked = value_of_path(asked)
        below = {asked: {}} if isinstance(asked, str) else asked
        for key, deeper in below.items():
            if key in node.children:
                waiting.append((node.children[key], deeper))
            else:
                yield f"below {short_repr(node.id)}, {unknown('state', key, node.children)}"


def _may_end(node: StateNode) -> bool:
    """Return whether a state may reach its end: through a final child, or one in every region."""
    waiting = [node]
    while waiting:
        asked = waiting.pop()
        if asked.type is StateType.PARALLEL:
            waiting += asked.children.values()
        elif asked.type is not StateType.FINAL and not any(
            child.type is StateType.FINAL for child in asked.children.values()
        ):
            return False
    return True


def _reachable(root: StateNode) -> set[StateNode]:
    """Return the states that can ever be entered, ignoring guards."""
    reached: set[StateNode] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node in reached:
            continue
        reached.add(node)
        # All states around it are entered with it.
        if node.parent is not None:
            waiting.append(node.parent)
        waiting += _entered_with(node)
        transitions: Iterable[Transition] = (
            *(transition for listing in node.on.values() for transition in listing),
            *node.always,
        )
        waiting += [target for transition in transitions for target in transition.targets]
    return reached


def _entered_with(node: StateNode) -> Iterable[StateNode]:
    match node.type:
        case StateType.HISTORY:
            return node.default_targets()
        case StateType.PARALLEL:
            return node.children.values()
        case _:
            return () if node.initial is None else (node.initial,)
