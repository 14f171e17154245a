"""Steps of a sequence: events, and the scan of them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from typing import Final, TypeAlias
from uuid import UUID

from arvo_event_store._append import Append
from arvo_event_store._event import NewEvent
from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store._scan_page import UnroutedEvent
from arvo_event_store._target import PER_EVENT, TargetKind, Wake

from ._pages import marks_of
from ._reaction_side import Plain, ReactionSide

# A lease never ends, and nothing is ever due, near a time at which a step is done.
TTL: Final = timedelta(minutes=60)
"""How long a lease is."""
DUE: Final = timedelta(minutes=25)
"""How long what is postponed sleeps."""
MOMENT: Final = timedelta(seconds=1)
"""What passes before rows may come back, so that their tokens are above those they had."""
_PASSED: Final = timedelta(minutes=40)

Call: TypeAlias = Callable[[ReactionSide], Awaitable[Plain]]
"""Does a step on one of the stores."""


@dataclass(frozen=True, slots=True)
class ReactionStep:
    """A step of a sequence."""

    text: str
    """What it does, for the report of a difference."""
    call: Call
    """Does it."""


class ScanSteps:
    """Draws steps that append, register and scan.

    Args:
        seed: The number of the sequence.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(f"reactions {seed}")  # noqa: S311 - it draws tests
        self.group = f"law{seed}"
        self._prefix = f"law{seed}-"
        self._owners = [UUID(int=number) for number in (1, 2)]
        named = ReactionSpec(
            name="streams", events=("A",), stream_prefix=self._prefix, lane="l", start="now"
        )
        self._specs = [
            named,
            replace(named, name="keys", to=TargetKind.KEY, events=("A", "B")),
            replace(named, name="log", to=TargetKind.LOG, events=("B",), lane="m"),
            replace(named, name="events", to=PER_EVENT, events=None, lane="m"),
            replace(named, name="woken", addressed=True, lane="l"),
            replace(named, name="each", to=PER_EVENT, events=None, addressed=True, lane="m"),
        ]

    # --- the log ------------------------------------------------------------

    def output(self, *, is_refused: bool = False) -> Append:
        """Return what is appended, or is refused."""
        draw = self._random
        events = [NewEvent(draw.choice("AAB"), n) for n in range(draw.choice((1, 1, 2)))]
        wakes = [
            Wake(group=self.group, reaction=spec.name, lane=spec.lane, to=spec.to)
            for spec in self._specs
            if spec.addressed and draw.random() < 0.4
        ]
        stream = self._prefix + draw.choice("abc")
        return (
            Append(stream, events, wakes=wakes, expect=10**6)
            if is_refused
            else Append(stream, events, wakes=wakes)
        )

    def append(self) -> ReactionStep:
        """Append to a stream, and wake targets."""
        given = self.output()
        return ReactionStep(f"append({told(given)})", lambda side: side.append(given))

    def advance(self) -> ReactionStep:
        """Let the time pass."""
        return ReactionStep("advance()", lambda side: side.advance(_PASSED))

    # --- scanning -----------------------------------------------------------

    def register(self) -> ReactionStep:
        """Register the reactions again, at times with another lane."""
        specs, redefine = list(self._specs), self._random.random() < 0.5
        if redefine:
            specs[0] = replace(specs[0], lane="m" if specs[0].lane == "l" else "l")
            self._specs = specs
        return ReactionStep(
            f"register({specs[0].lane}, {redefine})",
            lambda side: side.store.register(side.group, specs, redefine=redefine),
        )

    def scan(self) -> ReactionStep:
        """Read a page, for some reactions or for all."""
        draw, owner = self._random, self._random.choice(self._owners)
        specs = [each for each in self._specs if draw.random() < 0.7]
        limit, leading = draw.choice((1, 3, 100, 100)), draw.random() < 0.6
        names = [each.name for each in specs]

        async def call(side: ReactionSide) -> Plain:
            page = await side.store.scan(
                side.group, owner=owner, ttl=TTL, reactions=specs, limit=limit, leading=leading
            )
            return side.page(page)

        return ReactionStep(f"scan({owner.int}, {names}, {limit}, {leading})", call)

    def mark(self) -> ReactionStep:
        """Store what one of the last pages concerns; some of its events cannot be routed."""
        number, is_lazy = self._random.choice((0, 0, 0, 1, 2)), self._random.random() < 0.3
        specs = list(self._specs)

        async def call(side: ReactionSide) -> Plain:
            if not side.pages:
                return None
            page = side.pages[-1 - number % len(side.pages)]
            # The token of a row that comes back is above those that it had only if time has passed.
            await side.advance(MOMENT)
            after = page.scanned.get("keys")
            unrouted = [
                UnroutedEvent(reaction="keys", position=event.position, error="no key")
                for event in page.events
                if after is not None and event.position > after
                if side.rank(event.position) % 4 == 0
            ]
            skipped = {event.position for event in unrouted}
            marks = marks_of(
                page,
                specs,
                keys=lambda event: () if event.position in skipped else (event.stream, "all"),
            )
            concerned = {each.reaction for each in marks} | {each.reaction for each in unrouted}
            progress = concerned if is_lazy else {*page.tokens}
            return await side.store.mark(page, marks, unrouted=unrouted, progress=progress)

        return ReactionStep(f"mark({number}, {is_lazy})", call)

    def leave(self) -> ReactionStep:
        """Give up the lease of scanning."""
        owner = self._random.choice(self._owners)
        return ReactionStep(
            f"leave({owner.int})", lambda side: side.store.leave(side.group, owner=owner)
        )


def told(append: Append | None) -> str:
    """Return what is appended, for the report of a difference."""
    if append is None:
        return "nothing"
    names = "".join(event.name for event in append.events)
    woken = ", ".join(wake.reaction for wake in append.wakes) or "nobody"
    return f"{names} to {append.stream}, expecting {append.expect}, waking {woken}"
