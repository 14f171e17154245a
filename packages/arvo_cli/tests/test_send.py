"""`arvo send`: what it refuses. Requests that are answered are in tests/test_worker_and_send.py, over Redis."""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from arvo_cli._input._request import Request
from arvo_cli._send._outbox import Outbox
from arvo_cli._send._sender import NotSentError, Sender
from arvo_core import ArvoEvent
from arvo_time.testing import FakeClock
from arvo_transport import Done, InMemoryEngine, InMemoryTransport, TopicSpec, TransportError

from .conftest import TOY_URL

GREET = "#/test/greet/1.0.0"


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give --events FILE, or --contract URI/VERSION and --data JSON"),
        (("--events", "x", "--data", "{}"), "give --events FILE, or --contract"),
        (("--data", "{}"), "--data is a payload of a contract: give --contract URI/VERSION"),
        (("--contract", "#/no/1.0.0", "--data", "{}"), "no handler has a contract '#/no/1.0.0'"),
        (("--contract", GREET, "--data", "{"), "--data: not JSON: "),
        (("--contract", GREET, "--data", '{"name": "\udcff"}'), "--data: not UTF-8"),
        (("--contract", GREET, "--data", "{}"), "data does not match Greet: name: Field required"),
        (
            ("--contract", GREET, "--data", '{"name": "a"}', "--key", "a b"),
            "--key takes 1 to 128 characters of A-Z a-z 0-9 . _ : @ -, not 'a b'",
        ),
        (("--events", "x", "--key", "k"), "--key names one request: give it with --data"),
        (("--events", "x", "--wait", "5"), "--wait takes a duration with its unit"),
        (
            ("--contract", GREET, "--data", '{"name": "a"}'),
            "no worker has served this transport yet",
        ),
    ],
    ids=lambda value: ascii("-".join(value) or "nothing") if isinstance(value, tuple) else None,
)
def test_wrong_usage(arvo: Any, targets: Path, options: tuple[str, ...], message: str) -> None:
    done = arvo("send", targets / "greeter", *options)
    assert (done.status, message in done.err) == (2, True), done.err


@pytest.mark.usefixtures("engine")
def test_a_target_may_wait_for_time(arvo: Any, targets: Path) -> None:
    contract = ("--contract", "#/test/egg/1.0.0", "--data", '{"text": "a"}')
    done = arvo("send", targets / "egg", *contract)
    assert (done.status, "no worker has served this transport yet" in done.err) == (2, True), done


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("option", ["--contract", "--flavour"])
def test_contracts_and_flavours_need_a_target(arvo: Any, option: str) -> None:
    done = arvo("send", "--events", "x", option, "one")
    assert (done.status, f"{option} " in done.err, "TARGET" in done.err) == (2, True, True)


@pytest.mark.usefixtures("engine")
def test_an_engine_that_is_away_is_reported_without_the_password(arvo: Any, targets: Path) -> None:
    url = TOY_URL.replace("host", "away")
    options = ("--contract", GREET, "--data", '{"name": "a"}', "--transport", url)
    done = arvo("send", targets / "greeter", *options)
    assert done.status == 4
    assert "cannot use the toy transport: nobody answers at toy://me:***@away/0" in done.err


def test_the_key_alone_makes_the_id(arvo: Any, targets: Path, engine: InMemoryEngine) -> None:
    """uuid5 of address, contract and key, as another client of that address would derive it."""
    declare(engine)

    def sent(name: str, *key: str) -> str:
        data = json.dumps({"name": name})
        out: str = arvo("send", targets / "greeter", "--contract", GREET, "--data", data, *key).out
        return out

    assert sent("ada", "--key", "k1") == sent("ben", "--key", "k1")
    assert sent("ada", "--key", "k1") != sent("ada", "--key", "k2")
    assert sent("ada") == sent("ada")
    assert sent("ada") != sent("ben")


def declare(engine: InMemoryEngine, *, max_waiting: int | None = None) -> None:
    async def make() -> None:
        transport = InMemoryTransport(engine)
        await transport.declare([TopicSpec("com.greet.name", max_waiting=max_waiting)])
        await transport.aclose()

    asyncio.run(make())


