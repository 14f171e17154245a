"""Runs one case as a workflow, whose host keeps the timers in the record and a memory's index.

Everything is stored and read again between steps. An event of a case travels in an event of a
service, as its members are not those of an event.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel
from typing_extensions import override

from arvo_concurrent import ConcurrentMachineMemory
from arvo_core import (
    ArvoEvent,
    ArvoEventFactory,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)
from arvo_event_handler import (
    ArvoMachine,
    ArvoOrchestrator,
    ContractViolation,
    ExecutionPolicy,
    InvalidHandlerError,
    MachineExecution,
    MachineExecutionEngine,
)
from arvo_event_handler.delivery import timer_event
from arvo_time.testing import FakeClock

from .cases import Case
from .comparison import as_ours, compared
from .library import Observations, implementations, machine_config

_REFUSED: Final = frozenset(("definition error", "limit"))
_BEGIN: Final = datetime(2025, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_HOLD: Final = timedelta(seconds=30)
# What a record does not say, and what is said only of a machine that is asked.
_UNSEEN: Final = frozenset(("can", "tags", "meta", "ignored"))


class Given(BaseModel):
    """What a case gives to its machine: its input, or an event."""

    given: Any


class Nothing(BaseModel):
    """What a workflow of a case completes with."""


_SENDER_V1 = SimpleVersion("1.0.0", accepts=Nothing, emits=Given)
_SENDER = SimpleArvoContract(uri="#/vectors/sender", type="vectors.sender", versions=[_SENDER_V1])
_SENDS = ArvoEventFactory(_SENDER.version(_SENDER_V1))
_CASE_V1 = OrchestratorVersion("1.0.0", init=Given, complete=Nothing)
_CASE = ArvoOrchestratorContract(uri="#/vectors/case", name="vectors.case", versions=[_CASE_V1])
_STARTS = ArvoOrchestratorEventFactory(_CASE.version(_CASE_V1))


async def hosted_differences(case: Case, *, warm: bool) -> list[str]:
    """Run a case as a workflow and return the differences.

    Args:
        case: What to run.
        warm: Whether the handler remembers the workflow, or reads it from the memory at each step.
    """
    seen = Observations()
    try:
        run = _Run(case, seen, warm=warm)
    except InvalidHandlerError as error:
        return [] if case.ours in _REFUSED else [f"definition: {error}"]
    if case.ours in _REFUSED:
        return ["definition: expected an error, got none"]
    expected = [as_ours(step) for step in case.expected(resumed=True)]
    number = -1
    found: list[str] = []
    try:
        async for actual in run.steps():
            number += 1
            found += [
                f"step {number}, {what}: expected {wanted!r}, got {got!r}"
                for what, wanted, got in compared(_visible(expected[number]), actual)
            ]
    except ContractViolation as error:
        last = number + 2 == len(expected)
        return found if case.ours == "error in the step" and last else [*found, str(error)]
    if case.ours == "error in the step" or number + 1 != len(expected):
        found.append(f"it ended after step {number}")
    return found


def _visible(step: dict[str, Any]) -> dict[str, Any]:
    """Return the part of an expected step that can be seen from outside, with no tags."""
    visible = {key: value for key, value in step.items() if key not in _UNSEEN}
    snapshot = visible["snapshot"]
    if snapshot["status"] == "error":
        # The record keeps the state before the step that failed.
        visible["snapshot"] = {key: snapshot[key] for key in ("status", "error")}
    return {**visible, "tags": []}


class _Engine(MachineExecutionEngine):
    """Unpacks what is given to a machine, and keeps what the machine asks for."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.emitted: list[Mapping[str, Any]] = []
        self.fired: list[dict[str, Any]] = []

    @override
    def execute(
        self, machine: ArvoMachine, *, event: Mapping[str, Any], state: Mapping[str, Any] | None
    ) -> MachineExecution:
        sent = "subject" in event
        given = event["data"]["given"] if sent else event
        if not sent:
            self.fired.append({"type": event["type"], "now": _ms(self._clock.now())})
        reaction = super().execute(machine, event=given, state=state)
        self.emitted += reaction.emitted
        return replace(reaction, emitted=(), output={})


