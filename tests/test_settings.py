"""Every field of every settings class is checked where it is made, whichever package it is of."""

import dataclasses
import importlib
import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from arvo_concurrent import ConcurrentEventBroker, ConcurrentMachineMemory
from arvo_core import ArvoEvent, EventLimits, SimpleArvoContract, SimpleVersion
from arvo_event_handler import (
    ArvoEventHandler,
    EmissionDomains,
    Emit,
    ExecutionPolicy,
    HandlerInput,
    RetryableFailure,
    RetryLater,
    SimpleEventBroker,
    SystemErrorPolicy,
)
from arvo_event_handler._handler import own_retry_policy
from arvo_event_handler.delivery import (
    Bulk,
    HandlerConfig,
    HandlerDefaults,
    Middleware,
    OwnerFunctions,
    Rate,
)
from arvo_event_handler.memory import LockPolicy, WorkflowQuery
from arvo_event_handler.testing import Repeat
from arvo_event_store import Lane, RetentionPolicy, SnapshotPolicy, Upcast
from arvo_time import Backoff, RetryPolicy

SECOND = timedelta(seconds=1)
YEAR = timedelta(days=365)


class Ping(BaseModel):
    text: str


PING_V1 = SimpleVersion("1.0.0", accepts=Ping, emits=Ping)
PING = SimpleArvoContract(uri="#/ping", type="net.ping", versions=[PING_V1])


async def ping_v1(call: HandlerInput[Ping]) -> Emit:
    return Emit("evt.net.ping.success", call.data)


def handler(**settings: Any) -> ArvoEventHandler:
    return ArvoEventHandler(contract=PING, handler={"1.0.0": ping_v1}, **settings)


class Lacking:
    """Has something of everything, and nothing whole."""

    source = "com.net.ping"

    def now(self) -> None: ...


class Odd:
    """A handler that says of itself what a test wants."""

    def __init__(self, **said: Any) -> None:
        self.source = "com.odd"
        self.stateful = False
        self.contract = None
        vars(self).update(said)

    def execute(self, event: ArvoEvent, *, parent: object = None) -> None: ...


async def listener(*arguments: object) -> None: ...


def not_async(*arguments: object) -> None: ...


NOT_A_COUNT: list[object] = [True, 1.0, "3", math.nan]
NOT_A_DURATION: list[object] = [5, 0.5, "5s", -SECOND, True]
NOT_A_FLAG: list[object] = [1, "yes", 0]
NOT_A_CLOCK: list[object] = [Lacking(), 7, "now"]
NOT_ASYNC: list[object] = [7, "on_error", not_async, Lacking]
NOT_A_POLICY: list[object] = [3, "often", RetryPolicy, {"retries": 3}, Lacking()]

