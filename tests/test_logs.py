"""The length of log records is bounded, whatever the event is and whichever package logs it."""

import ast
import io
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from arvo_concurrent import ConcurrentEventBroker
from arvo_core import (
    ArvoEvent,
    ArvoOrchestratorContract,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
    ViolationError,
)
from arvo_core._deflated_json import pack
from arvo_event_handler import (
    ArvoEventHandler,
    ArvoResumable,
    Emit,
    HandlerInput,
    IArvoEventHandler,
    Reply,
    SimpleEventBroker,
    SimpleMachineMemory,
    Start,
    Step,
)
from arvo_statechart import Machine, log

ROOT = Path(__file__).parent.parent
RECORD_BYTES = 8 * 1024

BOMB = pack(b'{"x":' + b"[" * 180 + b"1e400," * 9_000 + b"1" + b"]" * 180 + b"}")
"""A subject of less than 200 characters that decompresses to thousands of numbers out of range."""


class Order(BaseModel):
    numbers: list[int]


V1 = OrchestratorVersion("1.0.0", init=Order, complete=Order)
WORKFLOW = ArvoOrchestratorContract(uri="#/order", name="order", versions=[V1])
SERVICE_V1 = SimpleVersion("1.0.0", accepts=Order, emits=Order)
SERVICE = SimpleArvoContract(uri="#/count", type="count.all", versions=[SERVICE_V1])


def event(**changes: Any) -> ArvoEvent:
    values: dict[str, Any] = {
        "source": "com.app.main",
        "type": WORKFLOW.type,
        "subject": "order",
        "data": {"parentSubject$$": None, "numbers": []},
        "dataschema": "#/order/1.0.0",
    }
    return ArvoEvent.create(**(values | changes))


EVENTS = {
    "a subject that decompresses to much": event(subject=BOMB),
    "a long id": event(id="i" * 100_000, subject=BOMB),
    "a long address": event(to="com." + "a" * 100_000),
    "much data that does not fit": event(
        type=SERVICE.type, dataschema="#/count/1.0.0", data={"numbers": ["x" * 99] * 5_000}
    ),
    "a name that is long": event(
        type=SERVICE.type, dataschema="#/count/1.0.0", data={"numbers": {"n" * 100_000: "x"}}
    ),
    "a failure that shows the event": event(
        type=SERVICE.type, dataschema="#/count/1.0.0", data={"numbers": list(range(20_000))}
    ),
}


async def never(call: Start[Order] | Reply[dict[str, Any]]) -> Step[dict[str, Any]]:
    raise AssertionError("no event here starts the workflow")


async def fail(call: HandlerInput[Order]) -> Emit:
    shown = f"no way with {call.event.data}"
    raise ViolationError(shown) from ValueError(shown)


def handlers() -> list[IArvoEventHandler]:
    return [
        ArvoResumable(
            contract=WORKFLOW, services=[], memory=SimpleMachineMemory(), handler={"1.0.0": never}
        ),
        ArvoEventHandler(contract=SERVICE, handler={"1.0.0": fail}),
    ]


async def publish_simply(event: ArvoEvent) -> None:
    await SimpleEventBroker(handlers()).publish(event)


async def publish_concurrently(event: ArvoEvent) -> None:
    async with ConcurrentEventBroker(handlers()) as broker:
        await broker.publish(event)
        await broker.drain()


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """All log records, as the standard formatter writes them."""
    written, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(written)
    handler.terminator = "\0\n"
    root.addHandler(handler)
    before = root.level
    root.setLevel("DEBUG")
    yield written
    root.removeHandler(handler)
    root.setLevel(before)


@pytest.mark.parametrize("publish", [publish_simply, publish_concurrently])
@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
async def test_no_event_is_logged_at_length(
    event: ArvoEvent, publish: Callable[[ArvoEvent], Awaitable[None]], lines: io.StringIO
) -> None:
    await publish(event)
    records = lines.getvalue().removesuffix("\0\n").split("\0\n")
    assert records != [""]
    assert max(len(record.encode()) for record in records) <= RECORD_BYTES


def test_every_logger_of_a_package_is_bounded() -> None:
    """The command shows records of others, and arvo_statechart, which has no Arvo, cuts its own."""
    unbounded = {
        path.name
        for path in ROOT.glob("packages/*/src/**/*.py")
        if any(
            isinstance(node, ast.Attribute) and node.attr == "getLogger"
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
        )
    }
    assert unbounded == {"_bounded_logger.py", "_log.py", "_effects.py"}


def test_a_log_action_is_cut(lines: io.StringIO) -> None:
    machine = Machine({"entry": log("é" * 100_000)})
    machine.start()
    assert lines.getvalue() == "é" * 2_000 + "\0\n"
