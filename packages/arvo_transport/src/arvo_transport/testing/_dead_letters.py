"""What must hold for events that will not be handled."""

from collections.abc import Sequence

from arvo_event_handler import ConfigViolation, UnroutableError
from arvo_event_handler.delivery import DeadLetterReason, StoredLetter
from arvo_transport import Dead, Done, Output, TopicSpec, topic_of_output

from ._engine_under_test import EngineUnderTest
from ._events import PAY, SHIP, UNDECLARED, event, event_of_size, letter_of
from ._scene import SHORT, Scene, Worker, ids


class DeadLetters:
    """What `Dead`, `dead_letters`, `redrive` and `drop` promise."""

    async def test_a_dead_event_is_kept_as_a_letter(self, engine: EngineUnderTest) -> None:
        """With all that is known, also when the worker dies next; the input is gone."""
        async with Scene(engine, PAY, patience=SHORT) as scene:
            before = engine.clock.now()
            await scene.client.publish([event(1)])
            dying = await scene.worker(PAY)
            await _die(dying, error=RuntimeError("out of order"))
            await dying.kill()
            await scene.rest(PAY, waiting=0, in_hand=0, dead=1)
            [letter] = await scene.client.dead_letters()
            assert letter.event == event(1)
            assert (letter.topic, letter.reason) == (PAY.name, DeadLetterReason.EXHAUSTED)
            assert (letter.error.name, letter.error.message) == ("RuntimeError", "out of order")
            assert (letter.attempts, letter.deliveries, letter.replied) == (3, 2, False)
            assert letter.publishable
            assert abs((letter.at - before).total_seconds()) < 300

    async def test_what_its_sender_is_told_is_stored_with_the_letter(
        self, engine: EngineUnderTest
    ) -> None:
        """The outputs of `Dead`, in their topics."""
        async with Scene(engine, PAY, SHIP) as scene:
            await scene.client.publish([event(1)])
            worker = await scene.worker(PAY)
            [received] = await worker.receive(1)
            letter = letter_of(received.event, replied=True)
            outputs = [Output(event(2, to=SHIP), topic=SHIP.name)]
            await worker.inbox.settle(received, Dead(letter=letter, outputs=outputs))
            assert ids(await (await scene.worker(SHIP)).receive(1)) == ["event-2"]
            [kept] = await scene.client.dead_letters()
            assert kept.replied

    async def test_a_letter_of_the_largest_event_fits(self, engine: EngineUnderTest) -> None:
        """Whatever its error has to say, and the input is settled."""
        async with Scene(engine, PAY) as scene:
            largest = event_of_size(scene.client.capabilities.max_event_bytes)
            await scene.client.publish([largest])
            await _die(await scene.worker(PAY), error=_raised(depth=200, message="x" * 100_000))
            await scene.rest(PAY, waiting=0, in_hand=0, dead=1)
            [letter] = await scene.client.dead_letters()
            assert letter.event == largest
            assert letter.publishable

    async def test_a_letter_of_what_is_too_large_has_its_beginning(
        self, engine: EngineUnderTest
    ) -> None:
        """It is kept to be looked at, and cannot be published again."""
        async with Scene(engine, PAY, SHIP) as scene:
            most = scene.client.capabilities.max_event_bytes
            large = event_of_size(2 * most + 1024 * 1024, number=2, to=SHIP)
            await scene.client.publish([event(1)])
            worker = await scene.worker(PAY)
            [received] = await worker.receive(1)
            await worker.done(received, Output(large, topic=SHIP.name))
            [letter] = await scene.client.dead_letters(reason="too large")
            assert not letter.publishable
            assert letter.event is not None
            assert (letter.event.id, letter.event.subject) == (large.id, large.subject)
            try:
                await scene.client.redrive([letter.key], force=True)
            except ConfigViolation:
                pass
            else:
                raise AssertionError("a letter without all of its event must not be redriven")
            assert len(await scene.client.dead_letters()) == 1

    async def test_letters_are_found_by_topic_reason_and_type(
        self, engine: EngineUnderTest
    ) -> None:
        """Together and each alone; None means any."""
        async with Scene(engine, PAY, SHIP) as scene:
            client = scene.client
            await client.publish([event(1), event(2, to=SHIP)])
            await _die(await scene.worker(PAY), reason=DeadLetterReason.EXPIRED)
            await _die(await scene.worker(SHIP), reason=DeadLetterReason.EXHAUSTED)
            assert _numbers(await client.dead_letters()) == [1, 2]
            assert _numbers(await client.dead_letters(PAY.name)) == [1]
            assert _numbers(await client.dead_letters(reason=DeadLetterReason.EXHAUSTED)) == [2]
            assert _numbers(await client.dead_letters(reason="expired")) == [1]
            assert _numbers(await client.dead_letters(type=SHIP.name)) == [2]
            assert not await client.dead_letters(SHIP.name, reason="expired")
            depths = [(await client.depth(each.name)).dead for each in (PAY, SHIP)]
            assert depths == [1, 1]

    async def test_letters_are_listed_oldest_first_page_by_page(
        self, engine: EngineUnderTest
    ) -> None:
        """A page begins after the last letter of the one before, also when that was dropped."""
        async with Scene(engine, PAY) as scene:
            worker = await scene.worker(PAY)
            for number in range(7):
                await scene.client.publish([event(number)])
                await _die(worker)
            first = await scene.client.dead_letters(PAY.name, limit=3)
            await scene.client.drop([first[-1].key])
            second = await scene.client.dead_letters(PAY.name, after=first[-1].key, limit=3)
            third = await scene.client.dead_letters(PAY.name, after=second[-1].key, limit=3)
            pages = [_numbers(page) for page in (first, second, third)]
            assert pages == [[0, 1, 2], [3, 4, 5], [6]]

    # --- redriven -----------------------------------------------------------

    async def test_a_redriven_event_is_delivered_again(self, engine: EngineUnderTest) -> None:
        """Under its own id, with fresh counts, as a copy on purpose; its letter is gone."""
        async with Scene(engine, PAY) as scene:
            await scene.client.publish([event(1)])
            worker = await scene.worker(PAY)
            await _die(worker)
            [letter] = await scene.client.dead_letters()
            assert await scene.client.redrive([letter.key]) == 1
            assert not await scene.client.dead_letters()
            [received] = await worker.receive(1)
            assert received.event == event(1)
            assert (received.deliveries, received.failed) == (1, 0)
            assert received.again == f"redrive:{letter.key}"

    async def test_answers_to_a_redriven_event_are_delivered(self, engine: EngineUnderTest) -> None:
        """Its handler may have answered before, with the same id."""
        async with Scene(engine, PAY, SHIP) as scene:
            worker, shipper = await scene.worker(PAY), await scene.worker(SHIP)
            output = Output(event(2, to=SHIP), topic=SHIP.name)
            await scene.client.publish([event(1)])
            [received] = await worker.receive(1)
            dead = Dead(letter=letter_of(received.event), outputs=[output])
            await worker.inbox.settle(received, dead)
            await shipper.handle(1)
            [letter] = await scene.client.dead_letters()
            await scene.client.redrive([letter.key])
            [received] = await worker.receive(1)
            await worker.inbox.settle(received, Done(outputs=[output]))
            assert ids(await shipper.handle(1)) == ["event-2"]

    async def test_a_redriven_event_may_die_again(self, engine: EngineUnderTest) -> None:
        """Its next letter has another key, a greater one, and can be redriven too."""
        async with Scene(engine, PAY) as scene:
            worker = await scene.worker(PAY)
            await scene.client.publish([event(1)])
            keys: list[str] = []
            for _ in range(3):
                await _die(worker)
                [letter] = await scene.client.dead_letters()
                keys.append(letter.key)
                assert await scene.client.redrive([letter.key]) == 1
            assert keys == sorted(set(keys))
            assert ids(await worker.receive(1)) == ["event-1"]

    async def test_a_letter_that_is_gone_is_passed_over(self, engine: EngineUnderTest) -> None:
        """By `redrive` and `drop`; each letter counts once."""
        async with Scene(engine, PAY) as scene:
            worker = await scene.worker(PAY)
            await scene.client.publish([event(1), event(2)])
            await _die(worker)
            await _die(worker)
            first, second = [each.key for each in await scene.client.dead_letters()]
            assert await scene.client.redrive([first, first]) == 1
            assert await scene.client.redrive([first, "no such letter"]) == 0
            assert await scene.client.drop([first, second, second]) == 1
            assert await scene.client.drop([second]) == 0
            await scene.rest(PAY, waiting=1, dead=0)

    async def test_a_dropped_letter_is_gone(self, engine: EngineUnderTest) -> None:
        """It alone, and its event is not delivered."""
        async with Scene(engine, PAY) as scene:
            worker = await scene.worker(PAY)
            await scene.client.publish([event(1)])
            await _die(worker)
            await scene.client.publish([event(2)])
            await _die(worker)
            first, second = await scene.client.dead_letters()
            assert await scene.client.drop([first.key]) == 1
            assert [each.key for each in await scene.client.dead_letters()] == [second.key]
            await scene.rest(PAY, waiting=0, in_hand=0, dead=1)

    async def test_a_letter_whose_sender_was_told_needs_force(
        self, engine: EngineUnderTest
    ) -> None:
        """Without it nothing is published, of the other letters neither."""
        async with Scene(engine, PAY) as scene:
            worker = await scene.worker(PAY)
            for number, replied in ((1, False), (2, True)):
                await scene.client.publish([event(number)])
                await _die(worker, replied=replied)
            keys = [each.key for each in await scene.client.dead_letters()]
            try:
                await scene.client.redrive(keys)
            except ValueError:
                pass
            else:
                raise AssertionError("a letter whose sender was told must need force")
            await scene.rest(PAY, waiting=0, dead=2)
            assert await scene.client.redrive(keys, force=True) == 2
            await scene.rest(PAY, waiting=2, dead=0)

    async def test_an_unroutable_output_is_redriven_once_its_topic_is_there(
        self, engine: EngineUnderTest
    ) -> None:
        """Before that it is refused, and the letter stays."""
        async with Scene(engine, PAY) as scene:
            lost = event(2, to=UNDECLARED)
            await scene.client.publish([event(1)])
            worker = await scene.worker(PAY)
            [received] = await worker.receive(1)
            await worker.done(received, Output(lost, topic=topic_of_output(lost)))
            [letter] = await scene.client.dead_letters(reason="unroutable")
            await _refused(scene, letter)
            await scene.client.declare([TopicSpec(UNDECLARED.name)])
            assert await scene.client.redrive([letter.key]) == 1
            assert not await scene.client.dead_letters()
            [received] = await (await scene.worker(UNDECLARED)).receive(1)
            assert received.event == lost


