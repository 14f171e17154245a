"""Transports that lose the order of topics that have one."""

from typing import Any

import pytest

from arvo_transport import Later
from arvo_transport._in_memory import _topic_log
from arvo_transport._in_memory._entry import Lane
from arvo_transport._in_memory._inbox import InMemoryInbox
from arvo_transport._in_memory._topic_log import TopicLog

from .defects import Defects, rewire

ORDER = Defects()


@ORDER.found_by(
    "events_of_a_subject_come_in_order",
    "a_paused_subject_goes_to_others",
    "a_relayout_keeps_what_waits_in_order",
    "a_relayout_that_was_broken_off_can_be_repeated",
    "a_relayout_waits_for_what_is_in_hand",
    "a_release_keeps_the_order",
    "a_release_with_a_pause_holds_up_what_comes_after",
    "a_settlement_after_the_loss_of_a_subject_is_refused",
    "a_take_over_keeps_the_order",
    "one_worker_at_a_time_has_a_subject",
    "order_holds_while_workers_join_and_leave",
    "order_holds_while_workers_work",
    "order_key_goes_by_the_partition_key",
    "order_key_goes_by_the_subject_without_a_partition_key",
    "the_first_owner_decides_the_order",
    "a_relayout_under_load_loses_nothing",
)
def hands_out_the_latest_first(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, TopicLog, "_hand_out")
    def hand_out(original: Any, self: Any, lane: Lane, **options: Any) -> Any:
        lane.waiting.reverse()
        try:
            return original(self, lane, **options)
        finally:
            lane.waiting.reverse()


@ORDER.found_by(
    "one_worker_at_a_time_has_a_subject",
    "a_relayout_under_load_loses_nothing",
    "a_take_over_keeps_the_order",
    "order_holds_while_workers_work",
    "order_key_goes_by_the_partition_key",
    "what_was_not_in_hand_is_not_counted",
)
def shares_a_subject(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, TopicLog, "take")
    def take(original: Any, self: Any, inbox: Any, **options: Any) -> Any:
        self._catch_up()
        lanes = [lane for lane in self._lanes.values() if lane.holder is not None]
        holders = [lane.holder for lane in lanes]
        for lane in lanes:
            lane.holder = inbox
        try:
            return original(self, inbox, **options)
        finally:
            for lane, holder in zip(lanes, holders, strict=True):
                lane.holder = holder if lane.in_hand else None


@ORDER.found_by("subjects_of_other_partitions_do_not_wait")
def hands_out_one_subject_at_a_time(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, TopicLog, "take")
    def take(original: Any, self: Any, inbox: Any, *, limit: int, **options: Any) -> Any:
        if self.order == "none":
            return original(self, inbox, limit=limit, **options)
        return [] if self.in_hand else original(self, inbox, limit=1, **options)


@ORDER.found_by(
    "a_subject_goes_on_when_its_event_is_settled",
    "order_holds_while_workers_join_and_leave",
)
def waits_after_each_event_of_a_subject(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "_settle")
    def settle(original: Any, self: Any, received: Any, settlement: Any) -> None:
        original(self, received, settlement)
        if self._topic.log.order == "subject":
            patience = self._topic.log._patience
            self._shunned[received.event.subject] = self._topic.log.clock.now() + patience


@ORDER.found_by(
    "a_release_keeps_the_order",
    "a_paused_subject_goes_to_others",
    "a_release_with_a_pause_holds_up_what_comes_after",
    "order_key_goes_by_the_partition_key",
)
def puts_what_is_released_at_the_end(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, TopicLog, "give_back")
    def give_back(original: Any, self: Any, entries: Any, **options: Any) -> Any:
        given = [*entries]
        keys = original(self, given, **options)
        for entry in given:
            lane = self._lanes[self._lane_key(entry)]
            if len(lane.waiting) > 1:
                lane.waiting.remove(entry)
                entry.number = next(self._numbers)
                lane.put(entry)
                self._ready.offer(lane)
        return keys


@ORDER.found_by("a_paused_subject_goes_to_others")
def keeps_a_subject_it_gave_up(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "_release")
    def release(original: Any, self: Any, held: Any, **options: Any) -> None:
        original(self, held, **options)
        given_up = self._topic.log.__dict__.setdefault("given_up", {})
        given_up.update({} if self._topic.log.order == "none" else self._shunned)

    @rewire(patch, TopicLog, "take")
    def take(original: Any, self: Any, inbox: Any, *, shunned: Any, **options: Any) -> Any:
        given_up = self.__dict__.get("given_up", {})
        return original(self, inbox, shunned={**given_up, **shunned}, **options)


def _keyed_by(patch: pytest.MonkeyPatch, key: Any) -> None:
    @rewire(patch, _topic_log, "ordering_key")
    def ordering_key(original: Any, event: Any, *, order: Any) -> Any:
        return key(event) if order == "key" else original(event, order=order)


@ORDER.found_by("order_key_goes_by_the_partition_key")
def knows_no_partition_keys(patch: pytest.MonkeyPatch) -> None:
    _keyed_by(patch, lambda event: event.subject)


@ORDER.found_by("order_key_goes_by_the_subject_without_a_partition_key")
def needs_partition_keys(patch: pytest.MonkeyPatch) -> None:
    _keyed_by(patch, lambda event: event.extensions["partitionkey"])


@ORDER.found_by("an_ordered_event_cannot_be_postponed")
def postpones_ordered_events(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "_check_settlement")
    def check(original: Any, self: Any, settlement: Any) -> None:
        if not isinstance(settlement, Later) or self._topic.log.order == "none":
            original(self, settlement)
