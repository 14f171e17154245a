"""Which transitions an event, or no event at all, enables in a configuration."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from ._call import Call
from ._errors import GuardError
from ._node import StateNode, Transition
from ._rules import Rules

Regions: TypeAlias = Mapping[StateNode, Sequence[StateNode]]


class _Branch:
    """What a state and those active below it do about one event.

    Its regions are asked first, all of them; its own candidates only if none answered. States
    with a single active child are folded into one branch with it.
    """

    __slots__ = ("candidates", "fixed", "regions")

    def __init__(self, candidates: tuple[Transition, ...], regions: "tuple[_Branch, ...]") -> None:
        self.candidates: tuple[Transition, ...] = candidates
        self.regions: tuple[_Branch, ...] = regions
        if len(regions) == 1:
            self.regions = regions[0].regions
            self.candidates = regions[0].candidates + candidates
        self.candidates = _reachable(self.candidates)
        # The answer, if no guard has a say in it.
        self.fixed = self._fixed()

    def _fixed(self) -> tuple[Transition, ...] | None:
        if self.regions:
            answers = [region.fixed for region in self.regions]
            known = [answer for answer in answers if answer is not None]
            if len(known) < len(answers):
                return None
            return tuple(transition for answer in known for transition in answer)
        first, *_ = self.candidates
        return (first,) if first.guard is None else None

    def choose(self, call: Call) -> tuple[Transition, ...]:
        if self.fixed is not None:
            return self.fixed
        chosen: tuple[Transition, ...] = ()
        for region in self.regions:
            chosen += region.choose(call)
        return chosen or _first_for_event(self.candidates, call)


class Selector:
    """Chooses the transitions for events of one type in one configuration.

    Attributes:
        fixed: The transitions, if no guard has a say in it; else None.
    """

    __slots__ = ("_branch", "fixed")

    def __init__(self, root: StateNode, *, regions: Regions, event_type: str, rules: Rules) -> None:
        self._branch = _branch(root, regions, event_type, rules)
        self.fixed: tuple[Transition, ...] | None = (
            () if self._branch is None else self._branch.fixed
        )

    def choose(self, call: Call) -> tuple[Transition, ...]:
        """Return the enabled transitions, before conflicts between them are resolved.

        Raises:
            GuardError: If a guard fails.
        """
        return () if self._branch is None else self._branch.choose(call)


def _branch(node: StateNode, regions: Regions, event_type: str, rules: Rules) -> _Branch | None:
    below = [_branch(region, regions, event_type, rules) for region in regions.get(node, ())]
    answering = tuple(branch for branch in below if branch is not None)
    candidates = node.candidates(event_type, rules)
    return _Branch(candidates, answering) if answering or candidates else None


class Eventless:
    """Chooses the `always` transitions in one configuration.

    Attributes:
        chains: The transitions to try for each leaf that has some; empty if nothing can be enabled.
    """

    __slots__ = ("chains",)

    def __init__(self, leaves: Iterable[StateNode]) -> None:
        chains = (
            _reachable(transition for node in (leaf, *leaf.ancestors) for transition in node.always)
            for leaf in leaves
        )
        self.chains: tuple[tuple[Transition, ...], ...] = tuple(chain for chain in chains if chain)

    def choose(self, call: Call) -> tuple[Transition, ...]:
        """Return the enabled transitions without duplicates; whatever a guard raises escapes."""
        chosen: dict[Transition, None] = {}
        for chain in self.chains:
            for candidate in chain:
                if candidate.guard is None or candidate.guard(call):
                    chosen[candidate] = None
                    break
        return tuple(chosen)


def _reachable(candidates: Iterable[Transition]) -> tuple[Transition, ...]:
    """Cut off what comes after the first candidate without a guard: it is never tried."""
    kept: list[Transition] = []
    for candidate in candidates:
        kept.append(candidate)
        if candidate.guard is None:
            break
    return tuple(kept)


def _first_for_event(candidates: tuple[Transition, ...], call: Call) -> tuple[Transition, ...]:
    for candidate in candidates:
        guard = candidate.guard
        try:
            if guard is None or guard(call):
                return (candidate,)
        except Exception as error:
            event_type, state = call.event["type"], candidate.source.id
            raise GuardError(
                f"guard {candidate.guard_name!r} failed on event {event_type!r} "
                f"in state {state!r}: {error}",
                guard=candidate.guard_name,
                event_type=event_type,
                state=state,
            ) from error
    return ()
