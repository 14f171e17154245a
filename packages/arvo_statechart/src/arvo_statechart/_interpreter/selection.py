"""Which transitions an event, or no event at all, enables in a configuration."""

from collections.abc import Iterable, Sequence
from typing import Final

from arvo_statechart._call import Call
from arvo_statechart._definition.rules import Rules
from arvo_statechart._definition.states import StateNode, Transition
from arvo_statechart._errors import GuardError
from arvo_statechart._messages import short_repr

# Up to this many active states it is quicker to ask all of them than to sort some.
FEW_STATES = 32


class Branch:
    """The candidates for one event in a state and in the active states below it.

    All regions are asked first; the state's own candidates are tried only if no region answered. A
    state with a single active child shares one branch with it.
    """

    __slots__ = ("candidates", "fixed", "regions")

    def __init__(
        self, candidates: tuple[Transition, ...], regions: "tuple[Branch, ...]" = ()
    ) -> None:
        if len(regions) == 1:
            candidates = regions[0].candidates + candidates
            regions = regions[0].regions
        self.candidates: tuple[Transition, ...] = (
            _reachable(candidates) if len(candidates) > 1 else candidates
        )
        self.regions: tuple[Branch, ...] = regions
        # The answer, if it does not depend on a guard.
        self.fixed: tuple[Transition, ...] | None = None
        if regions:
            answers = [region.fixed for region in regions if region.fixed is not None]
            if len(answers) == len(regions):
                self.fixed = tuple([transition for answer in answers for transition in answer])
        elif self.candidates[0].guard is None:
            self.fixed = self.candidates[:1]

    def unfixed(self) -> "tuple[Branch, ...]":
        """Return the branches whose guards must be evaluated: regions first, in order, this one last."""
        found: list[Branch] = []
        waiting = [self]
        while waiting:
            branch = waiting.pop()
            if branch.fixed is None:
                found.append(branch)
                waiting += branch.regions
        return tuple(reversed(found))


class Selector:
    """Chooses the transitions for events of one type in one configuration.

    Attributes:
        fixed: The transitions, if they do not depend on a guard; otherwise None.
    """

    __slots__ = ("_asked", "fixed")

    def __init__(self, branch: Branch | None) -> None:
        self.fixed: tuple[Transition, ...] | None = () if branch is None else branch.fixed
        self._asked: tuple[Branch, ...] = ()
        if branch is not None and self.fixed is None:
            self._asked = branch.unfixed()

    def choose(self, call: Call) -> tuple[Transition, ...]:
        """Return the enabled transitions, before conflicts between them are resolved.

        Raises:
            GuardError: If a guard fails.
        """
        if self.fixed is not None:
            return self.fixed
        if len(self._asked) == 1 and not self._asked[0].regions:
            return _first_for_event(self._asked[0].candidates, call)
        chosen: tuple[Transition, ...] = ()
        answers: dict[Branch, tuple[Transition, ...]] = {}
        for branch in self._asked:
            if branch.regions:
                below = [answers.get(region) or region.fixed or () for region in branch.regions]
                chosen = tuple([transition for answer in below for transition in answer])
            else:
                chosen = ()
            answers[branch] = chosen = chosen or _first_for_event(branch.candidates, call)
        return chosen


def branch_of_chain(nodes: Sequence[StateNode], event_type: str, rules: Rules) -> Branch | None:
    """Return the branch of a leaf and its ancestors for an event; None if there are no candidates.

    Args:
        nodes: The active states, outermost first.
        event_type: The type of the event.
        rules: The rules of the version of XState.
    """
    candidates: tuple[Transition, ...] = ()
    for node in reversed(nodes):
        found = node.candidates(event_type, rules)
        if found:
            candidates += found
            if found[-1].guard is None:
                break
    return Branch(candidates) if candidates else None


def branch_of_tree(
    takers: Iterable[StateNode], event_type: str, positions: dict[StateNode, int], rules: Rules
) -> Branch | None:
    """Return the branch of the whole machine for an event; None if there are no candidates.

    Args:
        takers: The active states that may have candidates.
        event_type: The type of the event.
        positions: The order in which active states are asked, parents before their regions.
        rules: The rules of the version of XState.
    """
    # Without recursion: states may be nested 1,000 levels deep.
    below: dict[StateNode | None, list[Branch]] = {}
    for node in _innermost_first(takers, positions):
        answering = below.pop(node, ())
        candidates = node.candidates(event_type, rules) if node.on else ()
        if not (answering or candidates):
            continue
        # Candidates of the states around are not needed if the only branch below always answers.
        if len(answering) == 1 and answering[0].fixed:
            branch = answering[0]
        else:
            branch = Branch(candidates, tuple(reversed(answering)))
        below.setdefault(node.parent, []).append(branch)
    return below[None][0] if None in below else None


def _innermost_first(
    takers: Iterable[StateNode], positions: dict[StateNode, int]
) -> Iterable[StateNode]:
    """Return some active states and their ancestors, in reverse order of asking."""
    if len(positions) <= FEW_STATES:
        return reversed(positions)
    around: set[StateNode] = set()
    for node in takers:
        asked: StateNode | None = node
        while asked is not None and asked not in around:
            around.add(asked)
            asked = asked.parent
    return sorted(around, key=positions.__getitem__, reverse=True)


class Eventless:
    """Chooses the `always` transitions in one configuration.

    Attributes:
        chains: The transitions to try, one tuple per leaf that has any; empty if no leaf has.
    """

    __slots__ = ("chains",)

    def __init__(self, leaves: Iterable[StateNode]) -> None:
        chains = (
            _reachable(transition for node in (leaf, *leaf.ancestors) for transition in node.always)
            for leaf in leaves
        )
        self.chains: tuple[tuple[Transition, ...], ...] = tuple(chain for chain in chains if chain)

    def choose(self, call: Call) -> tuple[Transition, ...]:
        """Return the enabled transitions without duplicates; exceptions of guards propagate."""
        chosen: dict[Transition, None] = {}
        for chain in self.chains:
            for candidate in chain:
                if candidate.guard is None or candidate.guard(call):
                    chosen[candidate] = None
                    break
        return tuple(chosen)


NO_EVENTLESS: Final = Eventless(())
"""For machines without `always` transitions."""


def _reachable(candidates: Iterable[Transition]) -> tuple[Transition, ...]:
    """Drop the candidates after the first one without a guard: they are never tried."""
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
                f"guard {candidate.guard_name!r} failed on event {short_repr(event_type)} "
                f"in state {short_repr(state)}: {error}",
                guard=candidate.guard_name,
                event_type=event_type,
                state=state,
            ) from error
    return ()
