"""Copies on purpose, on an engine that drops repetitions: without a name swallowed, with it handled."""

import logging

import pytest

from arvo_core import (
    ArvoEvent,
    ArvoOrchestrationSubject,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    OrchestratorVersion,
)
from arvo_event_handler import (
    ArvoEventHandler,
    ArvoResumable,
    Complete,
    ContractViolation,
    Emit,
    HandlerInput,
    Reply,
    SimpleMachineMemory,
    Start,
    Step,
    WorkflowControl,
)
from arvo_time.testing import MetricRecorder
from arvo_transport import Received
from arvo_transport._distributed import _settling
from arvo_transport._distributed._copies import asking_anew

from .bench import APP, ONE, Bench, StubHandler, answer, event, failing
from .nested_flow import Number, contracts

V1 = OrchestratorVersion("1.0.0", init=Number, complete=Number)
ORDER = ArvoOrchestratorContract(uri="#/test/order", name="test.order", versions=[V1])
PAY, SHIP = contracts[:2]
SUBJECT = ArvoOrchestrationSubject.new(
    orchestrator=ORDER.type, version="1.0.0", initiator=APP, execution_id="order-1"
)
CONTROL = WorkflowControl(SUBJECT, source=APP)


class Shop:
    """An order that is paid and shipped at the same time, and what goes wrong on the way."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.memory = SimpleMachineMemory()
        self.asked: list[str] = []
        """The services that were asked, by the ids of the requests."""
        self.unanswered = 0
        """How many requests for payment get no answer."""
        self.failures = 0
        """How often the workflow fails when it gets an answer."""
        self.app = StubHandler(source=APP)

    def handlers(self) -> list[ArvoEventHandler | ArvoResumable | StubHandler]:
        async def pay(call: HandlerInput[Number]) -> Emit | None:
            self.asked.append(f"pay {call.event.id}")
            if self.unanswered:
                self.unanswered -= 1
                return None
            return Emit("evt.sim.s0.success", call.data)

        async def ship(call: HandlerInput[Number]) -> Emit:
            self.asked.append(f"ship {call.event.id}")
            return Emit("evt.sim.s1.success", call.data)

        async def order(call: Start[Number] | Reply[dict[str, int]]) -> Step[dict[str, int]]:
            if isinstance(call, Start):
                asked = [Emit(PAY.type, call.data), Emit(SHIP.type, call.data)]
                return Step(context={}, services=asked)
            if self.failures:
                self.failures -= 1
                raise ValueError("no")
            if len(call.collected) < 2:
                return Step()
            return Step(output=Complete(Number(value=7)))

        return [
            self.app,
            ArvoEventHandler(contract=PAY, handler={"1.0.0": pay}),
            ArvoEventHandler(contract=SHIP, handler={"1.0.0": ship}),
            ArvoResumable(
                contract=ORDER,
                services=[PAY.version("1.0.0"), SHIP.version("1.0.0")],
                memory=self.memory,
                handler={"1.0.0": order},
            ),
        ]

    @property
    def paid(self) -> int:
        return sum(each.startswith("pay") for each in self.asked)

    @property
    def shipped(self) -> int:
        return sum(each.startswith("ship") for each in self.asked)


def init() -> ArvoEvent:
    return ArvoOrchestratorEventFactory(ORDER.version(V1)).init(
        source=APP, data=Number(value=1), subject=SUBJECT, id="init"
    )


@pytest.fixture
def shop(bench: Bench) -> Shop:
    return Shop(bench)


@pytest.fixture(params=[True, False], ids=["named", "nameless"])
def named(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether what is asked anew has a name of its own."""
    if not request.param:
        monkeypatch.setattr(_settling, "asking_anew", lambda received: received)
    return bool(request.param)


async def test_a_redriven_event_is_handled_again(bench: Bench) -> None:
    await bench.declare_app()
    handler = failing(1, ContractViolation("no"))
    async with bench.worker(handler):
        await bench.send(event("e1"))
        [letter] = await bench.dead()
        await bench.send(event("e1"))
        assert handler.tried == ["e1"]
        assert await bench.app.redrive([letter.key]) == 1
        await bench.clock.settle()
    assert handler.tried == ["e1", "e1"]
    assert await bench.answer_to("e1") is not None