def test_answers_to_very_many_addresses_are_not_waited_for(
    arvo: Any, targets: Path, engine: InMemoryEngine, tmp_path: Path
) -> None:
    declare(engine)
    path = tmp_path / "events.jsonl"
    events = (
        ArvoEvent.create(source=f"com.shop.n{number}", type="com.greet.name", subject="s", data={})
        for number in range(65)
    )
    path.write_text("".join(f"{event.to_json()}\n" for event in events))
    done = arvo("send", "--events", path, "--wait", "60s")
    assert done.status == 2
    assert "answers to more than 64 addresses cannot be waited for at once" in done.err


@pytest.mark.usefixtures("engine")
def test_the_first_worker_is_waited_for_like_an_answer(arvo: Any, targets: Path) -> None:
    options = ("--contract", GREET, "--data", '{"name": "a"}', "--wait", "100ms")
    done = arvo("send", targets / "greeter", *options)
    assert (done.status, "no worker has served this transport yet" in done.err) == (2, True)


def test_lines_are_stored_in_order(
    arvo: Any, targets: Path, engine: InMemoryEngine, tmp_path: Path
) -> None:
    declare(engine)
    path = tmp_path / "names.jsonl"
    path.write_text("".join(f'{{"name": "n{number}"}}\n' for number in range(200)))
    done = arvo("send", targets / "greeter", "--contract", GREET, "--events", path)
    assert done.status == 0
    assert "com.greet.name     200" in done.err
    assert "stored event" in done.err
    waiting = arvo("topics", "peek", "com.greet.name", "--limit", 300, "--json").out.splitlines()
    events = [ArvoEvent.from_json(line) for line in waiting]
    assert [event.data["name"] for event in events] == [f"n{number}" for number in range(200)]
    assert [event.id for event in events] == done.out.split()


def test_what_the_engine_does_not_take_is_rejected_and_the_others_are_stored(
    arvo: Any, engine: InMemoryEngine, tmp_path: Path
) -> None:
    declare(engine)
    sources = {"long": "com." + "x" * 300, "taboo": "com.shop.web"}
    events = [
        ArvoEvent.create(
            id=name, source=sources.get(name, "com.shop.web"), type="com.greet.name", subject="s",
            data={},
        )
        for name in ("e1", "long", "e2", "taboo", "e3")
    ]  # fmt: skip
    path = tmp_path / "events.jsonl"
    path.write_text("".join(f"{event.to_json()}\n" for event in events))
    done = arvo("send", "--events", path)
    assert done.status == 3, done.err
    assert done.out.split() == ["e1", "e2", "e3"]
    assert "line 2 failed: its answer cannot be kept at 'com.xxx" in done.err
    assert "the topic's name is too long" in done.err
    assert "line 4 failed: the id 'taboo' is reserved" in done.err
    assert "3 results + 0 rejected + 2 failed = 5 lines read" in done.err


@pytest.mark.parametrize("options", [(), ("--wait", "60s")], ids=["ids", "answers"])
def test_an_engine_that_fails_on_the_way_ends_it_with_4(
    arvo: Any, targets: Path, engine: InMemoryEngine, tmp_path: Path, options: tuple[str, ...]
) -> None:
    declare(engine)
    path = tmp_path / "names.jsonl"
    path.write_text("".join(f'{{"name": "n{number}"}}\n' for number in range(500)))
    source = (targets / "greeter", "--contract", GREET, "--events", path)
    done = arvo("send", *source, *options, "--transport", TOY_URL.replace("host", "failing"))
    assert done.status == 4
    assert done.err.endswith("arvo: cannot use the toy transport: the line to *** is dead\n")
    assert "= 500 lines read" in done.err
    assert done.out == ""


def request(number: int, *, topic: str = "com.svc.pay") -> Request:
    event = ArvoEvent.create(
        id=f"e{number}", source="com.shop.web", type=topic, subject="s", data={}
    )
    return Request(event=event, answer_to="com.shop.web", repeated=False)


class Shaky(InMemoryTransport):
    """Fails some calls of `publish`, before or after they were made."""

    def __init__(self, engine: InMemoryEngine, *, failures: int, retryable: bool = True) -> None:
        super().__init__(engine)
        self.failures = failures
        self._retryable = retryable
        self.calls = 0

    @override
    async def publish(
        self, events: Sequence[ArvoEvent], *, at: datetime | None = None, again: str = ""
    ) -> None:
        self.calls += 1
        if self.failures % 2:
            await super().publish(events, at=at, again=again)
        if self.failures:
            self.failures -= 1
            raise TransportError("the line is dead", retryable=self._retryable, outcome="unknown")
        await super().publish(events, at=at, again=again)