# What makes one, and what each of its fields must refuse; None stands in where it means something.
SETTINGS: dict[type, tuple[dict[str, Any], dict[str, list[object]]]] = {
    Backoff: (
        {"initial": SECOND, "maximum": 2 * SECOND},
        {
            "initial": [*NOT_A_DURATION, None],
            "maximum": [*NOT_A_DURATION, None, SECOND / 2],
            "factor": [True, "2", 0.5, math.nan, math.inf, 10**400, None],
            "jitter": [*NOT_A_FLAG, None],
        },
    ),
    RetryPolicy: (
        {},
        {
            "retries": [*NOT_A_COUNT, -1, None],
            "backoff": [0.5, SECOND, Backoff, None],
        },
    ),
    LockPolicy: (
        {},
        {
            "ttl": [*NOT_A_DURATION, timedelta(0), 11 * YEAR, None],
            **{
                name: [*NOT_A_DURATION, 11 * YEAR, timedelta.max, None]
                for name in ("max_wait", "initial_delay", "max_delay", "max_hold")
            },
        },
    ),
    ExecutionPolicy: (
        {},
        {
            "redelivery_window": [*NOT_A_COUNT, 0, None],
            "warm_bytes": [*NOT_A_COUNT, None],
            **{
                name: [*NOT_A_DURATION, timedelta(0), 11 * YEAR, timedelta.max]
                for name in ("finished_expiry", "failed_expiry")
            },
            "clock": [*NOT_A_CLOCK, None],
        },
    ),
    EventLimits: (
        {},
        {
            "max_bytes": [*NOT_A_COUNT, 0, None],
            "max_depth": [*NOT_A_COUNT, 0, 256, None],
        },
    ),
    SystemErrorPolicy: ({}, {"stack": [*NOT_A_FLAG, None]}),
    SnapshotPolicy: (
        {"dump": int, "load": int},
        {
            "dump": [7, None],
            "load": [7, None],
            "every": [*NOT_A_COUNT, 0, None],
            "schema": [*NOT_A_COUNT, 0, 2**31, None],
        },
    ),
    Upcast: (
        {"event": "Added", "since": 1, "function": dict},
        {
            "event": [7, None],
            "since": [*NOT_A_COUNT, 0, None],
            "function": [7, None],
        },
    ),
    RetentionPolicy: (
        {"stream_prefix": "log-", "max_count": 1, "snapshot_kind": None},
        {
            "stream_prefix": [7, None],
            "max_age": [*NOT_A_DURATION, timedelta(0)],
            "max_count": [*NOT_A_COUNT, -1],
            "archive": ["folder", 7],
            "snapshot_kind": [7],
        },
    ),
    Lane: (
        {},
        {
            "concurrency": [*NOT_A_COUNT, 0, None],
            "max_events": [*NOT_A_COUNT, 0, None],
            "max_bytes": [*NOT_A_COUNT, 0, None],
            "ttl": [*NOT_A_DURATION, SECOND / 20, YEAR, None],
        },
    ),
    EmissionDomains: (
        {},
        {
            name: ["human", ["human"], (7,), (), None]
            for name in ("outputs", "services", "complete", "system_error")
        },
    ),
    Rate: (
        {"tries": 1, "per": SECOND},
        {"tries": [*NOT_A_COUNT, 0], "per": [*NOT_A_DURATION, timedelta(0)]},
    ),
    HandlerDefaults: (
        {},
        {
            "prefetch": [*NOT_A_COUNT, 0, None],
            "timeout": [*NOT_A_DURATION, timedelta(0)],
            "retry": [*NOT_A_POLICY, None],
            "middleware": [7, listener, Middleware, None],
            "on_error": [7, "RETRY"],
            "order": [7, "keys", "SUBJECT", True],
            "rate": [7, 100, Rate, SECOND],
            "dead_letter_reply": [*NOT_A_FLAG, None],
        },
    ),
    HandlerConfig: (
        {"handler": handler()},
        {
            "handler": [7, "com.net.ping", Lacking(), ArvoEventHandler, None],
            "prefetch": [*NOT_A_COUNT, 0],
            "timeout": [*NOT_A_DURATION, timedelta(0)],
            "retry": NOT_A_POLICY,
            "middleware": [7, listener, Middleware],
            "on_error": [7, "RETRY"],
            "order": [7, "keys", "SUBJECT", True],
            "rate": [7, 100, Rate, SECOND],
            "dead_letter_reply": NOT_A_FLAG,
        },
    ),
    OwnerFunctions: (
        {"on_dead_letter": listener},
        {
            name: [7, print, Lacking]
            for name in ("on_broker_error", "on_domained_event", "on_dead_letter", "on_unclaimed")
        },
    ),
    WorkflowQuery: (
        {},
        {
            "status": ["active", {"running"}, [], None],
            **{name: [7, ""] for name in ("source", "root", "key", "waits_for", "error")},
            **{
                name: ["today", datetime(2030, 5, 6)]  # noqa: DTZ001 - what is refused
                for name in ("started_after", "started_before", "no_step_since")
            },
        },
    ),
    Bulk: ({"function": listener}, {"function": [7, [], None]}),
    Middleware: (
        {},
        {"input": [7, [7], "", Bulk(listener)], "output": [7, [7], "", [Bulk(listener)]]},
    ),
    Repeat: (
        {"times": 3},
        {
            "times": [*NOT_A_COUNT, 0, None],
            "min_success": [True, "all", 0, 1.5, math.nan, math.inf, None],
        },
    ),
}

