"""The runner of the area `concurrent` notices every difference from a vector."""

from collections.abc import Mapping
from typing import Any

import pytest
from conformance.areas import concurrent
from conformance.broker_scenario import BrokerScenario
from conformance.cases import Case
from conformance.comparison import Difference
from conformance.memory_trace import MemoryTrace

ONE = "com.svc.one"
REST = {"topic": ONE, "prefetch": 1, "pending": 0, "size": 0, "inFlight": 0}

GIVEN = {
    "kind": "broker",
    "handlers": [
        {
            "source": ONE,
            "failTimes": 1,
            "onError": ["RETRY"],
            "asyncOnError": True,
            "middleware": {"input": "A", "output": {"bulk": "B"}},
            "emit": [
                {"type": "evt.svc.done", "to": "com.app.main", "domain": "ext.dom", "data": {}},
                {"type": "evt.svc.done", "to": "com.app.main", "data": {}},
                {"type": "com.nobody.here", "data": {}},
            ],
        }
    ],
    "subscribeDup": True,
    "statsAfterPublish": True,
    "resolve": [{"id": "e1"}],
}
SHOWN = {
    "dup": {"kind": "Error"},
    "stats": [REST],
    "resolved": [
        {
            "ok": {
                "id": "e1>1",
                "type": "evt.svc.done",
                "source": ONE,
                "to": "com.app.main",
                "data": {"mw": ["B"]},
            }
        }
    ],
    "idle": True,
    "topics": [ONE],
    "finalStats": [REST],
    "retryDelays": [100],
    "log": [
        f"mw-in {ONE} 0 e1",
        f"exec {ONE} e1",
        f"onError {ONE} attempt=0 maxRetries=3 fail 1",
        f"mw-in {ONE} 0 e1",
        f"exec {ONE} e1",
        f"mw-out-bulk {ONE} in=e1 n=3",
    ],
    "brokerErrors": [{"message": "No handler: the wording is ours", "event": "e1>2"}],
    "domained": [{"domain": "ext.dom", "event": "e1>0"}],
    "maxConcurrent": {ONE: 1},
}
DIFFERENT = {
    "dup": None,
    "stats": [],
    "resolved": [{"ok": None}],
    "idle": {"kind": "Error"},
    "topics": [],
    "finalStats": [{**REST, "size": 1}],
    "retryDelays": [100, 150],
    "log": [f"exec {ONE} e1"],
    "brokerErrors": [{"message": "fail 1", "event": "e1>2"}],
    "domained": [],
    "maxConcurrent": {ONE: 2},
}


async def run(given: Mapping[str, Any], shown: object) -> None:
    await concurrent.run(
        Case(area="concurrent", name="x", input=given, expected={"ok": shown}, skipped=None)
    )


async def test_everything_a_broker_does_is_seen() -> None:
    await run(GIVEN, SHOWN)


def test_each_part_is_shown_differently_once() -> None:
    assert DIFFERENT.keys() == SHOWN.keys()


@pytest.mark.parametrize("part", DIFFERENT)
async def test_a_broker_that_does_something_else_fails(part: str) -> None:
    with pytest.raises(Difference, match=part):
        await run(GIVEN, {**SHOWN, part: DIFFERENT[part]})


async def test_the_defaults_of_the_original_apply() -> None:
    failing = {"source": ONE, "failTimes": 99, "sleepMs": 10}
    played = await BrokerScenario({"handlers": [failing], "publish": [{"id": "e1"}]}).run()
    assert played["retryDelays"] == [100, 150, 225]
    assert played["log"] == [f"exec {ONE} e1"] * 4
    assert played["brokerErrors"] == [{"message": "fail 4", "event": "e1"}]
    assert played["finalStats"] == [REST]


