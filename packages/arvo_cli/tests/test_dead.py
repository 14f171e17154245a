"""`arvo dead` over the transport in the process."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import DeadLetter, DeadLetterReason
from arvo_transport import Dead, Done, InMemoryEngine, InMemoryTransport, Output, TopicSpec

from .conftest import TOY_URL

PAY = TopicSpec("com.svc.pay")
SHIP = TopicSpec("com.svc.ship")
Bury = Callable[..., list[str]]


def event(number: int, topic: str, **data: Any) -> ArvoEvent:
    return ArvoEvent.create(
        id=f"e{number}", source="com.shop.web", type=topic, subject=f"s{number}", data=data
    )


@pytest.fixture
def bury(engine: InMemoryEngine) -> Bury:
    """Make dead letters of events, and return their keys. `lost` is the id of one that is handled,
    and whose output nobody takes; `large`, of one whose output is too large to keep."""

    async def make(
        events: Sequence[ArvoEvent], reason: DeadLetterReason, replied: bool, lost: str, large: str
    ) -> list[str]:
        async with AsyncExitStack() as stack:
            transport = InMemoryTransport(engine)
            stack.push_async_callback(transport.aclose)
            await transport.declare([PAY, SHIP])
            await transport.publish(events)
            for each in events:
                inbox = await stack.enter_async_context(
                    transport.inbox(TopicSpec(each.type), prefetch=1)
                )
                [received] = await inbox.receive(1)
                if received.event.id == lost:
                    output = Output(event(99, "com.nobody.there"), topic="com.nobody.there")
                    await inbox.settle(received, Done(outputs=[output]))
                    continue
                if received.event.id == large:
                    filling = "x" * (2 * transport.capabilities.max_event_bytes)
                    output = Output(event(99, SHIP.name, filling=filling), topic=SHIP.name)
                    await inbox.settle(received, Done(outputs=[output]))
                    continue
                letter = DeadLetter(
                    event=received.event,
                    error=ConnectionError(f"no line for {received.event.id}\x1b[2J"),
                    attempts=4,
                    handler=received.event.type,
                    reason=reason,
                    replied=replied,
                )
                await inbox.settle(received, Dead(letter=letter))
            return [letter.key for letter in await transport.dead_letters()]

    def call(
        *events: ArvoEvent,
        reason: DeadLetterReason = DeadLetterReason.EXHAUSTED,
        replied: bool = False,
        lost: str = "",
        large: str = "",
    ) -> list[str]:
        return asyncio.run(make(events, reason, replied, lost, large))

    return call


def depths(engine: InMemoryEngine, topic: TopicSpec) -> tuple[int, int]:
    """Return how many events wait, and how many letters there are."""

    async def look() -> tuple[int, int]:
        transport = InMemoryTransport(engine)
        depth = await transport.depth(topic.name)
        await transport.aclose()
        return depth.waiting, depth.dead

    return asyncio.run(look())


class TestList:
    def test_shows_a_table_without_control_characters(self, arvo: Any, bury: Bury) -> None:
        keys = bury(event(1, "com.svc.pay"), event(2, "com.svc.ship"))
        done = arvo("dead", "list")
        assert done.status == 0
        assert all(key in done.out for key in keys)
        assert "ConnectionError: no line for e1" in done.out
        assert "\x1b" not in done.out
        assert done.err == "arvo: 2 dead letters\n"

    def test_json_has_one_object_per_line(self, arvo: Any, bury: Bury) -> None:
        keys = bury(event(1, "com.svc.pay"), event(2, "com.svc.ship"))
        shown = [json.loads(line) for line in arvo("dead", "list", "--json").out.splitlines()]
        assert [letter["key"] for letter in shown] == keys
        assert [letter["event"]["id"] for letter in shown] == ["e1", "e2"]
        assert {letter["reason"] for letter in shown} == {"exhausted"}

    @pytest.mark.parametrize(
        ("options", "found"),
        [
            (("--topic", "com.svc.ship"), ["e2"]),
            (("--type", "com.svc.pay"), ["e1"]),
            (("--reason", "exhausted"), ["e1", "e2"]),
            (("--reason", "expired"), []),
            (("--older", "1d"), []),
            (("--older", "0s"), ["e1", "e2"]),
            (("--limit", "1"), ["e1"]),
        ],
        ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
    )
    def test_filters(
        self, arvo: Any, bury: Bury, options: tuple[str, ...], found: list[str]
    ) -> None:
        bury(event(1, "com.svc.pay"), event(2, "com.svc.ship"))
        done = arvo("dead", "list", "--json", *options)
        assert [json.loads(line)["event"]["id"] for line in done.out.splitlines()] == found

    def test_more_letters_than_a_page_are_all_read(self, arvo: Any, bury: Bury) -> None:
        bury(*(event(number, "com.svc.pay") for number in range(203)))
        done = arvo("dead", "list", "--json", "--limit", 1000)
        ids = [json.loads(line)["event"]["id"] for line in done.out.splitlines()]
        assert ids == [f"e{number}" for number in range(203)]
        assert (
            arvo("dead", "list", "--limit", 202).err
            == "arvo: 202 dead letters; --limit shows more\n"
        )

    def test_an_unknown_reason_is_refused_with_the_known_ones(
        self, arvo: Any, engine: InMemoryEngine
    ) -> None:
        done = arvo("dead", "list", "--reason", "tired")
        assert done.status == 2
        assert "--reason 'tired' is none; choose one of: exhausted, not retryable" in done.err

    @pytest.mark.parametrize("text", ["1", "1w", "-1d", "d", "999999999d", ""])
    def test_a_bad_age_is_refused(self, arvo: Any, engine: InMemoryEngine, text: str) -> None:
        done = arvo("dead", "list", "--older", text)
        assert (done.status, done.err.startswith("arvo: --older")) == (2, True)


class TestShow:
    def test_shows_event_error_and_stack(self, arvo: Any, bury: Bury) -> None:
        [key, _] = bury(event(1, "com.svc.pay", amount=12), event(2, "com.svc.ship"))
        done = arvo("dead", "show", key)
        assert done.status == 0
        assert '"amount": 12' in done.out
        assert "4 failed, delivered 1 times" in done.out
        assert "was told nothing" in done.out
        assert "e2" not in done.out
        assert "\x1b" not in done.out

    def test_an_unknown_key_is_refused(self, arvo: Any, bury: Bury) -> None:
        bury(event(1, "com.svc.pay"))
        done = arvo("dead", "show", "gone")
        assert done.status == 1
        assert done.err.startswith("arvo: there is no dead letter gone: it was redriven or dropped")


class TestRedrive:
    def test_puts_an_event_back_and_forgets_its_letter(
        self, arvo: Any, bury: Bury, engine: InMemoryEngine
    ) -> None:
        [key, _] = bury(event(1, "com.svc.pay"), event(2, "com.svc.pay"))
        done = arvo("dead", "redrive", key, "--yes")
        assert (done.status, done.err) == (0, "arvo: 1 dead letter redriven\n")
        assert depths(engine, PAY) == (1, 1)

    def test_by_filter(self, arvo: Any, bury: Bury, engine: InMemoryEngine) -> None:
        bury(event(1, "com.svc.pay"), event(2, "com.svc.ship"))
        assert arvo("dead", "redrive", "--topic", "com.svc.pay", "--yes").status == 0
        assert (depths(engine, PAY), depths(engine, SHIP)) == ((1, 0), (0, 1))

    def test_all_of_many(self, arvo: Any, bury: Bury, engine: InMemoryEngine) -> None:
        bury(*(event(number, "com.svc.pay") for number in range(203)))
        done = arvo("dead", "redrive", "--all", "--yes")
        assert (done.status, done.err) == (0, "arvo: 203 dead letters redriven\n")
        assert depths(engine, PAY) == (203, 0)

    def test_a_dry_run_only_shows_them(self, arvo: Any, bury: Bury, engine: InMemoryEngine) -> None:
        keys = bury(event(1, "com.svc.pay"), event(2, "com.svc.ship"))
        done = arvo("dead", "redrive", "--all", "--dry-run", "--json")
        assert [json.loads(line)["key"] for line in done.out.splitlines()] == keys
        assert (done.status, done.err) == (0, "arvo: would redrive 2 dead letters\n")
        assert depths(engine, PAY) == (0, 1)

    def test_nobody_can_be_asked_without_a_terminal(
        self, arvo: Any, bury: Bury, engine: InMemoryEngine
    ) -> None:
        bury(event(1, "com.svc.pay"))
        done = arvo("dead", "redrive", "--all")
        assert done.status == 2
        assert done.err.startswith("arvo: Redrive 1 dead letter? Standard input is no terminal")
        assert depths(engine, PAY) == (0, 1)

    def test_an_answered_letter_needs_force(
        self, arvo: Any, bury: Bury, engine: InMemoryEngine
    ) -> None:
        [key] = bury(event(1, "com.svc.pay"), replied=True)
        done = arvo("dead", "redrive", key, "--yes")
        assert done.status == 1
        assert f"nothing was redriven, as of {key}: the sender was sent a system error" in done.err
        assert depths(engine, PAY) == (0, 1)
        assert arvo("dead", "redrive", key, "--yes", "--force").status == 0
        assert depths(engine, PAY) == (1, 0)

    def test_a_filter_leaves_answered_letters(
        self, arvo: Any, bury: Bury, engine: InMemoryEngine
    ) -> None:
        bury(event(1, "com.svc.pay"), replied=True)
        bury(event(2, "com.svc.pay"))
        done = arvo("dead", "redrive", "--all", "--yes")
        assert done.status == 1
        assert done.err == (
            "arvo: 1 dead letter redriven\n"
            "arvo: 1 dead letter left: the sender was sent a system error; "
            "--force redrives all the same\n"
        )
        assert depths(engine, PAY) == (1, 1)

    def test_a_refused_letter_is_left_and_the_others_are_redriven(
        self, arvo: Any, bury: Bury, engine: InMemoryEngine
    ) -> None:
        keys = bury(*(event(number, "com.svc.pay") for number in range(1, 4)), lost="e2")
        done = arvo("dead", "redrive", "--all", "--yes")
        assert done.status == 1
        assert done.err == (
            f"arvo: {keys[1]} left: nobody has declared the topic 'com.nobody.there': start a worker "
            "of its handler, or of a workflow that asks it; `arvo topics list` shows all topics\n"
            "arvo: 2 dead letters redriven\n"
        )
        assert depths(engine, PAY) == (2, 0)
        left = [json.loads(line) for line in arvo("dead", "list", "--json").out.splitlines()]
        assert [letter["key"] for letter in left] == [keys[1]]

    def test_a_letter_without_all_of_its_event_is_left(
        self, arvo: Any, bury: Bury, engine: InMemoryEngine
    ) -> None:
        """It was too large to keep."""
        [key] = bury(event(1, "com.svc.pay"), large="e1")
        done = arvo("dead", "redrive", key, "--yes")
        assert done.status == 1
        assert f"nothing was redriven, as of {key}: the event was not kept as a whole" in done.err
        assert arvo("dead", "redrive", key, "--yes", "--force").status == 1
        assert len(arvo("dead", "list", "--json").out.splitlines()) == 1

    def test_an_engine_that_fails_half_way_does_not_hide_what_was_done(
        self, arvo: Any, bury: Bury, engine: InMemoryEngine
    ) -> None:
        bury(event(1, "com.svc.pay"), event(2, "com.svc.pay"), event(3, "com.svc.pay"))
        url = TOY_URL.replace("host", "failing")
        done = arvo("dead", "redrive", "--all", "--yes", "--transport", url)
        assert done.status == 4
        assert done.err == (
            "arvo: 1 dead letter redriven\n"
            "arvo: cannot use the toy transport: the line to *** is dead\n"
        )
        assert depths(engine, PAY) == (1, 2)

    def test_an_unknown_key_redrives_nothing(
        self, arvo: Any, bury: Bury, engine: InMemoryEngine
    ) -> None:
        [key] = bury(event(1, "com.svc.pay"))
        done = arvo("dead", "redrive", key, "gone", "--yes")
        assert (done.status, "there is no dead letter gone" in done.err) == (1, True)
        assert depths(engine, PAY) == (0, 1)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ((), "which letters? Give KEYs, filters such as --topic, or --all to redrive all"),
            (("k", "--all"), "give KEYs, or filters such as --topic, but not both"),
            (("k", "--older", "1d"), "give KEYs, or filters such as --topic, but not both"),
        ],
        ids=["nothing", "all", "filter"],
    )
    def test_it_must_be_said_which_letters(
        self, arvo: Any, engine: InMemoryEngine, options: tuple[str, ...], message: str
    ) -> None:
        done = arvo("dead", "redrive", *options)
        assert (done.status, done.err) == (2, f"arvo: {message}\n")


class TestDrop:
    def test_forgets_letters_also_answered_ones(
        self, arvo: Any, bury: Bury, engine: InMemoryEngine
    ) -> None:
        bury(event(1, "com.svc.pay"), replied=True)
        bury(event(2, "com.svc.ship"))
        done = arvo("dead", "drop", "--topic", "com.svc.pay", "--yes")
        assert (done.status, done.err) == (0, "arvo: 1 dead letter dropped\n")
        assert (depths(engine, PAY), depths(engine, SHIP)) == ((0, 0), (0, 1))

    def test_nothing_to_drop(self, arvo: Any, engine: InMemoryEngine) -> None:
        done = arvo("dead", "drop", "--all")
        assert (done.status, done.err) == (0, "arvo: no dead letter to drop\n")


@pytest.mark.usefixtures("engine")
class TestTransportUrl:
    @pytest.mark.parametrize(
        ("url", "status", "reason"),
        [
            (TOY_URL.replace("host", "away"), 4, "cannot use the toy transport: nobody answers at"),
            (TOY_URL.replace("host", "locked"), 4, "cannot use the toy transport: wrong password"),
            (TOY_URL.replace("host", "odd"), 2, "cannot open the toy transport: unknown option in"),
        ],
        ids=["away", "locked", "odd"],
    )
    def test_no_message_shows_the_password(
        self, arvo: Any, url: str, status: int, reason: str
    ) -> None:
        done = arvo("dead", "list", "--transport", url)
        assert (done.status, reason in done.err) == (status, True)
        assert "s3cret" not in done.err

    def test_an_unknown_scheme_is_refused(self, arvo: Any) -> None:
        done = arvo("dead", "list", "--transport", "amqp://me:s3cret@host")
        assert done.status == 2
        assert "no installed package has a transport for amqp:" in done.err
        assert "s3cret" not in done.err

    def test_that_within_one_process_is_refused(self, arvo: Any) -> None:
        done = arvo("dead", "list", "--transport", "memory:")
        assert done.status == 2
        assert "--transport memory: carries events within one process" in done.err

    def test_is_required(self, arvo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("ARVO_TRANSPORT")
        done = arvo("dead", "list")
        assert (done.status, "--transport" in done.err) == (2, True)
