"""Transports that lose workers or settlements."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from arvo_event_handler import UnroutableError
from arvo_transport import DeliveryLostError, Done, Later, Output
from arvo_transport._in_memory._entry import Entry
from arvo_transport._in_memory._inbox import InMemoryInbox
from arvo_transport._in_memory._store import Store
from arvo_transport._in_memory._topic_log import TopicLog

from .defects import Defects, rewire

SETTLING = Defects()


# --- losses -----------------------------------------------------------------


def _on_loss(patch: pytest.MonkeyPatch, change: Any) -> None:
    """Do something to each event that is taken from a holder who said nothing."""

    @rewire(patch, TopicLog, "_catch_up")
    def catch_up(original: Any, self: Any) -> Any:
        held = [entry for lane in self._lanes.values() for entry in lane.in_hand.values()]
        now = original(self)
        for entry in held:
            if entry.handed_out is None:
                change(self, entry)
        return now


@SETTLING.found_by(
    "a_cancelled_receive_loses_nothing",
    "a_postponed_event_is_a_new_delivery",
    "a_settlement_after_the_loss_is_refused",
    "a_settlement_after_the_loss_of_a_subject_is_refused",
    "a_take_over_keeps_the_order",
    "each_loss_counts_as_a_delivery",
    "extend_names_what_was_lost",
    "it_is_not_taken_over_too_early",
    "nothing_is_lost_when_workers_die_one_after_the_other",
    "releasing_what_was_lost_changes_nothing",
    "what_a_killed_worker_had_comes_again",
    "what_was_not_in_hand_is_not_counted",
)
def forgets_what_the_lost_had(patch: pytest.MonkeyPatch) -> None:
    _on_loss(patch, lambda log, entry: log._lanes[log._lane_key(entry)].waiting.remove(entry))


@SETTLING.found_by("it_is_not_taken_over_too_early")
def waits_half_of_its_patience(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, TopicLog, "__init__")
    def init(original: Any, self: Any, *, patience: Any, **options: Any) -> None:
        original(self, patience=patience // 2, **options)


@SETTLING.found_by(
    "each_loss_counts_as_a_delivery",
    "what_a_killed_worker_had_comes_again",
    "a_postponed_event_is_a_new_delivery",
    "a_settlement_after_the_loss_of_a_subject_is_refused",
    "a_take_over_keeps_the_order",
    "what_was_not_in_hand_is_not_counted",
)
def counts_no_losses(patch: pytest.MonkeyPatch) -> None:
    def uncounted(log: Any, entry: Entry) -> None:
        entry.deliveries -= 1

    _on_loss(patch, uncounted)


@SETTLING.found_by("what_was_not_in_hand_is_not_counted", "what_a_killed_worker_had_comes_again")
def counts_all_that_waits_behind_the_lost(patch: pytest.MonkeyPatch) -> None:
    def counted(log: Any, entry: Entry) -> None:
        for lane in log._lanes.values():
            for other in lane.waiting:
                other.deliveries += other is not entry

    _on_loss(patch, counted)


@SETTLING.found_by(
    "a_take_over_keeps_the_order", "a_settlement_after_the_loss_of_a_subject_is_refused"
)
def puts_what_the_lost_had_at_the_end(patch: pytest.MonkeyPatch) -> None:
    def last(log: Any, entry: Entry) -> None:
        if log.order == "none":
            return
        lane = log._lanes[log._lane_key(entry)]
        lane.waiting.remove(entry)
        entry.number = next(log._numbers)
        lane.put(entry)
        log._ready.offer(lane)

    _on_loss(patch, last)


# --- settlements ------------------------------------------------------------


@SETTLING.found_by(
    "a_settled_event_does_not_come_again",
    "outputs_are_stored_when_settle_returns",
    "a_dead_event_is_kept_as_a_letter",
    "a_postponed_event_is_not_lost",
    "an_output_may_be_an_answer",
)
def settles_behind_the_call(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "_settle")
    def settle(original: Any, self: Any, received: Any, settlement: Any) -> None:
        if not self._still_held([received]):
            raise DeliveryLostError(received.event)

        def later() -> None:
            if not self._connection.killed and self._still_held([received]):
                original(self, received, settlement)

        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: loop.call_soon(later))


@SETTLING.found_by(
    "a_settlement_after_the_loss_is_refused", "a_settlement_after_the_loss_of_a_subject_is_refused"
)
def stores_what_the_lost_have_to_say(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "_settle")
    def settle(original: Any, self: Any, received: Any, settlement: Any) -> None:
        if not self._still_held([received]):
            for output in getattr(settlement, "outputs", ()):
                self._store._store_output(output, again=received.again)
        original(self, received, settlement)


@SETTLING.found_by(
    "a_settlement_after_the_loss_is_refused", "a_settlement_after_the_loss_of_a_subject_is_refused"
)
def acknowledges_what_another_has(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "_settle")
    def settle(original: Any, self: Any, received: Any, settlement: Any) -> None:
        entry, _ = received.token
        if not self._still_held([received]) and entry.handed_out is not None:
            self._topic.log.forget(entry)
        original(self, received, settlement)


@SETTLING.found_by("a_repeated_settlement_stores_nothing_twice")
def makes_repeated_settlements_again(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "_settle")
    def settle(original: Any, self: Any, received: Any, settlement: Any) -> None:
        entry, _ = received.token
        gone = entry.handed_out is None and entry not in self._topic.log.waiting()
        if gone and isinstance(settlement, Done):
            for number, output in enumerate(settlement.outputs):
                self._store._store_output(output, again=f"{id(received)} {number}")
        original(self, received, settlement)


@SETTLING.found_by("a_cancelled_settlement_is_made_or_not")
def acknowledges_before_it_stores(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "settle")
    async def settle(original: Any, self: Any, received: Any, settlement: Any) -> None:
        if not isinstance(settlement, Done) or not settlement.outputs or settlement.work:
            await original(self, received, settlement)
            return
        await original(self, received, Done())
        for output in settlement.outputs:
            self._store._store_output(output, again=received.again)
        for letter in settlement.letters:
            self._store.letters.keep(letter, topic=letter.handler)


@SETTLING.found_by(
    "nothing_is_lost_when_workers_die_one_after_the_other", "each_event_goes_to_one_worker"
)
def acknowledges_all_before_one(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "_settle")
    def settle(original: Any, self: Any, received: Any, settlement: Any) -> None:
        original(self, received, settlement)
        for entry in self._topic.log.in_hand_of(self):
            if isinstance(settlement, Done) and entry.number < received.token[0].number:
                self._topic.log.forget(entry)


def _changes_outputs(patch: pytest.MonkeyPatch, change: Any) -> None:
    @rewire(patch, Store, "settle")
    def settle(original: Any, self: Any, entry: Any, settlement: Any, **where: Any) -> None:
        if isinstance(settlement, Done):
            settlement = replace(settlement, outputs=change(settlement.outputs))
        original(self, entry, settlement, **where)


@SETTLING.found_by(
    "outputs_are_stored_and_the_input_is_gone", "names_of_topics_are_compared_exactly"
)
def stores_no_output_in_the_topic_it_came_from(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "_store_output")
    def store(original: Any, self: Any, output: Output, *, again: str) -> None:
        if output.topic != "com.svc.pay":
            original(self, output, again=again)


@SETTLING.found_by("outputs_arrive_in_order")
def stores_the_last_output_first(patch: pytest.MonkeyPatch) -> None:
    _changes_outputs(patch, lambda outputs: [*reversed(outputs)])


@SETTLING.found_by("an_output_goes_to_the_topic_it_names")
def sends_outputs_to_their_addresses(patch: pytest.MonkeyPatch) -> None:
    _changes_outputs(
        patch,
        lambda outputs: [
            replace(each, topic=each.event.type) if each.topic.startswith("domain:") else each
            for each in outputs
        ],
    )


@SETTLING.found_by(
    "outputs_are_copies_of_the_same_name",
    "outputs_may_be_copies_of_another_name",
    "a_postponed_copy_is_still_a_copy",
    "answers_to_a_redriven_event_are_delivered",
)
def forgets_that_outputs_are_copies(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "_store_output")
    def store(original: Any, self: Any, output: Output, *, again: str) -> None:
        original(self, output, again="")


@SETTLING.found_by("outputs_may_be_copies_of_another_name")
def names_outputs_by_what_was_delivered(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "settle")
    def settle(original: Any, self: Any, entry: Entry, *args: Any, again: str, **rest: Any) -> None:
        original(self, entry, *args, again=entry.again, **rest)


@SETTLING.found_by(
    "an_output_to_an_undeclared_topic_is_a_letter",
    "an_unroutable_output_is_redriven_once_its_topic_is_there",
)
def loses_outputs_to_undeclared_topics(patch: pytest.MonkeyPatch) -> None:
    _changes_outputs(
        patch, lambda outputs: [each for each in outputs if "undeclared" not in each.topic]
    )


@SETTLING.found_by(
    "an_output_to_an_undeclared_topic_is_a_letter",
    "an_unroutable_output_is_redriven_once_its_topic_is_there",
)
def refuses_outputs_to_undeclared_topics(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "settle")
    def settle(original: Any, self: Any, entry: Any, settlement: Any, **where: Any) -> None:
        for output in getattr(settlement, "outputs", ()):
            if self.registry.find(output.topic) is None:
                raise UnroutableError(output.event)
        original(self, entry, settlement, **where)


@SETTLING.found_by(
    "an_output_that_is_too_large_is_a_letter", "a_letter_of_what_is_too_large_has_its_beginning"
)
def loses_outputs_that_are_too_large(patch: pytest.MonkeyPatch) -> None:
    _changes_outputs(
        patch,
        lambda outputs: [each for each in outputs if len(each.event.to_json()) <= 64 * 1024],
    )


@SETTLING.found_by("letters_of_a_settlement_are_kept")
def loses_letters_of_settlements(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "settle")
    def settle(original: Any, self: Any, entry: Any, settlement: Any, **where: Any) -> None:
        if isinstance(settlement, Done):
            settlement = replace(settlement, letters=())
        original(self, entry, settlement, **where)


@SETTLING.found_by("many_settlements_at_once_are_all_made")
def makes_50_settlements_of_one_turn(patch: pytest.MonkeyPatch) -> None:
    under_way: set[object] = set()

    @rewire(patch, InMemoryInbox, "settle")
    async def settle(original: Any, self: Any, received: Any, settlement: Any) -> None:
        under_way.add(received)
        try:
            if len(under_way) <= 50:
                await original(self, received, settlement)
            else:
                await asyncio.sleep(0)
        finally:
            under_way.discard(received)


@SETTLING.found_by("work_needs_a_database")
def forgets_work(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryInbox, "settle")
    async def settle(original: Any, self: Any, received: Any, settlement: Any) -> None:
        if isinstance(settlement, Done):
            settlement = replace(settlement, work=())
        await original(self, received, settlement)


# --- later ------------------------------------------------------------------


def _postpones(patch: pytest.MonkeyPatch, change: Any) -> None:
    @rewire(patch, InMemoryInbox, "settle")
    async def settle(original: Any, self: Any, received: Any, settlement: Any) -> None:
        if isinstance(settlement, Later):
            settlement = change(settlement)
        await original(self, received, settlement)


@SETTLING.found_by("a_postponed_event_does_not_come_early")
def postpones_by_half(patch: pytest.MonkeyPatch) -> None:
    _postpones(patch, lambda later: replace(later, delay=later.delay / 2))


@SETTLING.found_by("a_postponed_event_is_a_new_delivery", "a_postponed_event_is_not_lost")
def forgets_what_has_failed(patch: pytest.MonkeyPatch) -> None:
    _postpones(patch, lambda later: replace(later, failed=0))


@SETTLING.found_by("a_postponed_event_is_a_new_delivery", "a_postponed_event_is_not_lost")
def counts_on_after_a_postponement(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, TopicLog, "postpone")
    def postpone(original: Any, self: Any, entry: Entry, **options: Any) -> None:
        deliveries = entry.deliveries
        original(self, entry, **options)
        entry.deliveries = deliveries


@SETTLING.found_by("a_postponed_event_is_not_lost")
def postpones_in_the_worker(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "settle")
    def settle(original: Any, self: Any, entry: Any, settlement: Any, **where: Any) -> None:
        holder = where["topic"].log._lanes[where["topic"].log._lane_key(entry)].holder
        original(self, entry, settlement, **where)
        if isinstance(settlement, Later):
            kill = holder._connection.kill

            def killed() -> None:
                kill()
                where["topic"].log._delayed.clear()

            holder._connection.kill = killed


@SETTLING.found_by("a_postponed_copy_is_still_a_copy")
def forgets_that_a_postponed_event_is_a_copy(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, TopicLog, "postpone")
    def postpone(original: Any, self: Any, entry: Entry, **options: Any) -> None:
        entry.again = ""
        original(self, entry, **options)


@SETTLING.found_by("a_delay_below_zero_is_refused")
def takes_delays_below_zero(patch: pytest.MonkeyPatch) -> None:
    _postpones(patch, lambda later: replace(later, delay=max(later.delay, timedelta(0))))