async def _refused(scene: Scene, letter: StoredLetter) -> None:
    try:
        await scene.client.redrive([letter.key])
    except UnroutableError:
        assert [each.key for each in await scene.client.dead_letters()] == [letter.key]
    else:
        raise AssertionError("redriving to a topic that nobody has declared must be refused")


async def _die(
    worker: Worker,
    *,
    error: Exception | None = None,
    reason: DeadLetterReason = DeadLetterReason.EXHAUSTED,
    replied: bool = False,
) -> None:
    """Receive an event, and settle it as dead."""
    [received] = await worker.receive(1)
    letter = letter_of(
        received.event, error=error, handler=received.event.type, reason=reason, replied=replied
    )
    await worker.inbox.settle(received, Dead(letter=letter))


def _numbers(letters: Sequence[StoredLetter]) -> list[int]:
    return [each.event.data["number"] for each in letters if each.event is not None]


def _raised(*, depth: int, message: str) -> Exception:
    """Return an error with a traceback of many different lines."""
    try:
        _sink(depth, message)
    except RuntimeError as error:
        return error
    raise AssertionError("unreachable")


def _sink(depth: int, message: str) -> None:
    if depth == 0:
        raise RuntimeError(message)
    try:
        _sink(depth - 1, message)
    except RuntimeError as error:
        raise RuntimeError(f"at depth {depth}") from error