# Frozen dataclasses that are not settings: values, outputs, calls and reports. What user code emits
# is checked by the rules of contracts, what a test expects by the suites.
NOT_SETTINGS = {
    *("CloudEventView", "DataSchema", "EventId", "FieldProblem", "ManagedEventId"),
    *("OrchestratorEventTypes", "Complete", "DomainContext", "Due", "Emit", "HandlerDomain"),
    *(
        "HandlerInput",
        "MachineExecution",
        "MachineLease",
        "RecordWrite",
        "Reply",
        "Start",
        "Step",
        "Timer",
    ),
    *(
        "BrokerStats",
        "DeadLetter",
        "DelayedOutput",
        "FailedTry",
        "Judgement",
        "LetterError",
        "TopicStats",
    ),
    *("CaseReport", "ExpectedError", "ExpectedEvent", "HandlerCase", "HandlerStep"),
    *("HandlerSuite", "RecordedMetric", "RecordedSpan", "RecordedSpanEvent", "RunReport"),
    *("StepFailure", "SuiteReport", "StoredLetter", "TimeStep"),
    *("MemoryUrl", "MigrationReport", "WorkflowSummary"),
    *("CountRequest", "PageRequest", "StoredWorkflow", "WorkflowCount", "WorkflowPage"),
    *("DueMachine", "NextTimer", "StoredDetails", "StoredFailure", "StoredJournal", "StoredStep"),
    "StoredTimer",
    *("Append", "Appended", "Event", "NewEvent", "Query", "Snapshot", "StreamHead"),
    *("Acted", "ArchivedStream", "EventType", "Loaded", "StreamCut", "Truncation"),
    *("DamagedEvent", "StreamProblem", "StreamsVerified"),
    *("ReadRange", "TargetState", "Wake", "ScanRange", "Ready", "UnroutedEvent", "ReactionSpec"),
    *("Blocked", "Done", "Finished", "Parked", "Postponed", "Progress", "Retried", "Statement"),
    *("BatchItem", "ParkedEvent", "ReactionFailure", "ReactionLag", "WorkerHealth"),
}


def frozen_dataclasses() -> Iterator[type]:
    for module in (
        *("arvo_time", "arvo_core", "arvo_event_handler", "arvo_event_handler.delivery"),
        *("arvo_event_handler.memory", "arvo_event_store", "arvo_event_store.stores"),
        *("arvo_event_handler.testing", "arvo_time.testing", "arvo_concurrent"),
        *("arvo_memory_sqlite", "arvo_memory_redis", "arvo_memory_postgres"),
    ):
        for name, value in vars(importlib.import_module(module)).items():
            if (
                not name.startswith("_")
                and isinstance(value, type)
                and dataclasses.is_dataclass(value)
                and value.__dataclass_params__.frozen  # type: ignore[attr-defined] # not typed
            ):
                yield value


def fields_of(kind: type) -> set[str]:
    return {item.name for item in dataclasses.fields(kind)}


def wrong_values() -> Iterator[Any]:
    for kind, (_, refused) in SETTINGS.items():
        for name, values in refused.items():
            for number, value in enumerate(values):
                yield pytest.param(kind, name, value, id=f"{kind.__name__}-{name}-{number}")


def test_every_settings_class_is_walked_here_field_by_field() -> None:
    found = set(frozen_dataclasses())
    assert {kind.__name__ for kind in found - set(SETTINGS)} <= NOT_SETTINGS
    assert set(SETTINGS) <= found
    for kind, (_, refused) in SETTINGS.items():
        assert set(refused) == fields_of(kind)


@pytest.mark.parametrize("kind", SETTINGS)
def test_what_is_right_is_taken(kind: type) -> None:
    given, _ = SETTINGS[kind]
    assert fields_of(kind) >= set(given)
    kind(**given)


@pytest.mark.parametrize(("kind", "name", "value"), list(wrong_values()))
def test_a_wrong_value_is_refused_where_it_is_given_and_named(
    kind: type, name: str, value: object
) -> None:
    given, _ = SETTINGS[kind]
    with pytest.raises((TypeError, ValueError), match=name):
        kind(**{**given, name: value})


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (Backoff, {"initial": timedelta.max, "maximum": timedelta.max, "factor": 1e300}),
        (RetryPolicy, {"retries": 10**30}),
        (HandlerDefaults, {"timeout": timedelta.max, "prefetch": 10**30}),
        (ExecutionPolicy, {"finished_expiry": 10 * YEAR}),
        (LockPolicy, {"ttl": 10 * YEAR, "max_hold": 10 * YEAR}),
    ],
)
def test_huge_is_allowed_where_it_means_no_bound(kind: type, given: dict[str, Any]) -> None:
    kind(**given)