class TestEngineThatFails:
    async def test_publishing_again_stores_each_event_once(self) -> None:
        transport = Shaky(InMemoryEngine(), failures=5)
        await transport.declare([TopicSpec("com.svc.pay")])
        clock = FakeClock()
        async with Outbox(transport, patience=None, say=print, clock=clock) as outbox:
            events = [request(number).event for number in range(3)]
            sending = asyncio.gather(*(outbox.publish(event, box=None) for event in events))
            await clock.run_until_complete(sending)
        waiting = await transport.peek("com.svc.pay")
        assert [event.id for event in waiting] == ["e0", "e1", "e2"]

    @pytest.mark.parametrize(
        ("failures", "retryable", "calls"), [(20, True, 6), (1, False, 1)], ids=["long", "for-good"]
    )
    async def test_one_that_fails_for_good_is_given_up(
        self, failures: int, retryable: bool, calls: int
    ) -> None:
        transport = Shaky(InMemoryEngine(), failures=failures, retryable=retryable)
        await transport.declare([TopicSpec("com.svc.pay")])
        clock = FakeClock()
        async with Outbox(transport, patience=None, say=print, clock=clock) as outbox:
            sending = outbox.publish(request(1).event, box=None)
            with pytest.raises(TransportError, match="the line is dead"):
                await clock.run_until_complete(sending)
        assert transport.calls == calls


async def test_what_has_its_answer_is_not_sent_again() -> None:
    transport = Shaky(InMemoryEngine(), failures=0)
    await transport.declare([TopicSpec("com.svc.pay"), TopicSpec("com.shop.web", kind="answers")])
    asked = request(1)
    answer = ArvoEvent.create(
        source="com.svc.pay",
        type="evt.svc.pay.success",
        to="com.shop.web",
        subject="s",
        parentid=asked.event.id,
        data={},
    )
    await transport.publish([answer])
    async with Sender(transport, wait=timedelta(seconds=1), say=print, clock=FakeClock()) as sender:
        assert await sender.send(asked) == answer
    assert transport.calls == 1
    assert await transport.peek("com.svc.pay") == []


class TestTopicThatIsFull:
    async def test_it_is_waited_for_and_that_is_shown_once(self) -> None:
        transport = Shaky(InMemoryEngine(), failures=0)
        await transport.declare([TopicSpec("com.svc.pay", max_waiting=1)])
        await transport.publish([request(0).event])
        clock = FakeClock()
        shown: list[str] = []
        async with Sender(transport, wait=None, say=shown.append, clock=clock) as sender:
            sending = asyncio.ensure_future(sender.send(request(1)))
            await clock.run_for(timedelta(hours=1))
            assert not sending.done()
            [waits] = shown
            assert waits == (
                "waiting for room: the topic 'com.svc.pay' is full: 1 events waiting, 1 allowed; "
                "publish again later, or start more workers of its handler"
            )
            async with transport.inbox(TopicSpec("com.svc.pay"), prefetch=1) as inbox:
                [received] = await inbox.receive(1)
                await inbox.settle(received, Done())
            assert await clock.run_until_complete(sending) is None
        assert shown[1:] == ["there is room again in com.svc.pay"]
        assert [event.id for event in await transport.peek("com.svc.pay")] == ["e1"]

    async def test_it_is_not_waited_for_longer_than_for_an_answer(self) -> None:
        transport = Shaky(InMemoryEngine(), failures=0)
        await transport.declare([TopicSpec("com.svc.pay", max_waiting=1)])
        await transport.publish([request(0).event])
        clock = FakeClock()
        wait = timedelta(seconds=30)
        async with Sender(transport, wait=wait, say=print, clock=clock) as sender:
            with pytest.raises(NotSentError, match=r"the topic 'com\.svc\.pay' is full"):
                await clock.run_until_complete(sender.send(request(1)))
        assert clock.monotonic() == pytest.approx(30, abs=1)

    def test_the_command_says_so(self, arvo: Any, targets: Path, engine: InMemoryEngine) -> None:
        declare(engine, max_waiting=1)
        send = ("send", targets / "greeter", "--contract", GREET, "--data")
        assert arvo(*send, '{"name": "a"}').status == 0
        done = arvo(*send, '{"name": "b"}', "--wait", "100ms")
        assert done.status == 2
        assert "waiting for room: the topic 'com.greet.name' is full" in done.err
        assert "arvo: the topic 'com.greet.name' is full: 1 events waiting, 1 allowed" in done.err
