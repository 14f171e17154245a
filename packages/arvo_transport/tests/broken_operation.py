"""Transports that are not what they were after an operation, or after their end."""

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from arvo_transport import InMemoryEngine, InMemoryTransport, TransportClosedError
from arvo_transport._in_memory._connection import Connection
from arvo_transport._in_memory._inbox import InMemoryInbox
from arvo_transport._in_memory._registry import Registry, Topic
from arvo_transport._in_memory._topic_log import TopicLog

from .defects import Defects, rewire

OPERATION = Defects()


@OPERATION.found_by("a_paused_topic_hands_nothing_out", "workers_follow_a_pause")
def makes_no_pause_at_all(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, TopicLog, "take")
    def take(original: Any, self: Any, inbox: Any, **options: Any) -> Any:
        paused, self.paused = self.paused, False
        try:
            return original(self, inbox, **options)
        finally:
            self.paused = paused


@OPERATION.found_by("workers_follow_a_pause")
def looks_for_a_pause_when_it_begins(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "__init__")
    def init(original: Any, self: Any, topic: Any, **options: Any) -> None:
        original(self, topic, **options)
        self.began_paused = topic.log.paused

    @rewire(patch, TopicLog, "take")
    def take(original: Any, self: Any, inbox: Any, **options: Any) -> Any:
        paused, self.paused = self.paused, self.paused and inbox.began_paused
        try:
            return original(self, inbox, **options)
        finally:
            self.paused = paused


@OPERATION.found_by(
    "workers_follow_a_pause", "a_paused_topic_hands_nothing_out", "a_pause_is_shown"
)
def follows_the_end_of_a_pause_too_late(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Topic, "pause")
    def pause(original: Any, self: Any, *, paused: bool) -> None:
        if paused:
            original(self, paused=True)


@OPERATION.found_by("a_pause_is_shown")
def hides_pauses(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Topic, "state")
    def state(original: Any, self: Any) -> Any:
        return replace(original(self), paused=False)


@OPERATION.found_by("what_is_in_hand_is_finished_while_paused")
def takes_what_is_in_hand_when_paused(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Topic, "pause")
    def pause(original: Any, self: Any, *, paused: bool) -> None:
        original(self, paused=paused)
        if paused:
            self.log.reorder(self.log.order)


def _relayout(patch: pytest.MonkeyPatch, change: Any) -> None:
    @rewire(patch, Registry, "_lay_out")
    def lay_out(original: Any, self: Any, topic: Any, **wanted: Any) -> None:
        original(self, topic, **wanted)
        change(topic)


@OPERATION.found_by(
    "a_relayout_changes_order_and_partitions",
    "a_relayout_keeps_what_waits_in_order",
    "a_relayout_that_was_broken_off_can_be_repeated",
    "a_relayout_under_load_loses_nothing",
    "a_relayout_waits_for_what_is_in_hand",
    "letters_outlive_a_relayout",
    "the_first_owner_decides_the_order",
)
def leaves_a_topic_paused(patch: pytest.MonkeyPatch) -> None:
    _relayout(patch, lambda topic: topic.pause(paused=True))


@OPERATION.found_by(
    "a_relayout_keeps_what_waits_in_order",
    "a_relayout_that_was_broken_off_can_be_repeated",
    "the_first_owner_decides_the_order",
    "a_relayout_under_load_loses_nothing",
)
def moves_the_latest_first(patch: pytest.MonkeyPatch) -> None:
    def backwards(topic: Any) -> None:
        for lane in topic.log._lanes.values():
            lane.waiting.reverse()
            topic.log._ready.offer(lane)

    _relayout(patch, backwards)


@OPERATION.found_by("a_relayout_under_load_loses_nothing")
def loses_what_is_published_meanwhile(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, TopicLog, "add")
    def add(original: Any, self: Any, event: Any, **options: Any) -> None:
        if not self._moves:
            original(self, event, **options)


@OPERATION.found_by("a_relayout_waits_for_what_is_in_hand")
def does_not_wait_for_what_is_in_hand(patch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def at_rest(self: Any) -> Any:
        yield

    patch.setattr(TopicLog, "at_rest", at_rest)


@OPERATION.found_by("a_relayout_that_was_broken_off_can_be_repeated")
def holds_a_topic_whose_relayout_was_broken_off(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryTransport, "relayout")
    async def relayout(original: Any, self: Any, topic: str, **wanted: Any) -> None:
        log = self._store.registry.get(topic).log
        log._moves += 1
        await original(self, topic, **wanted)
        log._moves -= 1


@OPERATION.found_by("letters_outlive_a_relayout")
def loses_letters_by_a_relayout(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryTransport, "relayout")
    async def relayout(original: Any, self: Any, topic: str, **wanted: Any) -> None:
        await original(self, topic, **wanted)
        self._store.letters._letters.clear()


@OPERATION.found_by("a_relayout_to_no_partition_is_refused")
def makes_one_partition_of_none(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryTransport, "relayout")
    async def relayout(
        original: Any, self: Any, topic: str, *, partitions: Any = None, **wanted: Any
    ) -> None:
        await original(self, topic, partitions=1 if partitions == 0 else partitions, **wanted)


# --- the end ----------------------------------------------------------------


@OPERATION.found_by(
    "closing_again_does_nothing",
    "closing_ends_what_waits",
    "closing_releases_what_is_in_hand",
    "every_call_of_a_closed_transport_is_refused",
    "order_holds_while_workers_join_and_leave",
    "other_clients_go_on",
)
def closes_once(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryTransport, "aclose")
    async def aclose(original: Any, self: Any) -> None:
        if self._connection.closed and not self.__dict__.setdefault("refused", False):
            self.refused = True
            raise RuntimeError("it is closed already")
        await original(self)


@OPERATION.found_by("closing_ends_what_waits")
def leaves_callers_waiting(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryTransport, "aclose")
    async def aclose(original: Any, self: Any) -> None:
        with pytest.MonkeyPatch.context() as inside:
            inside.setattr(TopicLog, "notify", lambda log: None)
            await original(self)


@OPERATION.found_by("every_call_of_a_closed_transport_is_refused")
def answers_when_closed(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryTransport, "ping")
    async def ping(original: Any, self: Any) -> None:
        try:
            await original(self)
        except TransportClosedError:
            return


@OPERATION.found_by("every_call_of_a_closed_transport_is_refused")
def says_that_a_closed_transport_may_work_later(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Connection, "check")
    def check(original: Any, self: Any) -> None:
        try:
            original(self)
        except TransportClosedError as error:
            error.retryable = True
            raise


@OPERATION.found_by("other_clients_go_on", "order_holds_while_workers_join_and_leave")
def closes_the_inboxes_of_others(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "close")
    def close(original: Any, self: Any) -> None:
        others = [*self._topic.inboxes]
        original(self)
        for inbox in others:
            inbox._stop()


@OPERATION.found_by("what_an_engine_can_do_is_said")
def hides_that_it_keeps_answers(patch: pytest.MonkeyPatch) -> None:
    shown: Any = InMemoryEngine.__dict__["capabilities"].fget
    patch.setattr(
        InMemoryEngine,
        "capabilities",
        property(lambda self: replace(shown(self), keeps_answers=None)),
    )
