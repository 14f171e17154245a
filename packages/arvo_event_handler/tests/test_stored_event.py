"""Stored events are read back, even those that would no longer be accepted as new."""

from typing import Any

import pytest

from arvo_core import ArvoEvent, EventLimits, InvalidEventError
from arvo_event_handler import ArvoResumableFunction, SimpleMachineMemory, Step
from arvo_event_handler._stored_event import stored_event

from .shop import ORDERED, RESERVE, AnyCall, order, order_v1, reserved, start, stored


def kept(depth: int) -> dict[str, Any]:
    """An event as a record keeps it, with data of that depth."""
    value: Any = 1
    for _ in range(depth - 1):
        value = [value]
    return ArvoEvent.create(
        source="com.app.main", type="com.stock.reserve", subject="s", data={"in": value},
        limits=EventLimits(max_depth=depth),
    ).to_dict()  # fmt: skip


@pytest.mark.parametrize("depth", [1, 128, 129, 248])
def test_an_event_of_any_depth_that_was_ever_written_is_read(depth: int) -> None:
    assert stored_event(kept(depth)).data == kept(depth)["data"]


NO_LONGER_NEW = [
    pytest.param({"accesscontrol": "role: x\nrole: y"}, id="accesscontrol"),
    pytest.param({"note": "l1\nl2"}, id="extension"),
    pytest.param({"note": "\r\x00", "other": "\n"}, id="extensions"),
    pytest.param({"accesscontrol": "x" * 200_000}, id="long-text"),
    pytest.param({"note": "\u20ac\n" * 200_000}, id="long-extension"),
    pytest.param({"redirectto": "a" * 200_000}, id="long-uri"),
    pytest.param({"traceparent": "a\r\nb", "tracestate": "a\nb", "parentid": "\x00"}, id="ids"),
    pytest.param({"datacontenttype": "application/json;\r\n charset=utf-8"}, id="content-type"),
]


@pytest.mark.parametrize("texts", NO_LONGER_NEW)
@pytest.mark.parametrize("depth", [1, 200])
def test_an_event_with_strings_that_were_once_accepted_is_read_as_it_is(
    texts: dict[str, Any], depth: int
) -> None:
    values = kept(depth) | texts
    with pytest.raises(InvalidEventError):
        ArvoEvent.from_dict(values)
    event = stored_event(values)
    assert event.to_dict() == values
    assert event.extensions == {name: texts[name] for name in texts if name in {"note", "other"}}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"type": "x"}, "type: must be three or more segments"),
        ({"type": "com.a.b\n"}, "type: must be three or more segments"),
        ({"source": "a\nb"}, "source: must be a non-empty, percent-encoded URI"),
        ({"id": ""}, "id: must be a non-empty string"),
        ({"accesscontrol": "\ud800"}, "accesscontrol: "),
        ({"Note": "a\nb"}, "Note: an extension's name"),
        ({"note": ["a\nb"]}, "note: must be a string"),
    ],
)
@pytest.mark.parametrize("depth", [1, 200])
def test_a_value_that_is_not_an_event_is_refused(
    damage: dict[str, Any], message: str, depth: int
) -> None:
    with pytest.raises(InvalidEventError, match=message):
        stored_event(kept(depth) | damage)


@pytest.mark.parametrize(
    "texts",
    [{"accesscontrol": "role: x\nrole: y"}, {"note": "l1\nl2"}, {"accesscontrol": "x" * 200_000}],
    ids=["accesscontrol", "extension", "long"],
)
async def test_a_workflow_goes_on_from_a_record_with_such_events(texts: dict[str, Any]) -> None:
    """One in flight at an upgrade, or one of a TypeScript worker."""
    workflow = order()
    event = start("tea", "cup")
    first, second = await workflow.execute(event)
    assert await workflow.execute(reserved(first, price=1, id="answer")) == []

    record = await stored(workflow.memory, event)
    theirs = await stored(workflow.memory, event)
    [answer] = theirs["events"]["expected"][first.id]
    answer.update(texts)
    [[_, [request], _]] = theirs["redelivery"]["out"]
    request.update(texts)
    await workflow.memory.write(event.subject, theirs, record)

    [again] = await workflow.execute(event)
    assert (again.id, again.type) == (second.id, RESERVE)
    assert again.to_dict().items() >= texts.items()
    [done] = await workflow.execute(reserved(second, price=2))
    assert (done.type, done.data) == (ORDERED, {"total": 3})


async def breaks(call: AnyCall) -> Step[dict[str, Any]]:
    raise ValueError("out of tea")


@pytest.mark.parametrize("initial", ["start\n1", "\r", "s" * 200_000, "start-1"], ids=ascii)
@pytest.mark.parametrize(
    ("function", "reported"), [(order_v1, ORDERED), (breaks, "sys.arvo.orc.shop.order.error")]
)
async def test_a_workflow_ends_with_any_id_of_its_init_event(
    function: ArvoResumableFunction, reported: str, initial: str
) -> None:
    memory = SimpleMachineMemory()
    event = start("tea")
    [request] = await order(memory=memory).execute(event)
    record = await stored(memory, event)
    await memory.write(event.subject, {**record, "initEventId": initial}, record)

    answer = reserved(request, price=1)
    [done] = await order(function, memory=memory).execute(answer)
    assert (done.type, done.parentid) == (reported, initial)
    [again] = await order(memory=memory).execute(answer)
    assert again.to_dict() == done.to_dict()
