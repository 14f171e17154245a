"""Scenarios: one handler, its events one after another, and what each emits and stores."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypedDict

from arvo_core import ArvoContract, ArvoEvent
from arvo_event_handler import IArvoEventHandler
from arvo_event_handler.memory import Record

from .arguments import accepted, event_members
from .cases import Case
from .comparison import Comparison, Difference
from .contracts import contract
from .memories import WatchedMemory
from .outcome import REFUSED, returned
from .placeholders import Placeholders
from .refusals import same_refusal
from .values import with_references, with_subjects

Contracts = Mapping[str, ArvoContract]

_TRACE = ("traceparent", "tracestate")
_ADDED_TO_RECORDS = {"redelivery"}
_CHART = "machineDefinition"
# A workflow that failed can go on, so its record keeps what it had before.
_STATE = {"state$$", "state", "value", _CHART, "events"}
_ADDED_TO_FAILURES = {
    *("redelivery", "failure", "status", "parentSubject", "initEventId"),
    *_STATE,
}


class Progress(TypedDict):
    """The progress of a scenario, as JSON values."""

    records: dict[str, Record]
    """The stored records, by subject."""
    emitted: list[list[dict[str, Any]]]
    """The emitted events, by step."""
    bound: dict[str, str]
    """The values of the vector's placeholders."""


class Build(Protocol):
    """Makes the handler of a scenario."""

    def __call__(
        self, given: Mapping[str, Any], contracts: Contracts, memory: WatchedMemory
    ) -> IArvoEventHandler:
        """Make it from the case's input."""
        ...


class Scenario:
    """One run of one case.

    Args:
        case: A case of an area whose cases are scenarios.
        build: Makes the handler.
        memory: Where a stateful handler keeps its records.
    """

    def __init__(self, case: Case, *, build: Build, memory: WatchedMemory) -> None:
        subjects = case.input.get("subjects", {})
        self._given = with_subjects(case.input, subjects)
        self._expected = with_subjects(case.expected, subjects)
        self._build = build
        self._memory = memory
        shown = self._expected.get("ok", {}).get("subjects", {})
        self._comparison = Comparison(shown)
        self._emitted: list[list[dict[str, Any]]] = []
        self._traced = any(step["event"].get("traceparent") for step in self._given["steps"])

    async def run(self, describe: Callable[[Any], Mapping[str, Any]]) -> None:
        """Make the handler, run every step, and compare.

        Args:
            describe: Describes the handler as the vector's `unit` does.
        """
        handler = returned(self._expected, self._make)
        if handler is REFUSED:
            return
        expected = self._expected["ok"]
        self._comparison.same(expected["unit"], describe(handler), "unit")
        await self._play(handler, self.length)

    @property
    def length(self) -> int:
        """The number of steps."""
        return len(self._given["steps"])

    async def advance(self, end: int) -> Progress:
        """Make the handler, run the steps before `end` that were not run yet, and compare."""
        await self._play(self._make(), end)
        return {
            "records": self._memory.records,
            "emitted": self._emitted,
            "bound": self._comparison.bound,
        }

    def resume(self, progress: Progress) -> None:
        """Go on where another scenario stopped."""
        self._memory.restore(progress["records"])
        self._emitted += progress["emitted"]
        self._comparison.bound.update(progress["bound"])

    def shown(self, end: int) -> Progress:
        """Return the progress that the vector shows before step `end`, with ids made up."""
        expected = self._expected["ok"]
        steps = expected["steps"][:end]
        fill = Placeholders(expected.get("subjects", {}))
        emitted: list[list[dict[str, Any]]] = []
        for step in steps:
            events = step["result"].get("ok", {"events": []})["events"]
            emitted.append(fill(with_references(events, emitted)))
        records = fill(with_references(steps[-1]["memory"], emitted))
        return {"records": records, "emitted": emitted, "bound": fill.names}

    async def _play(self, handler: IArvoEventHandler, end: int) -> None:
        steps = zip(self._given["steps"], self._expected["ok"]["steps"], strict=True)
        for position, (step, expected_step) in enumerate(steps):
            if not len(self._emitted) <= position < end:
                continue
            self._memory.begin_step(step.get("faults", {}))
            event = _event(with_references(step["event"], self._emitted))
            shown = with_references(expected_step, self._emitted)
            came = await self._same_result(handler, event, shown["result"], position)
            self._emitted.append(came)
            self._same_memory(shown, position)

    def _make(self) -> IArvoEventHandler:
        contracts = {
            name: contract(description) for name, description in self._given["contracts"].items()
        }
        return self._build(self._given, contracts, self._memory)

    async def _same_result(
        self,
        handler: IArvoEventHandler,
        event: ArvoEvent,
        expected: Mapping[str, Any],
        position: int,
    ) -> list[dict[str, Any]]:
        place = f"steps[{position}]"
        try:
            events = await handler.execute(event)
        except Exception as raised:
            if "error" not in expected:
                raise
            same_refusal(expected["error"], raised)
            return []
        came = [each.to_dict() for each in events]
        if "error" in expected:
            raise Difference(f"{place}: expected {expected['error']}, got {came}")
        self._comparison.same(
            self._shown(expected["ok"]["events"]), self._shown(came), f"{place}.events"
        )
        return came

    def _same_memory(self, expected: Mapping[str, Any], position: int) -> None:
        place = f"steps[{position}]"
        if "memory" in expected:
            self._comparison.same_members(
                expected["memory"], self._memory.records, self._same_record, f"{place}.memory"
            )
        if "lockedAfter" in expected:
            self._comparison.same(expected["lockedAfter"], self._memory.locked, f"{place}.locked")
        if "memoryCalls" in expected and self._memory.calls is not None:
            self._comparison.same(expected["memoryCalls"], self._memory.calls, f"{place}.calls")

    def _same_record(self, expected: Mapping[str, Any], record: Any, place: str) -> None:
        """Compare the members that the vector shows, and refuse any others."""
        failed = expected["executionStatus"] == "failure"
        allowed = _ADDED_TO_FAILURES if failed else _ADDED_TO_RECORDS
        added = record.keys() - expected.keys() - allowed
        if added:
            raise Difference(f"{place}: expected no members {sorted(added)}")
        apart = {"error"} if self._memory.keeps_charts else {"error", _CHART}
        shown = {name: value for name, value in expected.items() if name not in apart}
        ours = {name: value for name, value in record.items() if name in shown}
        self._comparison.same(self._untraced(shown), self._untraced(ours), place)
        if "error" in expected:
            self._same_error(expected["error"], record.get("error"), f"{place}.error")

    def _same_error(self, expected: Any, error: Any, place: str) -> None:
        message = expected and expected["$error"]["message"]
        self._comparison.same(message, error and error["message"], f"{place}.message")

    def _untraced(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        events = record.get("events")
        if not events or events.get("produced") is None:
            return record
        return {**record, "events": {**events, "produced": self._shown(events["produced"])}}

    def _shown(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Leave out the trace if an incoming event had one: our events continue it."""
        if not self._traced:
            return events
        return [
            {name: value for name, value in event.items() if name not in _TRACE} for event in events
        ]


def _event(given: Mapping[str, Any]) -> ArvoEvent:
    members = event_members(given)
    return ArvoEvent.create(
        **accepted(ArvoEvent.create, members), extensions=given.get("$extensions")
    )
