"""All workers were down for an hour, and everything that was missed is due at once."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from random import Random

import pytest

from arvo_concurrent import ConcurrentEventBroker
from arvo_core import ArvoEvent
from arvo_event_handler import Complete, Start, Step, Timer
from arvo_event_handler.delivery import HandlerConfig
from arvo_event_handler.memory import DueMachine
from timer_faults import Call, Ended, Store, Waiting, each, flow, init
from transport_faults import until

pytestmark = [pytest.mark.alone, pytest.mark.scaled]
MISSED = 1_000 if os.environ.get("ARVO_FULL") == "1" else 400
HOUR = timedelta(hours=1)
AT_ONCE = 100
PREFETCH = 16
STEP = 0.04  # seconds: slower than claims


async def test_each_fires_once_and_the_oldest_first(store: Store) -> None:
    """No more are claimed than there is room for: others could have them, and their claims end."""
    random = Random(17)
    fired: Counter[str] = Counter()
    claims: list[Sequence[DueMachine]] = []
    in_hand: list[int] = []
    answers: list[ArvoEvent] = []

    async def function(call: Call) -> Step[Waiting]:
        if isinstance(call, Start):
            after = call.data.milliseconds * timedelta(milliseconds=1)
            return Step(context=call.data, timers=[Timer("wait", after=after)])
        await asyncio.sleep(STEP)
        fired[call.event.subject] += 1
        return Step(output=Complete(Ended(number=call.context.number)))

    async def keep(answer: ArvoEvent) -> None:
        answers.append(answer)

    async with store.connect() as memory:
        waiting = flow(memory, function=function)
        starts = [init(after=HOUR * random.uniform(0.5, 1)) for _ in range(MISSED)]
        await each([partial(waiting.execute, start) for start in starts])
        assert await memory.claim_due(limit=1, hold=HOUR) == []
        await store.let_pass(HOUR)
        started = time.monotonic()
        claim_due = memory.claim_due

        async def watched(**options: int) -> Sequence[DueMachine]:
            claimed: Sequence[DueMachine] = await claim_due(**options)
            claims.append(claimed)
            in_hand.append(sum(map(len, claims)) - fired.total())
            return claimed

        memory.claim_due = watched
        async with ConcurrentEventBroker(
            [HandlerConfig(waiting, prefetch=PREFETCH)], on_unclaimed=keep
        ):
            await until(lambda: len(answers) >= MISSED, "all that was missed is handled")
        assert await memory.next_due() is None
    planned: list[datetime] = [due.at for claimed in claims for due in claimed]
    most = max(map(len, claims))
    print(  # noqa: T201
        f"{store.name}: {MISSED} due after an hour: {len(fired)} fired, at most {max(fired.values())} "
        f"times each, at most {most} claimed at a time and {max(in_hand)} in hand; "
        f"{time.monotonic() - started:.1f} s"
    )
    assert planned == sorted(planned)
    assert most == AT_ONCE
    assert max(in_hand) <= AT_ONCE
    assert fired == Counter(start.subject for start in starts)
    assert len(answers) == MISSED