def test_the_longest_delays_do_not_overflow() -> None:
    longest = Backoff(initial=timedelta.max, maximum=timedelta.max, factor=1e300, jitter=False)
    assert longest.delay(10**6) == timedelta.max
    policy = RetryPolicy(retries=10**30, backoff=longest)
    assert policy.pause_after(10**6) == timedelta.max


def test_a_retry_setting_of_a_handler_is_named_with_the_handler() -> None:
    wrong: Any = 3
    with pytest.raises(TypeError, match=r"handler 'com\.net\.ping': retry must be a RetryPolicy"):
        HandlerConfig(handler(), retry=wrong)


BROKERS: dict[str, list[object]] = {
    "on_broker_error": NOT_ASYNC,
    "on_domained_event": NOT_ASYNC,
    "on_dead_letter": NOT_ASYNC,
    "on_unclaimed": NOT_ASYNC,
    "max_queued": [*NOT_A_COUNT, 0],
    "contention_timeout": [*NOT_A_DURATION, None],
    "clock": [*NOT_A_CLOCK, None],
    "random": [7, "dice", math.pi, None],
    "defaults": [7, HandlerDefaults, RetryPolicy()],
}
SIMPLE = {
    name if name != "on_broker_error" else "on_error": values
    for name, values in BROKERS.items()
    if name not in {"on_dead_letter", "on_unclaimed", "max_queued", "defaults"}
}
CONSTRUCTORS: dict[str, tuple[Any, dict[str, list[object]]]] = {
    "broker": (lambda **given: ConcurrentEventBroker([], **given), BROKERS),
    "simple-broker": (lambda **given: SimpleEventBroker([], **given), SIMPLE),
    "memory": (ConcurrentMachineMemory, {"policy": [7, LockPolicy], "clock": NOT_A_CLOCK}),
    "handler": (
        handler,
        {
            "retry": NOT_A_POLICY,
            "domains": [7, ("human",), EmissionDomains],
            "executionunits": [True, "much", math.nan, math.inf, None],
            "retry_on": [
                *(7, "ConnectionError", KeyError("x"), [KeyError], None),
                *((KeyError, "x"), ((KeyError,), OSError), BaseException, KeyboardInterrupt),
                *(RetryableFailure, (KeyError, RetryableFailure)),
            ],
        },
    ),
    "later": (RetryLater, {"after": [*NOT_A_DURATION, None]}),
    "failure": (
        lambda **given: RetryableFailure("x", **{"replies": [], **given}),
        {"replies": [["no event"]], "after": NOT_A_DURATION},
    ),
}


def wrong_arguments() -> Iterator[Any]:
    for label, (make, refused) in CONSTRUCTORS.items():
        for name, values in refused.items():
            for number, value in enumerate(values):
                yield pytest.param(make, name, value, id=f"{label}-{name}-{number}")


@pytest.mark.parametrize(("make", "name", "value"), list(wrong_arguments()))
def test_a_wrong_argument_is_refused_by_the_constructor_and_named(
    make: Any, name: str, value: object
) -> None:
    with pytest.raises((TypeError, ValueError), match=name):
        make(**{name: value})


@pytest.mark.parametrize("make", [ConcurrentEventBroker, SimpleEventBroker])
@pytest.mark.parametrize(
    "wrong",
    [
        *(7, Lacking(), ArvoEventHandler, None),
        *(Odd(source=7), Odd(stateful="yes"), Odd(execute=None), Odd(contract="#/ping")),
    ],
)
def test_a_broker_takes_nothing_but_handlers(make: Any, wrong: object) -> None:
    with pytest.raises(TypeError, match="handler must be a handler"):
        make([wrong])


@pytest.mark.parametrize("make", [ConcurrentEventBroker, SimpleEventBroker])
def test_a_handler_that_says_no_contract_is_told_that_none_will_do(make: Any) -> None:
    silent = Odd()
    del silent.contract
    with pytest.raises(TypeError, match="it lacks contract, which may be None"):
        make([silent])


def test_a_handler_whose_own_retry_is_no_policy_is_refused() -> None:
    odd: Any = Odd(retry=3)
    for make in (ConcurrentEventBroker, SimpleEventBroker):
        with pytest.raises(TypeError, match=r"com\.odd: retry must be a RetryPolicy, got 3"):
            make([odd])


def test_a_handler_may_leave_its_retry_open() -> None:
    odd: Any = Odd(retry=None)
    assert own_retry_policy(odd) is None
