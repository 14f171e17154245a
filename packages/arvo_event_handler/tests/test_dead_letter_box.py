"""Dead letters of one process: kept, listed, published again, dropped."""

import logging
from datetime import timedelta
from typing import Any

import pytest

from arvo_core import ArvoEvent
from arvo_event_handler import ConfigViolation
from arvo_event_handler.delivery import DeadLetter, DeadLetterBox, DeadLetterReason, StoredLetter
from arvo_time.testing import FakeClock


def letter(id: str, **changes: Any) -> DeadLetter:
    event = ArvoEvent.create(
        id=id, source="com.app", type=changes.pop("type", "com.svc.one"), subject="order-7",
        to="com.svc.one", data={},
    )  # fmt: skip
    given: dict[str, Any] = {
        "error": ConnectionError("no"),
        "attempts": 4,
        "handler": "com.svc.one",
        "reason": DeadLetterReason.EXHAUSTED,
        **changes,
    }
    return DeadLetter(event=event, **given)


def published(stored: StoredLetter) -> ArvoEvent:
    assert stored.event is not None
    return stored.event


async def box_of(*letters: DeadLetter, most: int = 100) -> DeadLetterBox:
    box = DeadLetterBox(most=most)
    for each in letters:
        await box(each)
    return box


async def ids(box: DeadLetterBox, **which: Any) -> list[str]:
    return [published(stored).id for stored in await box.dead_letters(**which)]


async def keys(box: DeadLetterBox) -> list[str]:
    return [stored.key for stored in await box.dead_letters()]


class TestLooking:
    async def test_letters_come_oldest_first_with_the_time_they_were_kept(self) -> None:
        clock = FakeClock()
        box = DeadLetterBox(clock=clock)
        await box(letter("e1"))
        clock.advance(timedelta(seconds=5))
        await box(letter("e2"))
        first, second = await box.dead_letters()
        assert [published(first).id, published(second).id] == ["e1", "e2"]
        assert second.at - first.at == timedelta(seconds=5)

    async def test_some_are_found_by_topic_reason_and_type(self) -> None:
        box = await box_of(
            letter("e1"),
            letter("e2", handler="com.svc.other"),
            letter("e3", reason=DeadLetterReason.UNROUTABLE, handler=None),
            letter("e4", type="com.asked.for"),
        )
        assert await ids(box) == ["e1", "e2", "e3", "e4"]
        assert await ids(box, topic="com.svc.other") == ["e2"]
        assert await ids(box, reason="unroutable") == ["e3"]
        assert await ids(box, type="com.asked.for") == ["e4"]
        assert await ids(box, topic="com.svc.one", type="com.svc.one") == ["e1"]

    async def test_pages_follow_each_other_although_letters_go(self) -> None:
        box = await box_of(*(letter(f"e{number}") for number in range(5)))
        page = await box.dead_letters(limit=2)
        await box.drop([page[-1].key])
        assert await ids(box, after=page[-1].key, limit=2) == ["e2", "e3"]

    async def test_a_page_limit_below_one_is_refused(self) -> None:
        with pytest.raises(ValueError, match="limit must be at least 1, got 0"):
            await (await box_of()).dead_letters(limit=0)


class TestKeeping:
    async def test_the_oldest_is_logged_and_dropped_when_there_are_too_many(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.ERROR)
        box = await box_of(letter("e1"), letter("e2"), letter("e3"), most=2)
        assert await ids(box) == ["e2", "e3"]
        [line] = caplog.messages
        assert line.startswith(
            "event e1 of type com.svc.one for com.svc.one is dead (exhausted; dropped"
        )

    async def test_a_second_death_has_a_key_of_its_own(self) -> None:
        box = await box_of(letter("e1"), letter("e1"))
        assert len(set(await keys(box))) == 2


class TestRedriving:
    async def test_a_published_letter_is_dropped(self) -> None:
        published: list[str] = []

        async def publish(event: ArvoEvent) -> None:
            published.append(event.id)

        box = await box_of(letter("e1"), letter("e2"), letter("e3"))
        box.publish_with(publish)
        first, _, third = await keys(box)
        assert await box.redrive([third, first, "unknown", third]) == 2
        assert published == ["e3", "e1"]
        assert await ids(box) == ["e2"]

    async def test_what_cannot_be_published_is_kept_in_its_place(self) -> None:
        async def publish(event: ArvoEvent) -> None:
            raise ConnectionError("no")

        box = await box_of(letter("e1"), letter("e2"))
        box.publish_with(publish)
        with pytest.raises(ConnectionError):
            await box.redrive([(await keys(box))[0]])
        assert await ids(box) == ["e1", "e2"]

    async def test_two_calls_publish_a_letter_once(self) -> None:
        published: list[str] = []

        async def publish(event: ArvoEvent) -> None:
            published.append(event.id)
            if len(published) == 1:
                assert await box.redrive([key]) == 0

        box = await box_of(letter("e1"))
        box.publish_with(publish)
        [key] = await keys(box)
        assert await box.redrive([key]) == 1
        assert published == ["e1"]

    async def test_a_letter_with_a_sent_reply_is_published_only_by_force(self) -> None:
        published: list[str] = []

        async def publish(event: ArvoEvent) -> None:
            published.append(event.id)

        box = await box_of(letter("e1"), letter("e2", replied=True))
        box.publish_with(publish)
        with pytest.raises(ValueError, match="pass force=True"):
            await box.redrive(await keys(box))
        assert (published, await ids(box)) == ([], ["e1", "e2"])
        assert await box.redrive(await keys(box), force=True) == 2
        assert published == ["e1", "e2"]

    async def test_publishing_without_a_publish_function_is_refused(self) -> None:
        box = await box_of(letter("e1"))
        with pytest.raises(ConfigViolation, match=r"box\.publish_with\(broker\.publish\)"):
            await box.redrive(await keys(box))
        with pytest.raises(TypeError, match="publish must be an `async def` function"):
            box.publish_with(print)  # type: ignore[arg-type]


class TestDropping:
    async def test_dropping_returns_the_number_of_letters(self) -> None:
        box = await box_of(letter("e1"), letter("e2"))
        first, _ = await keys(box)
        assert await box.drop([first, first, "unknown"]) == 1
        assert await ids(box) == ["e2"]
        assert len(box) == 1