class _Run:
    """A workflow, and what carries its events and ticks."""

    def __init__(self, case: Case, seen: Observations, *, warm: bool) -> None:
        self._content = case.content
        self._seen = seen
        self._clock = FakeClock(start=_BEGIN)
        self._memory = ConcurrentMachineMemory(clock=self._clock)
        self._engine = _Engine(self._clock)
        config = case.content["config"]
        machine = ArvoMachine(
            contract=_CASE.version(_CASE_V1),
            services=[_SENDER.version(_SENDER_V1)],
            config=machine_config(config),
            **implementations(config, seen, notes_logs=True),
            xstate=case.xstate,
        )
        self._handler = ArvoOrchestrator(
            machines=[machine],
            memory=self._memory,
            engine=self._engine,
            policy=ExecutionPolicy(
                clock=self._clock, finished_expiry=None, warm_bytes=1024 * 1024 if warm else 0
            ),
        )
        self._init = _STARTS.init(
            source="com.vectors.test", data=Given(given=case.content["input"])
        )

    async def steps(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what is observed of each step."""
        await self._handler.execute(self._init)
        yield await self._observed(None)
        for event in self._content["events"]:
            self._seen.clear()
            self._engine.emitted.clear()
            self._engine.fired.clear()
            match event:
                case {"advance": ms}:
                    await self._fire_until(self._clock.now() + ms * _MS)
                    yield await self._observed(event, fired=True)
                case {"jump": ms}:
                    self._clock.advance(ms * _MS)
                    await self._fire_until(self._clock.now())
                    yield await self._observed(event, fired=True)
                case _:
                    await self._handler.execute(self._sent(event))
                    yield await self._observed(event)

    def _sent(self, event: object) -> ArvoEvent:
        return _SENDS.emits(
            type="evt.vectors.sender.success",
            source=_SENDER.type,
            subject=self._init.subject,
            to=_CASE.type,
            data=Given(given=event),
        )

    async def _fire_until(self, end: datetime) -> None:
        """Go from due time to due time, and fire each timer when it is due."""
        while (due := await self._memory.next_due()) is not None and due <= end:
            self._clock.advance(max(due - self._clock.now(), timedelta(0)))
            for each in await self._memory.claim_due(limit=100, hold=_HOLD):
                tick = timer_event(
                    each.machine_id,
                    key=each.key,
                    at=each.at,
                    due_by=each.due_by,
                    now=self._clock.now(),
                )
                await self._fire(tick)
        self._clock.advance(end - self._clock.now())

    async def _fire(self, tick: ArvoEvent) -> None:
        """Give a tick to the workflow, and those that its steps lead to."""
        ticks = [tick]
        while ticks:
            tick = ticks.pop(0)
            before = len(self._engine.fired)
            outputs = await self._handler.execute(tick)
            for fired in self._engine.fired[before:]:
                fired["at"] = _ms(datetime.fromisoformat(tick.data["at"]))
            ticks += [output for output in outputs if output.type == tick.type]

    async def _observed(self, event: object, *, fired: bool = False) -> dict[str, Any]:
        record: Any = await self._memory.read(self._init.subject)
        failed = record["executionStatus"] == "failure"
        pending = [_described(key, timer) for key, timer in record.get("timers", {}).items()]
        return {
            "event": event,
            "time": _ms(self._clock.now()),
            "snapshot": _failure(record) if failed else record["state"],
            "tags": [],
            "actions": [*self._seen.actions],
            "notes": [*self._seen.notes],
            "emitted": [dict(each) for each in self._engine.emitted],
            "timers": sorted(pending, key=lambda timer: timer["at"]),
            **({"fired": [*self._engine.fired]} if fired else {}),
        }


def _failure(record: Any) -> dict[str, Any]:
    # Beside what a machine that failed while it started has in the cases.
    return {
        "status": "error",
        "error": {"message": record["error"]["message"]},
        "historyValue": {},
        "children": {},
    }


def _described(key: str, timer: Mapping[str, Any]) -> dict[str, Any]:
    """Return a pending timer as the cases describe it."""
    event = timer.get("event")
    name = key.rpartition("#")[0]
    return {
        "type": name if event is None else event["type"],
        "at": _ms(datetime.fromisoformat(timer["at"])),
        "id": name if event is None or "id" in timer else None,
        **({"event": event} if event is not None and event.keys() > {"type"} else {}),
    }


def _ms(time: datetime) -> int:
    return (time - _BEGIN) // _MS
