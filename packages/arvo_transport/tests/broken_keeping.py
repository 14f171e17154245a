"""Transports that lose letters or answers."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from arvo_event_handler import ConfigViolation, UnroutableError
from arvo_transport import Dead, InMemoryTransport
from arvo_transport._in_memory._answer_box import Answers
from arvo_transport._in_memory._letters import Letters
from arvo_transport._in_memory._store import Store

from .defects import Defects, rewire

KEEPING = Defects()


# --- dead letters -----------------------------------------------------------


def _keeps(patch: pytest.MonkeyPatch, change: Any) -> None:
    @rewire(patch, Letters, "keep")
    def keep(original: Any, self: Any, letter: Any, *, topic: str) -> None:
        changed = change(letter)
        if changed is not None:
            original(self, changed, topic=topic)


@KEEPING.found_by(
    "a_dead_event_is_kept_as_a_letter", "an_output_to_an_undeclared_topic_is_a_letter"
)
def forgets_what_went_wrong(patch: pytest.MonkeyPatch) -> None:
    _keeps(patch, lambda letter: replace(letter, error=RuntimeError("it failed")))


@KEEPING.found_by("a_dead_event_is_kept_as_a_letter")
def counts_tries_and_deliveries_anew(patch: pytest.MonkeyPatch) -> None:
    _keeps(patch, lambda letter: replace(letter, attempts=1, deliveries=1))


@KEEPING.found_by(
    "what_its_sender_is_told_is_stored_with_the_letter", "answers_to_a_redriven_event_are_delivered"
)
def tells_senders_nothing(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "settle")
    def settle(original: Any, self: Any, entry: Any, settlement: Any, **where: Any) -> None:
        if isinstance(settlement, Dead):
            settlement = replace(settlement, outputs=())
        original(self, entry, settlement, **where)


@KEEPING.found_by("a_letter_of_the_largest_event_fits")
def has_no_room_for_what_went_wrong(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Letters, "__init__")
    def init(original: Any, self: Any, **options: Any) -> None:
        original(self, **options)
        self._max_bytes -= 64 * 1024


@KEEPING.found_by("a_letter_of_what_is_too_large_has_its_beginning")
def loses_letters_that_do_not_fit(patch: pytest.MonkeyPatch) -> None:
    _keeps(
        patch,
        lambda letter: letter if len(letter.event.to_json()) < 1024 * 1024 else None,
    )


@KEEPING.found_by("a_letter_of_what_is_too_large_has_its_beginning")
def redrives_what_is_left_of_an_event(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Letters, "publishable")
    def publishable(original: Any, self: Any, keys: Any, *, force: bool) -> Any:
        try:
            return original(self, keys, force=force)
        except ConfigViolation:
            return [self._letters[key] for key in keys]


def _finds(patch: pytest.MonkeyPatch, **ignored: Any) -> None:
    @rewire(patch, Letters, "find")
    def find(original: Any, self: Any, topic: Any, **asked: Any) -> Any:
        if "topic" in ignored:
            topic = None
        return original(
            self, topic, **{**asked, **{k: v for k, v in ignored.items() if k != "topic"}}
        )


@KEEPING.found_by("letters_are_found_by_topic_reason_and_type")
def finds_letters_of_any_topic(patch: pytest.MonkeyPatch) -> None:
    _finds(patch, topic=None)


@KEEPING.found_by("letters_are_found_by_topic_reason_and_type")
def finds_letters_of_any_type(patch: pytest.MonkeyPatch) -> None:
    _finds(patch, type=None)


@KEEPING.found_by("letters_are_listed_oldest_first_page_by_page")
def begins_each_page_at_the_oldest_letter(patch: pytest.MonkeyPatch) -> None:
    _finds(patch, after=None)


@KEEPING.found_by("letters_are_listed_oldest_first_page_by_page")
def needs_the_last_letter_of_the_page_before(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Letters, "find")
    def find(original: Any, self: Any, topic: Any, *, after: Any, **asked: Any) -> Any:
        return original(self, topic, after=after if after in self._letters else None, **asked)


def _redrives(patch: pytest.MonkeyPatch, change: Any) -> None:
    @rewire(patch, Store, "redrive")
    def redrive(original: Any, self: Any, keys: Any, *, force: bool) -> int:
        return int(change(self, [*keys], force, original))


@KEEPING.found_by(
    "a_redriven_event_is_delivered_again",
    "a_letter_that_is_gone_is_passed_over",
    "a_letter_whose_sender_was_told_needs_force",
    "a_redriven_event_may_die_again",
    "an_unroutable_output_is_redriven_once_its_topic_is_there",
)
def keeps_letters_that_were_redriven(patch: pytest.MonkeyPatch) -> None:
    def keeping(store: Any, keys: Any, force: bool, redrive: Any) -> int:
        letters = dict(store.letters._letters)
        count = int(redrive(store, keys, force=force))
        store.letters._letters = letters
        return count

    _redrives(patch, keeping)


@KEEPING.found_by("a_redriven_event_is_delivered_again")
def redrives_without_a_name(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "_store")
    def store(original: Any, self: Any, event: Any, *, topic: Any, again: str, **more: Any) -> None:
        original(self, event, topic=topic, again=again.replace("redrive:", "copy:"), **more)


@KEEPING.found_by("a_redriven_event_may_die_again", "a_redriven_event_is_delivered_again")
def knows_letters_by_their_events(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "_store")
    def store(original: Any, self: Any, event: Any, *, topic: Any, again: str, **more: Any) -> None:
        name = "redrive:1" if again.startswith("redrive:") else again
        original(self, event, topic=topic, again=name, **more)


@KEEPING.found_by("a_letter_that_is_gone_is_passed_over")
def counts_all_keys_as_redriven(patch: pytest.MonkeyPatch) -> None:
    _redrives(
        patch, lambda store, keys, force, redrive: redrive(store, keys, force=force) * 0 + len(keys)
    )


@KEEPING.found_by("a_letter_that_is_gone_is_passed_over")
def counts_all_keys_as_dropped(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Letters, "drop")
    def drop(original: Any, self: Any, keys: Any) -> int:
        return int(original(self, keys)) * 0 + len([*keys])


@KEEPING.found_by(
    "a_dropped_letter_is_gone",
    "a_letter_that_is_gone_is_passed_over",
    "letters_are_listed_oldest_first_page_by_page",
)
def drops_the_latest_letter(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, InMemoryTransport, "drop")
    async def drop(original: Any, self: Any, keys: Any) -> Any:
        letters = self._store.letters._letters
        await original(self, [*letters][-1:])
        return len([*keys])


@KEEPING.found_by("a_letter_whose_sender_was_told_needs_force")
def needs_no_force(patch: pytest.MonkeyPatch) -> None:
    _redrives(patch, lambda store, keys, force, redrive: redrive(store, keys, force=True))


@KEEPING.found_by("a_letter_whose_sender_was_told_needs_force")
def redrives_what_comes_before_a_refused_letter(patch: pytest.MonkeyPatch) -> None:
    _redrives(
        patch,
        lambda store, keys, force, redrive: sum(redrive(store, [key], force=force) for key in keys),
    )


@KEEPING.found_by("an_unroutable_output_is_redriven_once_its_topic_is_there")
def loses_letters_that_cannot_be_redriven(patch: pytest.MonkeyPatch) -> None:
    def losing(store: Any, keys: Any, force: bool, redrive: Any) -> int:
        try:
            return int(redrive(store, keys, force=force))
        except UnroutableError:
            store.letters.drop(keys)
            raise

    _redrives(patch, losing)


# --- answers ----------------------------------------------------------------


@KEEPING.found_by("the_first_answer_stays", "a_system_error_gives_way")
def keeps_the_last_answer(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Answers, "put")
    def put(original: Any, self: Any, event: Any, *, address: str, request: str) -> None:
        self._answers.pop((address, request), None)
        original(self, event, address=address, request=request)


@KEEPING.found_by("a_system_error_gives_way")
def keeps_system_errors(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Answers, "put")
    def put(original: Any, self: Any, event: Any, *, address: str, request: str) -> None:
        if (address, request) not in self._answers:
            original(self, event, address=address, request=request)


@KEEPING.found_by("addresses_have_boxes_of_their_own")
def has_one_box_for_all(patch: pytest.MonkeyPatch) -> None:
    for name in ("put", "get", "wait"):
        _has_one_box(patch, name)


def _has_one_box(patch: pytest.MonkeyPatch, name: str) -> None:
    @rewire(patch, Answers, name)
    def call(original: Any, self: Any, *place: Any, **named: Any) -> Any:
        if named:
            return original(self, *place, **{**named, "address": "all"})
        return original(self, "all", *place[1:])


@KEEPING.found_by("an_answer_is_found_by_its_request")
def hands_an_answer_out_once(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Answers, "get")
    def get(original: Any, self: Any, address: str, request: str) -> Any:
        found = original(self, address, request)
        self._answers.pop((address, request), None)
        return found


@KEEPING.found_by("who_waits_gets_the_answer")
def wakes_one_of_those_who_wait(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Answers, "put")
    def put(original: Any, self: Any, event: Any, *, address: str, request: str) -> None:
        waiters = self._waiters.get((address, request), set())
        while len(waiters) > 1:
            waiters.pop()
        original(self, event, address=address, request=request)


@KEEPING.found_by("an_output_may_be_an_answer")
def lets_no_output_be_an_answer(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "_store_output")
    def store(original: Any, self: Any, output: Any, *, again: str) -> None:
        if output.event.parentid is None:
            original(self, output, again=again)


@KEEPING.found_by("an_answer_to_nothing_is_a_letter")
def loses_answers_to_nothing(patch: pytest.MonkeyPatch) -> None:
    _keeps(patch, lambda letter: None if letter.reason == "answers nothing" else letter)


@KEEPING.found_by("answers_do_not_wait_in_their_topic")
def lets_answers_wait_in_their_topic(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Store, "_store")
    def store(original: Any, self: Any, event: Any, *, topic: Any, again: str, **more: Any) -> None:
        original(self, event, topic=topic, again=again, **more)
        if topic.kind == "answers" and event.parentid is not None:
            topic.log.add(event, again=again, at=self._clock.utc_now(), due=None)


@KEEPING.found_by("a_cancelled_wait_ends_only_the_waiting")
def lets_nobody_wait_after_a_cancellation(patch: pytest.MonkeyPatch) -> None:
    @rewire(patch, Answers, "wait")
    async def wait(original: Any, self: Any, address: str, request: str) -> Any:
        try:
            return await original(self, address, request)
        except asyncio.CancelledError:
            self._waiters.pop((address, request), None)
            raise
