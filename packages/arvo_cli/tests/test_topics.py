"""`arvo topics` over the transport in the process."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from arvo_core import ArvoEvent
from arvo_transport import InMemoryEngine, InMemoryTransport, TopicSpec

Seed = Callable[[], None]


@pytest.fixture
def seeded(engine: InMemoryEngine) -> InMemoryEngine:
    """Three events wait in an ordered topic, none in one that is only asked for."""

    async def seed() -> None:
        transport = InMemoryTransport(engine)
        await transport.declare(
            [
                TopicSpec("com.shop.order", order="subject"),
                TopicSpec("com.svc.pay", owner=False),
                TopicSpec("com.shop.web", kind="answers"),
            ]
        )
        await transport.publish(
            [
                ArvoEvent.create(
                    id=f"e{number}",
                    source="com.shop.web",
                    type="com.shop.order",
                    subject=f"s{number}",
                    data={"note": f"\x1b[2J{number}"},
                )
                for number in range(3)
            ]
        )
        await transport.aclose()

    asyncio.run(seed())
    return engine


@pytest.mark.usefixtures("seeded")
def test_list_shows_the_topics_that_are_handled(arvo: Any) -> None:
    done = arvo("topics", "list")
    assert done.status == 0
    rows = {line.split()[0]: line.split()[1:] for line in done.out.splitlines()[2:]}
    assert rows["com.shop.order"][:5] == ["subject", "4", "open", "3", "0"]
    assert rows["com.svc.pay"][:4] == ["none", "1", "asked", "for"]
    assert "com.shop.web" not in rows


@pytest.mark.usefixtures("seeded")
def test_list_as_json(arvo: Any) -> None:
    shown = [json.loads(line) for line in arvo("topics", "list", "--json").out.splitlines()]
    order = next(each for each in shown if each["topic"] == "com.shop.order")
    assert (order["waiting"], order["in_hand"], order["delayed"], order["dead"]) == (3, 0, 0, 0)
    assert (order["order"], order["partitions"], order["paused"]) == ("subject", 4, False)
    assert (order["owned"], order["oldest"] is None, order["workers"]) == (True, False, 0)


def test_list_of_nothing(arvo: Any, engine: InMemoryEngine) -> None:
    done = arvo("topics", "list")
    assert done.status == 0
    assert done.out == "" or "com." not in done.out


@pytest.mark.usefixtures("seeded")
def test_peek_shows_the_oldest_and_takes_nothing(arvo: Any) -> None:
    for _ in range(2):
        done = arvo("topics", "peek", "com.shop.order", "--limit", 2)
        assert [line.split()[0] for line in done.out.splitlines()[2:]] == ["e0", "e1"]
        assert "\x1b" not in done.out
    events = arvo("topics", "peek", "com.shop.order", "--json").out.splitlines()
    assert [ArvoEvent.from_json(line).id for line in events] == ["e0", "e1", "e2"]


@pytest.mark.usefixtures("seeded")
def test_peek_into_an_empty_topic(arvo: Any) -> None:
    done = arvo("topics", "peek", "com.svc.pay")
    assert (done.status, done.out, done.err) == (0, "", "arvo: no event waits in com.svc.pay\n")


def paused(arvo: Any) -> bool:
    shown = [json.loads(line) for line in arvo("topics", "list", "--json").out.splitlines()]
    found: bool = next(each["paused"] for each in shown if each["topic"] == "com.shop.order")
    return found


@pytest.mark.usefixtures("seeded")
def test_pause_and_resume(arvo: Any) -> None:
    done = arvo("topics", "pause", "com.shop.order")
    assert (done.status, paused(arvo)) == (0, True)
    assert done.err.startswith("arvo: com.shop.order is paused")
    done = arvo("topics", "resume", "com.shop.order")
    assert (done.status, paused(arvo)) == (0, False)
    assert done.err.startswith("arvo: com.shop.order is resumed")


@pytest.mark.usefixtures("seeded")
def test_relayout_keeps_what_waits(arvo: Any) -> None:
    done = arvo("topics", "relayout", "com.shop.order", "--partitions", 8)
    assert done.status == 0
    assert done.err.endswith("arvo: com.shop.order has the order subject, 8 partitions\n")
    events = arvo("topics", "peek", "com.shop.order", "--json").out.splitlines()
    assert {ArvoEvent.from_json(line).id for line in events} == {"e0", "e1", "e2"}
    done = arvo("topics", "relayout", "com.shop.order", "--order", "none")
    assert done.err.endswith("arvo: com.shop.order has the order none\n")


@pytest.mark.usefixtures("seeded")
def test_relayout_without_a_wish(arvo: Any) -> None:
    done = arvo("topics", "relayout", "com.shop.order")
    assert (done.status, done.err) == (
        2,
        "arvo: what is to change? Give --order or --partitions, or both\n",
    )


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize(
    "command", [("peek",), ("pause",), ("resume",), ("relayout", "--partitions", "2")], ids=" ".join
)
def test_an_undeclared_topic_is_an_error(arvo: Any, command: tuple[str, ...]) -> None:
    done = arvo("topics", *command, "com.nobody")
    assert (done.status, "nobody has declared the topic 'com.nobody'" in done.err) == (2, True)
