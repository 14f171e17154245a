"""Appends in a transaction of the caller, as tests to subclass."""

from collections.abc import Sequence
from typing import Protocol

from arvo_event_store._append import Append, Appended
from arvo_event_store._errors import ConflictError
from arvo_event_store._target import Wake

from ._expectations import WakingLog, listed, refused, some, versions

_WAKE = Wake(group="g", reaction="r", lane="l")


class JoinAppends(Protocol):
    """Appends in one transaction of the database, in which it does something else as well."""

    async def __call__(
        self, appends: Sequence[Sequence[Append]], *, fail: Exception | None = None
    ) -> list[list[Appended]]:
        """Append, one call after the other, and commit.

        Args:
            appends: What to append with each call of `append_all`.
            fail: What to raise after the last of them, so that all is rolled back; None to commit.

        Returns:
            What became of each.
        """
        ...


class JoinedAppendSuite:
    """What every store must do whose appends can join a transaction of the caller.

    Subclass it in a test module and supply the fixtures `store`, with nothing in it, and `join`, which
    appends to it in a transaction. How a transaction is joined is each store's own.

    Example:
        ```python
        class TestMyTransactions(JoinedAppendSuite):
            @pytest.fixture
            def join(self, store: MyEventStore) -> JoinAppends:
                async def join(appends, *, fail=None):
                    async with store.transaction() as log:
                        done = [await log.append_all(each) for each in appends]
                        if fail is not None:
                            raise fail
                    return done

                return join
        ```
    """

    async def test_joined_appends_are_stored_with_the_commit(
        self, store: WakingLog, join: JoinAppends
    ) -> None:
        """A20: in their order, with their targets; the second sees what the first stored."""
        await store.append("a", some(1))
        (first,), (second, third) = await join(
            [
                [Append("a", some(2), expect=0, wakes=[_WAKE])],
                [Append("a", some(1), expect=2), Append("b", some(1))],
            ]
        )
        assert (first.version, second.version, third.version) == (2, 3, 0)
        events = await listed(store.read_all())
        assert [(event.stream, event.version) for event in events] == [
            *(("a", 0), ("a", 1), ("a", 2), ("a", 3), ("b", 0)),
        ]
        (target,) = [target async for target in store.targets("g")]
        assert target.mark == first.position

    async def test_joined_appends_are_gone_with_a_rollback(
        self, store: WakingLog, join: JoinAppends
    ) -> None:
        """A20, H3: and hold nothing back; the error passes through."""
        await store.append("a", some(1))
        before = await store.heads(["a"])
        batch, error = some(2), RuntimeError("rolled back")
        appends = [Append("a", batch, wakes=[_WAKE]), Append("b", some(1))]
        assert await refused(join([appends], fail=error), RuntimeError) is error
        assert await store.heads(["a", "b"]) == before
        assert await versions(store.read_all()) == [0]
        assert [target async for target in store.targets("g")] == []
        done = await store.append("a", batch, expect=0)
        assert (done.version, done.duplicate) == (2, False)
        assert done.position is not None
        assert await store.horizon() >= done.position
        assert await versions(store.read_all()) == [0, 1, 2]

    async def test_a_joined_append_that_is_refused_stores_nothing(
        self, store: WakingLog, join: JoinAppends
    ) -> None:
        """A20: if its error leaves the transaction, all of it is rolled back."""
        await store.append("a", some(1))
        appends = [[Append("b", some(1))], [Append("a", some(1), expect=7)]]
        error = await refused(join(appends), ConflictError)
        assert (error.stream, error.actual) == ("a", 0)
        assert await store.heads(["b"]) == {}
