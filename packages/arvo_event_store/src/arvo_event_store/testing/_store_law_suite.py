"""Any sequence of operations gives the same on all stores, as a test to subclass."""

from random import Random
from typing import Any, ClassVar

from arvo_event_store._errors import EventStoreError
from arvo_event_store._event import NewEvent
from arvo_event_store._memory._store import MemoryEventStore
from arvo_event_store._store import IEventStore

from ._law import Operation, Operations, Side, listed


class StoreLawSuite:
    """What every store must do alike: whatever is done, it gives what `MemoryEventStore` gives.

    Subclass it in a test module and supply a fixture `store`: your store with nothing in it.

    Example:
        ```python
        class TestMyLaws(StoreLawSuite):
            sequences = 2_000

            @pytest.fixture
            async def store(self) -> AsyncIterator[IEventStore]:
                async with MyEventStore() as store:
                    yield store
        ```
    """

    sequences: ClassVar[int] = 200
    """How many sequences are run."""
    length: ClassVar[int] = 25
    """How many operations a sequence has."""

    async def test_any_sequence_of_operations_gives_the_same(self, store: IEventStore) -> None:
        """P1: results, errors, and what is stored in the end."""
        mine, reference = Side(store), Side(MemoryEventStore())
        for seed in range(self.sequences):
            operations = Operations(seed)
            done: list[str] = []
            drawn = [operations.draw() for _ in range(self.length)]
            for operation in (*drawn, *_everything(operations)):
                done.append(operation.text)
                found, expected = (
                    await mine.outcome(operation),
                    await reference.outcome(operation),
                )
                assert found == expected, (
                    f"sequence {seed}: the last of these gave\n{found}\ninstead of\n{expected}\n"
                    + "\n".join(done)
                )

    async def test_json_and_names_are_kept_or_refused_alike(self, store: IEventStore) -> None:
        """P1: whatever is in them."""
        reference = MemoryEventStore()
        for seed in range(self.sequences):
            draw = Random(f"values {seed}")  # noqa: S311 - it draws tests
            stream, name = f"v{seed}{_text(draw)}", _text(draw)
            event = NewEvent(
                name, _value(draw, 4), correlation=_text(draw), meta={"m": _value(draw, 2)}
            )
            outcomes = [await _stored(each, stream, event) for each in (store, reference)]
            assert outcomes[0] == outcomes[1], f"sequence {seed}: {stream!r}, {event}"


def _everything(operations: Operations) -> list[Operation]:
    """Return operations that tell all that is there in the end."""
    prefix, group = operations.prefix, operations.group
    return [
        Operation("all streams", lambda store: listed(store.streams(prefix=prefix))),
        Operation("all targets", lambda store: listed(store.targets(group))),
        Operation(
            "all events",
            lambda store: _events_of(store, prefix),
        ),
    ]


async def _events_of(store: IEventStore, prefix: str) -> list[Any]:
    return [
        event
        for head in await listed(store.streams(prefix=prefix))
        for event in await listed(store.read(head.stream))
    ]


async def _stored(store: IEventStore, stream: str, event: NewEvent) -> Any:
    try:
        await store.append(stream, [event])
        (found,) = await listed(store.read(stream))
    except (EventStoreError, TypeError) as error:
        return type(error), str(error)
    return found.stream, found.name, repr(found.data), repr(found.meta), found.correlation


def _text(draw: Random) -> str:
    odd = (
        "",
        "a",
        "A",
        "%",
        "_",
        "\\",
        "'",
        '"',
        "\n",
        "\u2028",
        "é",
        "e\u0301",
        "🛒",
        "\ud800",
        "\0",
    )
    return "".join(draw.choices(odd, k=draw.choice((1, 2, 2, 3, 200))))


def _value(draw: Random, depth: int) -> Any:
    kind = draw.randrange(9 if depth else 7)
    if kind == 7:
        return [_value(draw, depth - 1) for _ in range(draw.randrange(4))]
    if kind == 8:
        return {_text(draw): _value(draw, depth - 1) for _ in range(draw.randrange(4))}
    return (
        *(None, draw.random() < 0.5, draw.choice((0, -1, 2**53 + 1, 2**63, -(2**70), 10**308))),
        *(draw.uniform(-1e300, 1e300), draw.choice((0.0, -0.0, 1.0, 5e-324, 1e22, float("inf")))),
        *(_text(draw), draw.choice(((), {1}, b"", "x", "y", "z"))),
    )[kind]
