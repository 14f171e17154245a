"""A service that fails as often as its input says, and then answers."""

from collections import Counter
from datetime import timedelta

from pydantic import BaseModel

from arvo_core import SimpleArvoContract, SimpleVersion
from arvo_event_handler import (
    ArvoEventHandler,
    Emit,
    HandlerInput,
    IArvoEventHandler,
    IMachineMemory,
)
from arvo_time import Backoff, RetryPolicy


class Ask(BaseModel):
    away: int


class Answer(BaseModel):
    calls: int


FLAKY_V1 = SimpleVersion("1.0.0", accepts=Ask, emits=Answer)
flaky = SimpleArvoContract(uri="#/test/flaky", type="flaky.ask", versions=[FLAKY_V1])
SOON = Backoff(initial=timedelta(milliseconds=1), maximum=timedelta(milliseconds=1))

_calls: Counter[str] = Counter()


async def flaky_v1(call: HandlerInput[Ask]) -> Emit:
    _calls[call.event.subject] += 1
    if _calls[call.event.subject] <= call.data.away:
        raise ConnectionError("away")
    return Emit("evt.flaky.ask.success", Answer(calls=_calls[call.event.subject]))


def create_handlers(memory: IMachineMemory) -> list[IArvoEventHandler]:
    _calls.clear()
    return [
        ArvoEventHandler(
            contract=flaky,
            handler={"1.0.0": flaky_v1},
            retry_on=ConnectionError,
            retry=RetryPolicy(retries=2, backoff=SOON),
        )
    ]