async def test_a_retry_setting_completes_the_default_of_the_original() -> None:
    handlers = [
        {"source": ONE, "failTimes": 99, "retry": {"maxRetries": 1, "backoffExponent": 9}},
        {"source": "com.svc.two", "failTimes": 99},
    ]
    given = {
        "handlers": handlers,
        "defaultHandlerConfig": {"retry": {"maxRetries": 2, "initialDelayMs": 7}, "prefetch": 2},
    }
    one = await BrokerScenario({**given, "publish": [{"id": "e1"}]}).run()
    two = await BrokerScenario({**given, "publish": [{"id": "e1", "to": "com.svc.two"}]}).run()
    assert (one["retryDelays"], two["retryDelays"]) == ([100], [7, 10.5])
    assert [topic["prefetch"] for topic in one["finalStats"]] == [2, 2]


@pytest.mark.parametrize(
    "given",
    [
        {"resolve": [{"id": "e1"}], "timeoutMs": 5, "settleMs": 20},
        {"resolve": [{"id": "e1", "to": "com.nobody.here"}]},
        {"resolve": [{"id": "e1", "source": ONE}]},
    ],
    ids=["timeout", "unroutable", "from a topic"],
)
async def test_a_resolve_without_an_outcome_is_an_error(given: Mapping[str, Any]) -> None:
    slow = {"source": ONE, "sleepMs": 10}
    played = await BrokerScenario({"handlers": [slow], **given}).run()
    assert played["resolved"] == [{"error": {"kind": "Error"}}]


async def test_a_listener_that_fails_is_seen() -> None:
    given = {**GIVEN, "domainAction": "throw"}
    played = await BrokerScenario(given).run()
    assert {"message": "dom", "event": "e1>0"} in played["brokerErrors"]


async def test_a_memory_waits_as_long_as_the_original_pauses() -> None:
    config = {"lockMaxRetries": 3, "lockInitialDelayMs": 10, "lockBackoffExponent": 2}
    lock = {"op": "lock", "id": "a"}
    for ttl, got in ((71, False), (69, True)):
        traced = await MemoryTrace({**config, "lockTTLMs": ttl}).run([lock, lock])
        assert traced == [{"op": "lock", "result": True}, {"op": "lock", "result": got}]


async def test_time_passes_between_operations_on_a_memory() -> None:
    lock = {"op": "lock", "id": "a"}
    config = {"lockMaxRetries": 0, "lockTTLMs": 20}
    for pause, got in ((19, False), (20, True)):
        traced = await MemoryTrace(config).run([lock, {"op": "sleep", "ms": pause}, lock])
        assert traced[1:] == [{"op": "sleep"}, {"op": "lock", "result": got}]


async def test_a_memory_that_does_something_else_fails() -> None:
    write = {"op": "write", "id": "a", "data": {"v": 1}, "as": "w"}
    given = {
        "kind": "memory",
        "config": None,
        "ops": [
            write,
            {"op": "mutate", "target": "w", "key": "v", "value": 99},
            {"op": "read", "id": "a"},
            {"op": "read", "id": ""},
        ],
    }
    shown: list[dict[str, Any]] = [
        {"op": "write", "result": None},
        {"op": "mutate", "result": None},
        {"op": "read", "result": {"v": 1}},
        {"op": "read", "error": {"kind": "Error"}},
    ]
    await run(given, shown)
    for position, different in ((2, {"op": "read", "result": {"v": 99}}), (3, shown[2])):
        with pytest.raises(Difference):
            await run(given, [*shown[:position], different, *shown[position + 1 :]])


@pytest.mark.parametrize("kind", ["ttlmutex", "broker-direct"])
async def test_an_unknown_kind_of_case_is_an_error(kind: str) -> None:
    with pytest.raises(ValueError, match=kind):
        await run({"kind": kind}, None)


async def test_an_unknown_operation_is_an_error() -> None:
    with pytest.raises(ValueError, match="steal"):
        await MemoryTrace(None).run([{"op": "steal", "id": "a"}])
