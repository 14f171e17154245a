"""Transports whose inboxes do not do what they promise."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from arvo_transport import (
    Received,
)
from arvo_transport._in_memory._inbox import InMemoryInbox
from arvo_transport._in_memory._store import Store
from arvo_transport._in_memory._topic_log import TopicLog

from .defects import Defects, rewire

RECEIVING = Defects()


def _receives(patch: pytest.MonkeyPatch, change: Any) -> None:
    @rewire(patch, InMemoryInbox, "receive")
    async def receive(original: Any, self: Any, limit: int) -> Any:
        return change(self, await original(self, limit))


@RECEIVING.found_by(
    "a_first_delivery_says_so",
    "a_postponed_event_is_a_new_delivery",
    "a_postponed_event_is_not_lost",
    "a_redriven_event_is_delivered_again",
)
def says_that_nothing_is_known_of_first_tries(patch: pytest.MonkeyPatch) -> None:
    _receives(
        patch,
        lambda self, held: [
            replace(each, failed=each.deliveries if each.deliveries == 1 else each.failed)
            for each in held
        ],
    )


@RECEIVING.found_by("a_delivery_says_when_its_event_was_stored")
def takes_the_delivery_for_the_storing(patch: pytest.MonkeyPatch) -> None:
    _receives(
        patch,
        lambda self, held: [
            replace(each, stored_at=self._topic.log.clock.utc_now()) for each in held
        ],
    )


@RECEIVING.found_by("receive_waits_for_an_event")
def wakes_nobody(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, TopicLog, "add")
    def add(original: Any, self: Any, event: Any, **options: Any) -> None:
        with pytest.MonkeyPatch.context() as inside:
            inside.setattr(TopicLog, "notify", lambda log: None)
            original(self, event, **options)


@RECEIVING.found_by("receive_returns_no_more_than_its_limit")
def returns_all_that_waits(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "receive")
    async def receive(original: Any, self: Any, limit: int) -> Any:
        return await original(self, max(limit, 10) if limit == 3 else limit)


@RECEIVING.found_by("a_limit_below_one_is_refused")
def receives_nothing_where_nothing_is_wanted(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "receive")
    async def receive(original: Any, self: Any, limit: int) -> Any:
        return await original(self, limit) if limit else []


@RECEIVING.found_by("each_event_goes_to_one_worker")
def hands_an_event_to_two_calls(patch: pytest.MonkeyPatch) -> None:
    def doubled(self: Any, held: Sequence[Received]) -> Sequence[Received]:
        if len(held) == 4:
            first = self._topic.log.__dict__.setdefault("first", held[0])
            return [first, *held[1:]]
        return held

    _receives(patch, doubled)


@RECEIVING.found_by(
    "without_order_nothing_waits_for_others",
    "what_is_in_hand_is_given_to_nobody_else",
    "what_is_released_is_there_for_others_immediately",
    "order_key_goes_by_the_partition_key",
)
def keeps_the_order_of_every_topic(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, TopicLog, "_lane_key")
    def lane_key(original: Any, self: Any, entry: Any) -> Any:
        return entry.event.subject


@RECEIVING.found_by("topics_do_not_wait_for_each_other")
def handles_one_topic_at_a_time(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, TopicLog, "take")
    def take(original: Any, self: Any, inbox: Any, **options: Any) -> Any:
        logs = self.clock.__dict__.setdefault("logs", set())
        logs.add(self)
        busy = any(log._in_hand for log in logs if log is not self)
        return [] if busy else original(self, inbox, **options)


@RECEIVING.found_by("a_cancelled_receive_loses_nothing")
def loses_what_a_cancelled_call_has_taken(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "_on_their_way")
    async def on_their_way(original: Any, self: Any, taken: Any) -> Any:
        try:
            return await original(self, taken)
        except asyncio.CancelledError:
            lost = [entry for lane in self._topic.log._lanes.values() for entry in lane.waiting]
            for entry in lost[:1]:
                self._topic.log._lanes.pop(entry.number).waiting.clear()
            raise


@RECEIVING.found_by(
    "what_is_in_hand_is_given_to_nobody_else",
    "an_event_with_a_time_waits_for_it",
    "depth_is_exact_at_rest",
    "each_event_goes_to_one_worker",
    "subjects_of_other_partitions_do_not_wait",
)
def hands_a_worker_what_it_has(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, TopicLog, "take")
    def take(original: Any, self: Any, inbox: Any, **options: Any) -> Any:
        for entry in self.in_hand_of(inbox):
            self._take_out_of_hand(entry)
            self._place(entry)
        return original(self, inbox, **options)


@RECEIVING.found_by(
    "what_is_extended_stays_in_hand",
    "one_worker_at_a_time_has_a_subject",
    "order_key_goes_by_the_partition_key",
)
def extends_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TopicLog, "extend", lambda self, entry: None)


@RECEIVING.found_by(
    "extend_names_what_was_lost", "what_is_released_is_there_for_others_immediately"
)
def names_nothing_as_lost(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "extend")
    async def extend(original: Any, self: Any, held: Any) -> Any:
        await original(self, held)
        return []


# --- given back -------------------------------------------------------------


@RECEIVING.found_by(
    "what_is_released_is_there_for_others_immediately",
    "a_pause_is_for_who_released",
    "a_release_is_not_a_delivery",
    "a_release_of_what_was_begun_is_a_delivery",
    "a_release_keeps_the_order",
    "a_release_with_a_pause_holds_up_what_comes_after",
    "order_key_goes_by_the_partition_key",
    "what_is_in_hand_can_be_settled_after_stop",
    "what_is_in_hand_is_finished_while_paused",
)
def releases_nothing(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "_release")
    def release(original: Any, self: Any, held: Any, **options: Any) -> None:
        pass


@RECEIVING.found_by("a_release_is_not_a_delivery")
def counts_releases(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, TopicLog, "give_back")
    def give_back(original: Any, self: Any, entries: Any, **options: Any) -> Any:
        return original(self, entries, begun=True)


@RECEIVING.found_by(
    "a_release_of_what_was_begun_is_a_delivery", "the_end_of_an_inbox_releases_what_it_has"
)
def counts_no_releases(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, TopicLog, "give_back")
    def give_back(original: Any, self: Any, entries: Any, **options: Any) -> Any:
        return original(self, entries)


@RECEIVING.found_by(
    "a_pause_is_for_who_released", "a_release_with_a_pause_holds_up_what_comes_after"
)
def makes_no_pause(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "_release")
    def release(original: Any, self: Any, held: Any, *, pause: timedelta, begun: bool) -> None:
        original(self, held, pause=timedelta(0), begun=begun)


@RECEIVING.found_by("releasing_what_was_lost_changes_nothing")
def releases_what_another_has(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "_release")
    def release(original: Any, self: Any, held: Any, **options: Any) -> None:
        original(self, held, **options)
        others = [each.token[0] for each in held if each.token[0].handed_out is not None]
        self._topic.log.give_back(others)


@RECEIVING.found_by(
    "the_end_of_an_inbox_releases_what_it_has",
    "closing_releases_what_is_in_hand",
    "every_call_of_a_closed_transport_is_refused",
)
def keeps_what_a_closed_inbox_had(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(InMemoryInbox, "close", InMemoryInbox.cut)


# --- paused -----------------------------------------------------------------


def _answers_a_pull_that_is_over(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, TopicLog, "add")
    def add(original: Any, self: Any, event: Any, **options: Any) -> None:
        original(self, event, **options)
        if (pulling := self.__dict__.pop("pulling", None)) is not None:
            self.take(pulling, limit=1, shunned={})


@RECEIVING.found_by("a_paused_inbox_gets_nothing")
def goes_on_taking_while_paused(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "pause")
    async def pause(original: Any, self: Any) -> None:
        await original(self)
        self._topic.log.pulling = self

    _answers_a_pull_that_is_over(patch)


@RECEIVING.found_by("a_paused_inbox_receives_again")
def receives_nothing_more_after_a_pause(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "pause")
    async def pause(original: Any, self: Any) -> None:
        await original(self)
        self._stop()


# --- stopped ----------------------------------------------------------------


@RECEIVING.found_by("a_stopped_inbox_receives_nothing")
def answers_a_pull_after_the_stop(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "stop")
    async def stop(original: Any, self: Any) -> None:
        if self._topic.log._waiters:
            self._topic.log.pulling = self
        await original(self)

    _answers_a_pull_that_is_over(patch)


@RECEIVING.found_by("what_is_in_hand_can_be_settled_after_stop")
def forgets_what_is_in_hand_on_stop(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "stop")
    async def stop(original: Any, self: Any) -> None:
        await original(self)
        self._topic.log.give_back(self._topic.log.in_hand_of(self))


# --- looks ------------------------------------------------------------------


@RECEIVING.found_by("looking_takes_and_counts_nothing")
def counts_a_look_as_a_delivery(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "peek")
    def peek(original: Any, self: Any, topic: str, *, limit: int) -> Any:
        for entry in self.registry.get(topic).log.waiting()[:limit]:
            entry.deliveries += 1
        return original(self, topic, limit=limit)


@RECEIVING.found_by("looking_takes_and_counts_nothing")
def counts_a_sweep_as_a_delivery(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "depth")
    def depth(original: Any, self: Any, name: str) -> Any:
        for entry in self.registry.get(name).log.waiting():
            entry.deliveries += 1
        return original(self, name)


@RECEIVING.found_by("peek_shows_the_oldest_that_wait", "outputs_arrive_in_order")
def shows_the_newest_first(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "peek")
    def peek(original: Any, self: Any, topic: str, *, limit: int) -> Any:
        original(self, topic, limit=limit)
        return [*reversed(original(self, topic, limit=1000))][:limit]


@RECEIVING.found_by("depth_is_exact_at_rest")
def counts_workers_that_have_gone(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "depth")
    def depth(original: Any, self: Any, name: str) -> Any:
        found = original(self, name)
        return replace(found, workers=found.workers + 1)
