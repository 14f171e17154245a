"""Transports that lose, change, repeat or swallow what is published."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from arvo_core import ArvoEvent
from arvo_event_handler import UnroutableError
from arvo_transport import InMemoryTransport, TopicSpec, address_of, topic_of_output
from arvo_transport._in_memory import _store
from arvo_transport._in_memory._engine_clock import EngineClock
from arvo_transport._in_memory._store import Store
from arvo_transport._in_memory._topic_log import TopicLog

from .defects import Defects, rewire

PUBLISHING = Defects()


@PUBLISHING.found_by("an_event_is_stored_when_publish_returns")
def publish_returns_before_it_stores(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryTransport, "publish")
    async def publish(original: Any, self: Any, events: Any, **options: Any) -> None:
        await original(self, [], **options)
        behind: list[tuple[Any, Any]] = []
        with pytest.MonkeyPatch.context() as inside:
            inside.setattr(
                Store, "_store", lambda store, *args, **kwargs: behind.append((args, kwargs))
            )
            self._store.publish(events, **{"at": None, "again": "", **options})

        def store() -> None:
            if not self._connection.killed:
                for args, kwargs in behind:
                    self._store._store(*args, **kwargs)

        asyncio.get_running_loop().call_soon(store)


def _changes_events(patch: pytest.MonkeyPatch, **members: Any) -> None:
    @rewire(patch, Store, "_store")
    def store(original: Any, self: Any, event: ArvoEvent, **options: Any) -> None:
        original(self, ArvoEvent.from_dict({**event.to_dict(), **members}), **options)


@PUBLISHING.found_by("an_event_arrives_as_it_was_published")
def forgets_trace_state(patch: pytest.MonkeyPatch) -> None:
    _changes_events(patch, tracestate=None)


@PUBLISHING.found_by("an_event_arrives_as_it_was_published")
def forgets_extensions_it_does_not_know(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "_store")
    def store(original: Any, self: Any, event: ArvoEvent, **options: Any) -> None:
        known = {name: value for name, value in event.to_dict().items() if name != "origin"}
        original(self, ArvoEvent.from_dict(known), **options)


@PUBLISHING.found_by("an_event_goes_to_the_topic_of_its_address")
def goes_by_the_type(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        _store,
        "address_of",
        lambda event: event.type if event.type.startswith("com.svc") else event.to,
    )


@PUBLISHING.found_by("an_event_goes_to_the_topic_of_its_address")
def goes_by_the_domain(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_store, "address_of", topic_of_output)


@PUBLISHING.found_by("events_of_one_call_are_all_stored")
def stores_a_hundred_at_most(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "publish")
    def publish(original: Any, self: Any, events: Any, **options: Any) -> None:
        original(self, events[:100], **options)


def _one_by_one(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "publish")
    def publish(original: Any, self: Any, events: Sequence[ArvoEvent], **options: Any) -> None:
        for event in events:
            original(self, [event], **options)


@PUBLISHING.found_by(
    "an_event_for_an_undeclared_topic_is_refused", "an_event_that_is_too_large_is_refused"
)
def stores_what_comes_before_a_refused_event(patch: pytest.MonkeyPatch) -> None:
    _one_by_one(patch)


@PUBLISHING.found_by(
    "an_event_for_an_undeclared_topic_is_refused", "a_topic_declared_by_another_client_is_known"
)
def declares_what_is_published(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "publish")
    def publish(original: Any, self: Any, events: Sequence[ArvoEvent], **options: Any) -> None:
        names = [address_of(each) for each in events]
        unknown = [name for name in names if self.registry.find(name) is None]
        self.registry.declare([TopicSpec(name, owner=False) for name in unknown])
        original(self, events, **options)


@PUBLISHING.found_by("a_topic_declared_by_another_client_is_known")
def remembers_what_was_not_declared(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryTransport, "publish")
    async def publish(original: Any, self: Any, events: Any, **options: Any) -> None:
        unknown = self.__dict__.setdefault("unknown", set())
        for event in events:
            if event.type in unknown:
                raise UnroutableError(event)
        try:
            await original(self, events, **options)
        except UnroutableError as error:
            unknown.add(error.event.type)
            raise


@PUBLISHING.found_by(
    "an_event_that_is_too_large_is_refused",
    "an_output_that_is_too_large_is_a_letter",
    "a_letter_of_what_is_too_large_has_its_beginning",
)
def takes_events_of_any_size(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_store, "_size", lambda event: 0)


@PUBLISHING.found_by(
    "an_event_that_is_too_large_is_refused", "an_output_that_is_too_large_is_a_letter"
)
def measures_the_data_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_store, "_size", lambda event: len(str(event.to_dict()["data"])))


@PUBLISHING.found_by(
    "the_largest_event_is_carried",
    "the_largest_output_is_carried",
    "a_letter_of_the_largest_event_fits",
    "an_event_that_is_too_large_is_refused",
)
def takes_less_than_it_says(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, _store, "_size")
    def size(original: Any, event: ArvoEvent) -> int:
        return int(original(event)) + 1


# --- copies -----------------------------------------------------------------


def _known_by(patch: pytest.MonkeyPatch, identify: Any) -> None:
    patch.setattr(_store, "delivery_id", identify)


@PUBLISHING.found_by(
    "a_repetition_is_dropped",
    "a_repetition_is_dropped_when_the_first_was_handled",
    "a_copy_on_purpose_is_repeated_like_any_event",
    "a_cancelled_publish_stores_an_event_whole_or_not_at_all",
)
def drops_no_repetitions(patch: pytest.MonkeyPatch) -> None:
    _known_by(patch, lambda event, **place: object())


@PUBLISHING.found_by("a_repetition_is_dropped_when_the_first_was_handled")
def drops_only_repetitions_of_what_waits(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "settle")
    def settle(original: Any, self: Any, entry: Any, settlement: Any, **where: Any) -> None:
        original(self, entry, settlement, **where)
        where["topic"].known.clear()


@PUBLISHING.found_by("events_are_told_apart_by_source_and_id")
def knows_events_by_their_ids_alone(patch: pytest.MonkeyPatch) -> None:
    _known_by(patch, lambda event, *, topic, again: (event.id, topic, again))


@PUBLISHING.found_by(
    "a_copy_on_purpose_is_delivered",
    "a_copy_on_purpose_is_repeated_like_any_event",
    "a_redriven_event_is_delivered_again",
    "a_redriven_event_may_die_again",
    "answers_to_a_redriven_event_are_delivered",
    "a_letter_that_is_gone_is_passed_over",
    "a_letter_whose_sender_was_told_needs_force",
    "letters_outlive_a_relayout",
    "outputs_are_copies_of_the_same_name",
    "outputs_may_be_copies_of_another_name",
    "a_postponed_copy_is_still_a_copy",
)
def swallows_copies_on_purpose(patch: pytest.MonkeyPatch) -> None:
    _known_by(patch, lambda event, *, topic, again: (event.source, event.id, topic))


@PUBLISHING.found_by("a_copy_on_purpose_is_repeated_like_any_event")
def takes_any_copy_on_purpose(patch: pytest.MonkeyPatch) -> None:
    _known_by(
        patch,
        lambda event, *, topic, again: object() if again else (event.source, event.id, topic),
    )


@PUBLISHING.found_by("a_cancelled_publish_stores_an_event_whole_or_not_at_all")
def notes_an_event_before_it_stores_it(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryTransport, "publish")
    async def publish(original: Any, self: Any, events: Any, **options: Any) -> None:
        noted = self._engine.__dict__.setdefault("noted", set())
        copies = {(each.id, each.type, options.get("again", "")) for each in events}
        if len(copies) == 1 and copies <= noted:
            return
        noted |= copies
        try:
            await original(self, events, **options)
        except Exception:
            noted -= copies
            raise


# --- later ------------------------------------------------------------------


def _due(patch: pytest.MonkeyPatch, moment: Any) -> None:
    @rewire(patch, EngineClock, "until")
    def until(original: Any, self: Any, at: Any) -> Any:
        return moment(self.now(), original(self, at))


@PUBLISHING.found_by("an_event_with_a_time_waits_for_it")
def ignores_times(patch: pytest.MonkeyPatch) -> None:
    _due(patch, lambda now, at: now)


@PUBLISHING.found_by("an_event_with_a_time_waits_for_it")
def counts_times_in_tenths(patch: pytest.MonkeyPatch) -> None:
    _due(patch, lambda now, at: now + (at - now) // 10)


@PUBLISHING.found_by("an_event_with_a_time_waits_for_it")
def loses_what_is_for_later(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, TopicLog, "add")
    def add(original: Any, self: Any, event: Any, *, due: Any, **options: Any) -> None:
        if due is None or due <= self.clock.now():
            original(self, event, due=due, **options)


@PUBLISHING.found_by("a_time_that_has_passed_delays_nothing")
def waits_for_times_that_have_passed(patch: pytest.MonkeyPatch) -> None:
    _due(patch, lambda now, at: now + abs(at - now))


@PUBLISHING.found_by("a_time_that_cannot_be_kept_is_refused")
def takes_times_without_a_zone(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryTransport, "publish")
    async def publish(
        original: Any, self: Any, events: Any, *, at: Any = None, **options: Any
    ) -> None:
        if at is not None and at.utcoffset() is None:
            at = self._store._clock.utc_now() + timedelta(hours=1)
        await original(self, events, at=at, **options)


@PUBLISHING.found_by("a_time_for_an_ordered_topic_is_refused")
def takes_times_for_ordered_topics(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "_topic_of")
    def topic_of(original: Any, self: Any, event: Any, *, at: Any) -> Any:
        return original(self, event, at=None)


@PUBLISHING.found_by("many_publishers_at_once_lose_nothing")
def has_room_for_50_calls_at_once(patch: pytest.MonkeyPatch) -> None:
    under_way: set[object] = set()

    @rewire(patch, InMemoryTransport, "publish")
    async def publish(original: Any, self: Any, events: Any, **options: Any) -> None:
        call = object()
        under_way.add(call)
        try:
            await original(self, events if len(under_way) <= 50 else [], **options)
        finally:
            under_way.discard(call)
