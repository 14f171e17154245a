"""Reactions, lanes and answers are checked where they are made, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from arvo_event_store import (
    PER_EVENT,
    Batch,
    DataclassCodec,
    Event,
    EventConsumer,
    InvalidEventError,
    Lane,
    MemoryEventStore,
    NewEvent,
    Postpone,
    Projection,
    Reaction,
    ReactionCall,
    ReactionWorker,
    Reject,
    TargetKind,
    Upcast,
)
from arvo_event_store.pydantic import PydanticCodec


@dataclass(frozen=True)
class Added:
    amount: int


@dataclass(frozen=True)
class Booked:
    day: date


async def handle(_: ReactionCall[Any]) -> None: ...


async def project(_: Batch[Any]) -> None: ...


def not_async(_: ReactionCall[Any]) -> None: ...


def test_what_is_registered_says_what_it_takes() -> None:
    codec = DataclassCodec(names={Added: "added"})
    reaction = Reaction(name="r", on=[Added], handler=handle, codec=codec, stream_prefix="s-")
    assert reaction.name == "r"
    assert (reaction.spec.events, reaction.spec.stream_prefix) == (("added",), "s-")
    assert reaction.on_exhausted == "block"
    assert Reaction(name="r", on=[Added], handler=handle, to=PER_EVENT).on_exhausted == "park"
    assert Reaction(name="r", on=[Event], handler=handle).spec.events is None
    keyed = Reaction(name="r", on=[Added], handler=handle, to=lambda event: event.stream)
    assert keyed.spec.to is TargetKind.KEY
    assert Projection(name="p", on=[Added], handler=project).spec.to is TargetKind.LOG


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"on": []}, ValueError, "on must not be empty"),
        ({"on": Added}, TypeError, "on must be a Sequence"),
        ({"on": "Added"}, TypeError, "on must be a list of classes"),
        ({"on": [Added(1)]}, TypeError, "on must be a list of classes"),
        ({"on": [Added, Added]}, ValueError, "twice"),
        ({"on": [Event, Added]}, ValueError, "beside Event"),
        ({"on": [Booked]}, TypeError, r"Booked\.day.*PydanticCodec"),
        ({"handler": not_async}, TypeError, "handler must be an `async def`"),
        ({"handler": None}, TypeError, "handler must be an `async def`"),
        ({"to": TargetKind.LOG}, ValueError, "to must be PER_STREAM"),
        ({"to": TargetKind.KEY}, ValueError, "to must be PER_STREAM"),
        ({"to": "stream"}, ValueError, "to must be PER_STREAM"),
        ({"to": str, "addressed": True}, ValueError, "addressed"),
        ({"addressed": 1}, TypeError, "addressed"),
        ({"lane": ""}, InvalidEventError, "lane"),
        ({"lane": 3}, TypeError, "lane"),
        ({"retry": 3}, TypeError, "retry must be a RetryPolicy"),
        ({"on_exhausted": "stop"}, ValueError, "on_exhausted"),
        ({"start": -1}, ValueError, "start"),
        ({"start": "later"}, TypeError, "start"),
        ({"stream_prefix": None}, TypeError, "stream_prefix"),
        ({"stream_prefix": "\0"}, InvalidEventError, "stream_prefix"),
    ],
)
def test_a_wrong_setting_names_the_reaction(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    given: dict[str, Any] = {"name": "praise", "on": [Added], "handler": handle, **settings}
    with pytest.raises(error, match=f"reaction 'praise'.*{message}"):
        Reaction(**given)
    if "to" not in settings and "addressed" not in settings:
        given["handler"] = settings.get("handler", project)
        with pytest.raises(error, match=f"reaction 'praise'.*{message}"):
            Projection(**given)


@pytest.mark.parametrize("name", ["", "a\0", "x" * 513])
def test_a_wrong_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidEventError, match="reaction"):
        Reaction(name=name, on=[Added], handler=handle)


def test_pydantic_stores_what_dataclasses_cannot() -> None:
    reaction = Reaction(name="r", on=[Booked], handler=handle, codec=PydanticCodec())
    assert reaction.new_event(Booked(date(2030, 1, 2))).data == {"day": "2030-01-02"}


def test_what_is_emitted_need_not_be_listened_to() -> None:
    """A codec may have names and upcasts of the classes that are."""
    upcast = Upcast(event="added", since=1, function=dict)
    codec = DataclassCodec(names={Added: "added"}, upcasts=[upcast])
    reaction = Reaction(name="r", on=[Added], handler=handle, codec=codec)

    @dataclass
    class Praised:
        counter: str

    for _ in range(2):
        event = reaction.new_event(Praised("a"))
        assert (event.name, event.data, event.meta) == ("Praised", {"counter": "a"}, {})
    event = reaction.new_event(Added(1))
    assert (event.name, event.meta) == ("added", {"schema": 1})
    given = NewEvent("Any", 1)
    assert reaction.new_event(given) is given
    with pytest.raises(TypeError, match="dataclass"):
        reaction.new_event(7)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"concurrency": 0}, ValueError),
        ({"concurrency": True}, TypeError),
        ({"max_events": 0}, ValueError),
        ({"max_bytes": 0}, ValueError),
        ({"ttl": 3}, TypeError),
        ({"ttl": timedelta(milliseconds=99)}, ValueError),
        ({"ttl": timedelta(days=2)}, ValueError),
    ],
)
def test_a_wrong_lane_is_refused(settings: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(settings))):
        Lane(**settings)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"group": ""}, InvalidEventError, "group"),
        ({"reactions": []}, ValueError, "reactions must not be empty"),
        ({"reactions": [handle]}, TypeError, "EventConsumer"),
        ({"lanes": {"slow": 3}}, TypeError, "lane 'slow' must be a Lane"),
        ({"lanes": [Lane()]}, TypeError, "lanes"),
        ({"poll": 1}, TypeError, "poll"),
        ({"poll": timedelta(0)}, ValueError, "poll"),
        ({"grace": timedelta(seconds=-1)}, ValueError, "grace"),
        ({"grace": 10}, TypeError, "grace"),
        ({"clock": None}, TypeError, "clock"),
        ({"on_error": not_async}, TypeError, "on_error"),
        ({"redefine": 1}, TypeError, "redefine"),
        ({"random": 4}, TypeError, "random"),
    ],
)
def test_a_wrong_setting_of_a_worker_is_refused(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    reactions = [Reaction(name="r", on=[Added], handler=handle)]
    given: dict[str, Any] = {"group": "g", "reactions": reactions, **settings}
    with pytest.raises(error, match=message):
        ReactionWorker(MemoryEventStore(), **given)


def test_reactions_of_a_worker_have_different_names_and_known_lanes() -> None:
    same: list[EventConsumer] = [
        Reaction(name="praise", on=[Added], handler=handle),
        Projection(name="praise", on=[Added], handler=project),
    ]
    with pytest.raises(ValueError, match="'praise'"):
        ReactionWorker(MemoryEventStore(), group="g", reactions=same)
    slow = Reaction(name="praise", on=[Added], handler=handle, lane="slow")
    with pytest.raises(ValueError, match="'praise': lane 'slow' is not one of default, fast"):
        ReactionWorker(MemoryEventStore(), group="g", reactions=[slow], lanes={"fast": Lane()})


def test_a_wrong_answer_is_refused() -> None:
    wrong: list[tuple[Callable[[], object], type[Exception]]] = [
        (Postpone, ValueError),
        (lambda: Postpone(after=timedelta(1), until=datetime(2030, 1, 1, tzinfo=UTC)), ValueError),
        (lambda: Postpone(after=timedelta(-1)), ValueError),
        (lambda: Postpone(after=timedelta(days=4_000)), ValueError),
        (lambda: Postpone(after=3), TypeError),  # type: ignore[arg-type]
        (lambda: Postpone(until=datetime(2030, 1, 1)), ValueError),  # noqa: DTZ001
        (lambda: Postpone(until="tomorrow"), TypeError),  # type: ignore[arg-type]
        (lambda: Postpone(after=timedelta(1), counts=1), TypeError),  # type: ignore[arg-type]
        (lambda: Reject(ValueError("no")), TypeError),  # type: ignore[arg-type]
    ]
    for make, error in wrong:
        with pytest.raises(error):
            make()
