"""Sequences of what workers and operators do with reactions."""

from collections.abc import Callable
from typing import Final

from ._lease_steps import LeaseSteps
from ._reaction_side import Plain, ReactionSide
from ._scan_steps import MOMENT, ReactionStep


class ReactionSteps(LeaseSteps):
    """Draws steps on the reactions of one sequence, in a group of its own."""

    def first(self) -> list[ReactionStep]:
        """Return the steps with which each sequence begins."""
        specs = list(self._specs)
        registered = ReactionStep("register", lambda side: side.store.register(side.group, specs))
        return [registered, *(self.append() for _ in range(3))]

    def draw(self) -> ReactionStep:
        """Return the next step."""
        (make,) = self._random.choices([make for make, _ in _KINDS], [odds for _, odds in _KINDS])
        return make(self)

    def last(self) -> list[ReactionStep]:
        """Return the steps that tell all that is there in the end."""
        return [self.lag(), self.targets(), self.parked(), self.ready()]

    # --- operators ----------------------------------------------------------

    def targets(self) -> ReactionStep:
        """List the targets."""

        async def call(side: ReactionSide) -> Plain:
            return [side.target(each) for each in await side.targets()]

        return ReactionStep("targets()", call)

    def parked(self) -> ReactionStep:
        """List what was put aside."""

        async def call(side: ReactionSide) -> Plain:
            return [side.aside(each) for each in await side.parked()]

        return ReactionStep("parked()", call)

    def lag(self) -> ReactionStep:
        """Ask how far the reactions are behind."""

        async def call(side: ReactionSide) -> Plain:
            horizon = await side.store.horizon()
            return [side.lag(each, horizon=horizon) for each in await side.store.lag(side.group)]

        return ReactionStep("lag()", call)

    def help_on(self) -> ReactionStep:
        """Let a target go on, blocked or not, or all of its reaction."""
        number, what = self._random.randrange(5), self._random.choice(("one", "all", "skip"))

        async def call(side: ReactionSide) -> Plain:
            targets = await side.targets()
            stopped = [each for each in targets if each.blocked_at] or targets
            if not stopped:
                return None
            target = stopped[number % len(stopped)]
            name = target.reaction
            if what == "skip":
                return await side.store.skip(side.group, reaction=name, key=target.key)
            key = target.key if what == "one" else None
            return await side.store.unblock(side.group, reaction=name, key=key)

        return ReactionStep(f"help_on({number}, {what})", call)

    def reset(self) -> ReactionStep:
        """Scan again for a reaction."""
        name, rank = self._random.choice(self._specs).name, self._random.randrange(6)
        return ReactionStep(
            f"reset({name}, {rank})",
            lambda side: side.store.reset(side.group, reaction=name, after=side.position(rank)),
        )

    def replay(self) -> ReactionStep:
        """Hand out one or two of the events that were put aside."""
        number, count = self._random.randrange(5), self._random.choice((1, 2))

        async def call(side: ReactionSide) -> Plain:
            await side.advance(MOMENT)
            parked = await side.parked()
            first = number % len(parked) if parked else 0
            return await side.store.replay(side.group, parked[first : first + count])

        return ReactionStep(f"replay({number}, {count})", call)


_KINDS: Final[tuple[tuple[Callable[[ReactionSteps], ReactionStep], int], ...]] = (
    (ReactionSteps.append, 5),
    (ReactionSteps.advance, 3),
    (ReactionSteps.register, 1),
    (ReactionSteps.scan, 6),
    (ReactionSteps.mark, 6),
    (ReactionSteps.leave, 1),
    (ReactionSteps.claim, 8),
    (ReactionSteps.finish, 10),
    (ReactionSteps.extend, 3),
    (ReactionSteps.ready, 2),
    (ReactionSteps.targets, 2),
    (ReactionSteps.parked, 1),
    (ReactionSteps.lag, 1),
    (ReactionSteps.help_on, 2),
    (ReactionSteps.reset, 1),
    (ReactionSteps.replay, 2),
)