async def test_what_came_of_the_first_delivery_comes_of_the_redriven_one_too(bench: Bench) -> None:
    """Its outputs have the ids that they had, and are as new as it is."""
    app = StubHandler(source=APP)
    async with bench.worker(StubHandler(answer), app):
        await bench.send(event("e1"))
        await bench.send(event("e1"), again="redrive:some-letter")
    assert app.tried == ["e1>0", "e1>0"]


async def test_an_init_that_is_sent_again_is_answered_again(shop: Shop) -> None:
    async with shop.bench.worker(*shop.handlers()):
        await shop.bench.send(init())
        assert len(shop.app.tried) == 1
        await shop.bench.send(init())
        assert len(shop.app.tried) == 1
        await shop.bench.send(init(), again="client:2")
    assert shop.app.tried[1:] == shop.app.tried[:1]
    assert (shop.paid, shop.shipped) == (1, 1)


async def test_a_workflow_that_is_woken_asks_anew(shop: Shop, *, named: bool) -> None:
    shop.unanswered = 1
    async with shop.bench.worker(*shop.handlers()):
        await shop.bench.send(init())
        assert (shop.paid, shop.app.tried) == (1, [])
        await shop.bench.send(CONTROL.wake(id="wake-1"))
    assert shop.paid == (2 if named else 1)
    assert len({*shop.asked}) == 2, "the same request, under the same id"
    assert len(shop.app.tried) == (1 if named else 0)


async def test_each_wake_asks_once_however_often_it_comes(shop: Shop) -> None:
    shop.unanswered = 9
    async with shop.bench.worker(*shop.handlers()):
        await shop.bench.send(init())
        await shop.bench.send(CONTROL.wake(id="wake-1"))
        await shop.bench.send(CONTROL.wake(id="wake-1"))
        assert shop.paid == 2
        await shop.bench.send(CONTROL.wake(id="wake-2"))
    assert shop.paid == 3


async def test_a_workflow_that_is_retried_asks_anew(shop: Shop, *, named: bool) -> None:
    """The answers that it ignored while it had failed have ids that were there before, too."""
    shop.failures = 1
    async with shop.bench.worker(*shop.handlers()):
        await shop.bench.send(init())
        assert (shop.paid, shop.shipped, len(shop.app.tried)) == (1, 1, 1)
        await shop.bench.send(CONTROL.retry(attempt=1, id="retry-1"))
    assert shop.paid + shop.shipped == (3 if named else 2)
    assert len(shop.app.tried) == (2 if named else 1)


@pytest.mark.parametrize(
    ("kind", "again", "name"),
    [
        ("arvo.workflow.wake", "", "by:e1"),
        ("arvo.workflow.retry", "", "by:e1"),
        ("arvo.workflow.retry", "redrive:7", "redrive:7"),
        ("arvo.workflow.cancel", "", ""),
        (ONE, "client:2", "client:2"),
    ],
)
def test_the_name_of_what_comes_of_an_event(kind: str, again: str, name: str) -> None:
    received = Received(event("e1", type=kind), deliveries=1, again=again, token=object())
    settled = asking_anew(received)
    assert (settled.again, settled.token) == (name, received.token)


async def test_answers_to_workflows_of_another_memory_are_counted_and_warned_of(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """As of a worker with a wrong memory, which would look like one that works."""
    *_, elsewhere = Shop(shop.bench).handlers()
    app, pay, ship, workflow = shop.handlers()
    with MetricRecorder() as metrics, caplog.at_level(logging.WARNING):
        async with shop.bench.worker(workflow):
            await shop.bench.send(init())
        async with shop.bench.worker(app, pay, ship, elsewhere):
            await shop.bench.clock.settle()
        [ignored] = [each for each in metrics.metrics if each.name == "arvo.events.ignored"]
    assert (ignored.value, ignored.attributes) == (2, {"arvo.source": ORDER.type})
    [warned] = [each.getMessage() for each in caplog.records if "ignores" in each.getMessage()]
    assert warned.startswith("arvo.orc.test.order ignores event ")
    assert "the memory has no workflow of its subject (1 ignored so far)" in warned
    assert shop.bench.letters == []
