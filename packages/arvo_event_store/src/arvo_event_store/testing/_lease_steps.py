"""Steps of a sequence: leases, and how they end."""

from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from arvo_event_store._lease import (
    Blocked,
    Done,
    Finish,
    Lease,
    Parked,
    Postponed,
    Progress,
    Retried,
    Then,
)

from ._reaction_side import Plain, ReactionSide
from ._scan_steps import DUE, TTL, ReactionStep, ScanSteps, told

_WAYS: Final = ("done", "done", "progress", "again", "later", "postponed", "blocked", "parked")


class LeaseSteps(ScanSteps):
    """Draws steps that claim targets and end leases."""

    def claim(self) -> ReactionStep:
        """Take all leases of some reactions in a lane."""
        draw, lane = self._random, self._random.choice("lm")
        specs = [each for each in self._specs if draw.random() < 0.8]
        max_events, max_bytes = draw.choice((1, 2, 100)), draw.choice((1, 2, 10**6))
        names = [each.name for each in specs]

        async def call(side: ReactionSide) -> Plain:
            leases = await side.store.claim(
                side.group,
                owner=UUID(int=7),
                ttl=TTL,
                reactions=specs,
                lane=lane,
                lagging=1000,
                leading=1000,
                max_events=max_events,
                max_bytes=max_bytes,
            )
            return side.hold(leases)

        return ReactionStep(f"claim({lane}, {names}, {max_events}, {max_bytes})", call)

    def finish(self) -> ReactionStep:
        """End leases, among them some that are lost, one of them with an output."""
        draw = self._random
        numbers = draw.sample(range(8), draw.choice((1, 1, 2, 4)))
        ways = [draw.choice(_WAYS) for _ in numbers]
        parts = [draw.random() < 0.3 for _ in numbers]
        output = self.output(is_refused=draw.random() < 0.3) if draw.random() < 0.4 else None
        count = 0 if output is None else len(output.events)

        async def call(side: ReactionSide) -> Plain:
            finishes: list[Finish] = []
            for number, way, is_part in zip(numbers, ways, parts, strict=True):
                lease = side.held(number)
                if lease is not None and all(each.lease is not lease for each in finishes):
                    finishes.append(_finish(lease, way, is_part=is_part))
            if finishes and output is not None:
                finishes[0] = replace(finishes[0], appends=[output])
            found = await side.store.finish(finishes)
            errors = [type(each.error).__name__ for each in found]
            if finishes and output is not None and found[0].error is None:
                head = (await side.store.heads([output.stream]))[output.stream]
                await side.number(output.stream, count=count, version=head.version)
            return errors

        return ReactionStep(f"finish({numbers}, {ways}, {parts}, {told(output)})", call)

    def extend(self) -> ReactionStep:
        """Prolong leases, or give them back."""
        numbers = self._random.sample(range(8), self._random.choice((1, 3)))
        is_release = self._random.random() < 0.5

        async def call(side: ReactionSide) -> Plain:
            held = [side.held(number) for number in numbers]
            leases = list({id(each): each for each in held if each is not None}.values())
            if is_release:
                return await side.store.release(leases)
            kept = await side.store.extend(leases, ttl=TTL)
            return sorted((each.reaction, side.key(each.key)) for each in kept)

        return ReactionStep(f"{'release' if is_release else 'extend'}({numbers})", call)

    def ready(self) -> ReactionStep:
        """Ask which lanes have work."""
        lanes = self._random.choice((["l"], ["m"], ["l", "m", "n"]))

        async def call(side: ReactionSide) -> Plain:
            return side.ready(await side.store.ready(side.group, lanes=lanes))

        return ReactionStep(f"ready({lanes})", call)


def _finish(lease: Lease, way: str, *, is_part: bool) -> Finish:
    """Return a finish of all events of a lease, or of the first one only."""
    events = lease.events
    done = events[0].position if is_part and len(events) > 1 else lease.at
    failing = next((each.position for each in events if each.position > done), lease.mark)
    ways: dict[str, Then] = {
        "done": Done(),
        "progress": Progress(ttl=TTL),
        "again": Retried(error="é", position=failing, failed=lease.failed + 1, after=timedelta(0)),
        "later": Retried(error="é", position=failing, failed=lease.failed + 1, after=DUE),
        "postponed": Postponed(failed=lease.failed, after=DUE),
        "blocked": Blocked(error="é", position=failing, failed=lease.failed + 1),
        "parked": Parked(error="é", position=failing, failed=lease.failed + 1),
    }
    # A lease that goes on has something left to do.
    is_whole = way == "done" and not is_part
    return Finish(lease=lease, at=lease.upto if is_whole else done, then=ways[way])
