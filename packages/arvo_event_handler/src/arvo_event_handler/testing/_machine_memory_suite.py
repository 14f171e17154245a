"""What every machine memory must do, as tests to subclass."""

import asyncio
from functools import cache

from arvo_core import ArvoOrchestrationSubject
from arvo_event_handler import IMachineMemory, TransactionViolation, TransactionViolationCause
from arvo_event_handler.memory import Record

from ._cancellation import cancelled_after
from ._refusal import refuses, wins

_CONTENDERS = 50


class MachineMemorySuite:
    """What every `IMachineMemory` must do, one test for each promise.

    Subclass it in a test module and supply a fixture `memory`: your memory with nothing stored,
    new for each test. A `lock` that waits does so for its whole time in some tests: make it short.
    pytest needs a plugin that runs `async def` tests, such as anyio's.

    Example:
        ```python
        class TestMyMemory(MachineMemorySuite):
            @pytest.fixture
            def memory(self) -> IMachineMemory:
                return MyMemory(max_wait=timedelta(milliseconds=50))
        ```
    """

    # --- records come back as they were written -----------------------------

    async def test_a_record_never_written_reads_as_none(self, memory: IMachineMemory) -> None:
        """None starts a workflow, so it must mean that the workflow never ran."""
        assert await memory.read("order-7") is None

    async def test_a_written_record_is_read_back(self, memory: IMachineMemory) -> None:
        """Strings, numbers, lists and objects come back equal."""
        await _expect_round_trip(
            memory, {"status": "active", "count": 3, "items": ["a", {"sku": "b"}], "share": 0.25}
        )

    async def test_the_latest_record_is_read_back(self, memory: IMachineMemory) -> None:
        """A write replaces the whole record; members of the old one do not linger."""
        await memory.write("order-7", {"status": "active", "note": "old"}, None)
        await memory.write("order-7", {"status": "done"}, {"status": "active", "note": "old"})
        assert await memory.read("order-7") == {"status": "done"}

    async def test_unicode_survives(self, memory: IMachineMemory) -> None:
        """In names and values: beyond the BMP, combining, control characters, NUL."""
        text = "Zoë Zoe\u0308 日本 🛒 \u2028 \x00 \x1f \" \\ </script> '; --"
        await _expect_round_trip(memory, {text: text, "": "", "long": text * 500})

    async def test_integers_are_exact(self, memory: IMachineMemory) -> None:
        """Beyond 53 and 64 bits too: amounts and ids must not be rounded."""
        await _expect_round_trip(
            memory, {"numbers": [0, -1, 2**53 + 1, -(2**53) - 1, 2**63, 2**64 + 1, 10**30]}
        )

    async def test_floats_are_exact(self, memory: IMachineMemory) -> None:
        """To the last bit, from the smallest to the largest."""
        await _expect_round_trip(
            memory, {"numbers": [0.1, 0.1 + 0.2, 1e-7, 1.5e300, 5e-324, 1.7976931348623157e308]}
        )

    async def test_booleans_and_null_keep_their_type(self, memory: IMachineMemory) -> None:
        """True is not 1, and a member that is null is not a missing one."""
        written: Record = {"yes": True, "no": False, "none": None, "one": 1}
        await memory.write("order-7", written, None)
        record = await memory.read("order-7")
        assert record is not None
        assert {name: repr(value) for name, value in record.items()} == {
            name: repr(value) for name, value in written.items()
        }

    async def test_an_empty_record_is_not_a_missing_one(self, memory: IMachineMemory) -> None:
        """`{}` was written, so the workflow ran."""
        await memory.write("order-7", {}, None)
        assert await memory.read("order-7") == {}

    async def test_empty_containers_survive_at_every_depth(self, memory: IMachineMemory) -> None:
        """An empty list stays a list and an empty object an object."""
        await _expect_round_trip(
            memory, {"list": [], "object": {}, "both": [{}, [], [[{"a": {}}]]]}
        )

    async def test_deep_nesting_survives(self, memory: IMachineMemory) -> None:
        """A hundred levels."""
        record: Record = {"depth": 0}
        for depth in range(1, 100):
            record = {"depth": depth, "inner": record, "list": [[depth]]}
        await _expect_round_trip(memory, record)

    async def test_key_order_survives(self, memory: IMachineMemory) -> None:
        """At every depth, so that the next write is the same JSON text."""
        inner: Record = {"10": 1, "9": 2, "b": 3, "a": 4}
        await memory.write("order-7", {"z": 1, "inner": inner, "a": 2, "10": 3, "9": 4}, None)
        record = await memory.read("order-7")
        assert record is not None
        assert list(record) == ["z", "inner", "a", "10", "9"]
        assert isinstance(record["inner"], dict)
        assert list(record["inner"]) == ["10", "9", "b", "a"]

    async def test_a_record_of_a_megabyte_works(self, memory: IMachineMemory) -> None:
        """A workflow over many items gathers that much."""
        items = [f"item {number} of a large order".ljust(100, ".") for number in range(10_000)]
        await _expect_round_trip(memory, {"items": [*items]})

    # --- records are isolated from callers ----------------------------------

    async def test_a_record_is_isolated_from_its_writer(self, memory: IMachineMemory) -> None:
        """What the writer does to its objects afterwards changes nothing stored."""
        inner: Record = {"count": 1}
        record: Record = {"inner": inner}
        await memory.write("order-7", record, None)
        inner["count"] = 2
        record["more"] = True
        assert await memory.read("order-7") == {"inner": {"count": 1}}

    async def test_a_record_is_isolated_from_its_readers(self, memory: IMachineMemory) -> None:
        """Each read hands out its own objects, all the way down."""
        await memory.write("order-7", {"inner": {"count": 1}}, None)
        first = await memory.read("order-7")
        assert first is not None
        assert isinstance(first["inner"], dict)
        first["inner"]["count"] = 2
        assert await memory.read("order-7") == {"inner": {"count": 1}}

    async def test_arguments_are_left_as_they_were(self, memory: IMachineMemory) -> None:
        """A memory that keeps a version of its own keeps it elsewhere."""
        record: Record = {"count": 1}
        await memory.write("order-7", record, None)
        following: Record = {"count": 2}
        await memory.write("order-7", following, record)
        assert (record, following) == ({"count": 1}, {"count": 2})

    # --- machine ids --------------------------------------------------------

    async def test_an_empty_machine_id_is_refused_by_every_call(
        self, memory: IMachineMemory
    ) -> None:
        """With a cause saying that a retry cannot help."""
        refused = TransactionViolationCause.INVALID_SUBJECT
        with refuses(refused, by="read"):
            await memory.read("")
        with refuses(refused, by="write"):
            await memory.write("", {"count": 1}, None)
        with refuses(refused, by="lock"):
            await memory.lock("")
        with refuses(refused, by="unlock"):
            await memory.unlock("")

    async def test_a_long_machine_id_works(self, memory: IMachineMemory) -> None:
        """An orchestration subject is base64, easily of 2 KB and more."""
        first, second = f"{_long_subject()}1", f"{_long_subject()}2"
        await memory.write(first, {"number": 1}, None)
        await memory.write(second, {"number": 2}, None)
        assert await memory.lock(first)
        assert await memory.lock(second)
        assert await memory.read(first) == {"number": 1}
        assert await memory.read(second) == {"number": 2}

    async def test_machine_ids_are_compared_exactly(self, memory: IMachineMemory) -> None:
        """Case, spaces, wildcards, separators and Unicode forms all count."""
        ids = ["a", "A", " a", "a ", "a:b", "a/b", "a%", "a_", "a*", "é", "e\u0301", "a" * 300]
        for machine_id in ids:
            await memory.write(machine_id, {"id": machine_id}, None)
        for machine_id in ids:
            assert await memory.read(machine_id) == {"id": machine_id}

    async def test_a_write_leaves_other_workflows_alone(self, memory: IMachineMemory) -> None:
        """A hundred workflows concurrently, each with its own record."""
        ids = [f"order-{number}" for number in range(100)]
        await asyncio.gather(*(memory.write(each, {"id": each}, None) for each in ids))
        await memory.write("order-7", {"status": "done"}, {"id": "order-7"})
        records = await asyncio.gather(*(memory.read(each) for each in ids))
        assert records == [
            {"status": "done"} if each == "order-7" else {"id": each} for each in ids
        ]

    # --- the write checks what it replaces ----------------------------------

    async def test_a_chain_of_writes_is_accepted(self, memory: IMachineMemory) -> None:
        """Each write passes what the read before it returned."""
        for count in range(5):
            await memory.write("order-7", {"count": count}, await memory.read("order-7"))
        assert await memory.read("order-7") == {"count": 4}

    async def test_the_same_record_may_be_written_again(self, memory: IMachineMemory) -> None:
        """A step that changes nothing is not a conflict."""
        await memory.write("order-7", {"count": 1}, None)
        await memory.write("order-7", {"count": 1}, {"count": 1})
        assert await memory.read("order-7") == {"count": 1}

    async def test_a_write_over_a_newer_record_is_refused(self, memory: IMachineMemory) -> None:
        """Nothing is changed: the newer record stays."""
        await memory.write("order-7", {"by": {"name": "nobody"}}, None)
        stale = await memory.read("order-7")
        await memory.write("order-7", {"by": {"name": "first"}}, stale)
        with refuses(TransactionViolationCause.VERSION_MOVED, by="write"):
            await memory.write("order-7", {"by": {"name": "second"}}, stale)
        assert await memory.read("order-7") == {"by": {"name": "first"}}

    async def test_a_second_first_write_is_refused(self, memory: IMachineMemory) -> None:
        """Two that both saw nothing cannot both start the workflow."""
        await memory.write("order-7", {"by": "first"}, None)
        with refuses(TransactionViolationCause.VERSION_MOVED, by="write"):
            await memory.write("order-7", {"by": "second"}, None)
        assert await memory.read("order-7") == {"by": "first"}

    async def test_a_write_over_a_record_that_is_gone_is_refused(
        self, memory: IMachineMemory
    ) -> None:
        """A writer that read a record before its cleanup does not bring it back."""
        with refuses(TransactionViolationCause.VERSION_MOVED, by="write"):
            await memory.write("order-7", {"count": 2}, {"count": 1})
        assert await memory.read("order-7") is None

    async def test_a_refusal_names_the_workflow(self, memory: IMachineMemory) -> None:
        """The violation carries the machine id as its subject."""
        await memory.write("order-7", {"count": 1}, None)
        try:
            await memory.write("order-7", {"count": 2}, None)
        except TransactionViolation as violation:
            named = violation.subject
        else:
            raise AssertionError("a second first write was accepted")
        assert named == "order-7"

    async def test_exactly_one_of_many_writers_wins(self, memory: IMachineMemory) -> None:
        """All read the same record and write concurrently; the others get a violation."""
        await memory.write("order-7", {"by": -1}, None)
        won = await asyncio.gather(
            *(wins(memory, {"by": number}, {"by": -1}) for number in range(_CONTENDERS))
        )
        assert won.count(True) == 1
        assert await memory.read("order-7") == {"by": won.index(True)}

    async def test_a_cancelled_write_leaves_nothing_torn(self, memory: IMachineMemory) -> None:
        """Cancelled at any await, it happens completely, if later, or not at all."""
        whole: list[Record | None] = [None]
        for turns in range(30):
            record: Record = {"first": turns, "items": [turns] * 100, "last": turns}
            whole.append(record)
            write = memory.write("order-7", record, await memory.read("order-7"))
            await cancelled_after(turns, write)
            assert await memory.read("order-7") in whole

    # --- the lock -----------------------------------------------------------

    async def test_only_one_of_many_contenders_gets_the_lock(self, memory: IMachineMemory) -> None:
        """The others get False after a bounded wait."""
        won = await asyncio.gather(*(memory.lock("order-7") for _ in range(_CONTENDERS)))
        assert won.count(True) == 1
        assert won.count(False) == _CONTENDERS - 1

    async def test_a_lock_leaves_other_workflows_free(self, memory: IMachineMemory) -> None:
        """Each workflow has a lock of its own."""
        assert await memory.lock("order-7")
        assert await memory.lock("order-8")

    async def test_an_unlocked_workflow_can_be_locked_again(self, memory: IMachineMemory) -> None:
        """Any number of times, and it excludes others each time."""
        for _ in range(3):
            assert await memory.lock("order-7")
            assert not await memory.lock("order-7")
            assert await memory.unlock("order-7") is True

    async def test_unlock_of_what_is_not_locked_is_true(self, memory: IMachineMemory) -> None:
        """There is nothing to release, and the lock can be taken as before."""
        assert await memory.unlock("order-7") is True
        assert await memory.lock("order-7")
        assert not await memory.lock("order-7")

    async def test_unlock_leaves_other_locks_alone(self, memory: IMachineMemory) -> None:
        """Only the workflow named is released."""
        assert await memory.lock("order-7")
        assert await memory.lock("order-8")
        await memory.unlock("order-8")
        assert not await memory.lock("order-7")

    async def test_a_lock_is_not_a_record(self, memory: IMachineMemory) -> None:
        """Locking and unlocking a workflow that never ran does not create a record."""
        assert await memory.lock("order-7")
        assert await memory.read("order-7") is None
        await memory.unlock("order-7")
        assert await memory.read("order-7") is None
        await memory.write("order-7", {"count": 1}, None)
        assert await memory.read("order-7") == {"count": 1}

    async def test_locking_and_unlocking_keep_the_record(self, memory: IMachineMemory) -> None:
        """The record stays as written, before, under and after a lock."""
        await memory.write("order-7", {"count": 1}, None)
        assert await memory.lock("order-7")
        assert await memory.read("order-7") == {"count": 1}
        await memory.write("order-7", {"count": 2}, {"count": 1})
        await memory.unlock("order-7")
        assert await memory.read("order-7") == {"count": 2}

    async def test_a_write_keeps_the_lock(self, memory: IMachineMemory) -> None:
        """Only the holder releases it, whether its write was accepted or refused."""
        assert await memory.lock("order-7")
        await memory.write("order-7", {"count": 1}, None)
        assert not await memory.lock("order-7")
        assert not await wins(memory, {"count": 2}, None)
        assert not await memory.lock("order-7")

    async def test_a_cancelled_lock_can_be_given_back(self, memory: IMachineMemory) -> None:
        """Cancelled at any await, the lock can be released or was never taken."""
        for turns in range(30):
            await cancelled_after(turns, memory.lock("order-7"))
            assert await memory.unlock("order-7") is True
            assert await memory.lock("order-7")
            assert await memory.unlock("order-7") is True

    async def test_a_cancelled_waiter_is_not_handed_the_lock(self, memory: IMachineMemory) -> None:
        """A caller that no longer waits must not get what it can no longer release."""
        for turns in range(30):
            assert await memory.lock("order-7")
            await cancelled_after(turns, memory.lock("order-7"))
            assert await memory.unlock("order-7") is True
        assert await memory.lock("order-7")


async def _expect_round_trip(memory: IMachineMemory, record: Record) -> None:
    await memory.write("order-7", record, None)
    assert await memory.read("order-7") == record


@cache
def _long_subject() -> str:
    # Digits without a pattern, since subjects are compressed.
    digits = "".join(f"{number * 2_654_435_761 % 2**32:08x}" for number in range(400))
    return ArvoOrchestrationSubject.new(
        orchestrator="arvo.orc.order",
        version="1.0.0",
        initiator="com.shop.web",
        meta={"note": digits},
    )
