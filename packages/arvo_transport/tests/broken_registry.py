"""Transports whose registry of topics does not do what it promises."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from arvo_transport import (
    DOOR,
    InMemoryTransport,
    TopicDepth,
    TopicSpec,
    TransportError,
    UnknownTopicError,
)
from arvo_transport._in_memory._registry import Registry, Topic
from arvo_transport._in_memory._store import Store

from .defects import Defects, rewire

REGISTRY = Defects()


# --- the registry -----------------------------------------------------------


@REGISTRY.found_by("a_declared_topic_is_listed", "each_owner_decides_how_many_events_may_wait")
def forgets_the_limit(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Topic, "state")
    def state(original: Any, self: Any) -> Any:
        return replace(original(self), max_waiting=None)


@REGISTRY.found_by("topics_are_listed_by_name", "eight_clients_may_declare_at_once")
def lists_the_latest_topic_first(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        Registry, "states", lambda self: [each.state() for each in reversed(self._topics.values())]
    )


@REGISTRY.found_by("names_of_topics_are_compared_exactly")
def writes_dots_as_underscores(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Registry, "find")
    def find(original: Any, self: Any, name: str) -> Any:
        names = {each.replace(".", "_"): each for each in self._topics}
        return original(self, names.get(name.replace(".", "_"), name))


@REGISTRY.found_by("declaring_again_changes_nothing", "the_first_owner_decides_the_order")
def declares_anew(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Registry, "_declare")
    def declare(original: Any, self: Any, spec: Any) -> None:
        if spec.owner:
            self._topics.pop(spec.name, None)
        original(self, spec)


@REGISTRY.found_by(
    "eight_clients_may_declare_at_once", "every_call_of_a_closed_transport_is_refused"
)
def looks_and_declares_later(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryTransport, "declare")
    async def declare(original: Any, self: Any, topics: Any) -> None:
        wanted = [*topics]
        missing = [each.name for each in wanted if self._store.registry.find(each.name) is None]
        await asyncio.sleep(0)
        if any(self._store.registry.find(name) for name in missing):
            raise TransportError("it is there already", retryable=False, outcome="failed")
        self._store.registry.declare(wanted)


@REGISTRY.found_by(
    "a_topic_with_another_order_is_a_conflict", "the_address_of_a_client_has_no_events"
)
def lets_the_last_owner_decide(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Registry, "_check")
    def check(original: Any, self: Any, spec: Any) -> None:
        topic = self._topics.get(spec.name)
        if topic is not None and spec.owner:
            topic.owned = False


@REGISTRY.found_by(
    "a_topic_with_another_order_is_a_conflict", "the_address_of_a_client_has_no_events"
)
def declares_what_comes_before_a_conflict(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Registry, "declare")
    def declare(original: Any, self: Any, specs: Any) -> None:
        for spec in specs:
            original(self, [spec])


@REGISTRY.found_by("the_address_of_a_client_has_no_events")
def takes_any_kind_of_topic(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Registry, "_check")
    def check(original: Any, self: Any, spec: Any) -> None:
        topic = self._topics.get(spec.name)
        original(self, spec if topic is None else replace(spec, kind=topic.kind))


@REGISTRY.found_by("the_first_owner_decides_the_order")
def keeps_the_order_of_who_asked_first(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Registry, "_declare")
    def declare(original: Any, self: Any, spec: Any) -> None:
        topic = self._topics.get(spec.name)
        original(self, spec if topic is None else replace(spec, order=topic.log.order))


@REGISTRY.found_by("each_owner_decides_how_many_events_may_wait")
def keeps_the_limit_of_the_first_owner(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Registry, "_declare")
    def declare(original: Any, self: Any, spec: Any) -> None:
        topic = self._topics.get(spec.name)
        owned = topic is not None and topic.owned
        original(self, replace(spec, max_waiting=topic.max_waiting) if owned else spec)


@REGISTRY.found_by(
    "each_owner_decides_how_many_events_may_wait",
    "who_only_asks_changes_nothing_of_an_owned_topic",
)
def takes_the_limit_of_who_only_asks(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Registry, "_declare")
    def declare(original: Any, self: Any, spec: Any) -> None:
        original(self, spec)
        self._topics[spec.name].max_waiting = spec.max_waiting


@REGISTRY.found_by("who_only_asks_changes_nothing_of_an_owned_topic")
def takes_a_wrong_guess_for_a_conflict(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Registry, "_check")
    def check(original: Any, self: Any, spec: Any) -> None:
        topic = self._topics.get(spec.name)
        original(self, spec if topic is None or not topic.owned else replace(spec, owner=True))


@REGISTRY.found_by("a_topic_that_nobody_declared_is_unknown")
def has_a_depth_of_anything(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "depth")
    def depth(original: Any, self: Any, name: str) -> TopicDepth:
        try:
            return original(self, name)  # type: ignore[no-any-return]
        except UnknownTopicError:
            return TopicDepth(waiting=0, in_hand=0, delayed=0, dead=0, oldest=None, workers=0)


@REGISTRY.found_by("the_door_is_a_topic_like_others")
def empties_the_door(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "_store")
    def store(original: Any, self: Any, event: Any, *, topic: Any, **options: Any) -> None:
        if topic.name != DOOR:
            original(self, event, topic=topic, **options)


@REGISTRY.found_by("an_inbox_of_nothing_that_is_received_is_refused")
def opens_inboxes_for_answers(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryTransport, "inbox")
    def inbox(original: Any, self: Any, topic: Any, *, prefetch: int) -> Any:
        return original(self, TopicSpec(topic.name), prefetch=prefetch)
