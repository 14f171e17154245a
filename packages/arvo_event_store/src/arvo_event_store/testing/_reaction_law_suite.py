"""Any sequence of steps with reactions gives the same on all stores, as a test to subclass."""

from typing import ClassVar

from arvo_event_store._memory._store import MemoryEventStore
from arvo_event_store._store import IEventStore
from arvo_time.testing import FakeClock

from ._consumer import Advance
from ._reaction_law import ReactionSteps
from ._reaction_side import ReactionSide


class ReactionLawSuite:
    """What every store must do alike for reactions: it gives what `MemoryEventStore` gives.

    Subclass it in a test module and supply the fixtures `store` and `advance`, as for
    `ReactionStoreSuite`. The store has nothing in it.

    Example:
        ```python
        class TestMyReactionLaws(ReactionLawSuite):
            sequences = 500

            @pytest.fixture
            def advance(self, clock: FakeClock) -> Advance:
                return clock.run_for
        ```
    """

    sequences: ClassVar[int] = 100
    """How many sequences are run."""
    length: ClassVar[int] = 60
    """How many steps a sequence has."""

    async def test_any_sequence_of_steps_gives_the_same(
        self, store: IEventStore, advance: Advance
    ) -> None:
        """P1: what is claimed, what becomes of it, and what is stored in the end."""
        clock = FakeClock()
        reference = MemoryEventStore(clock=clock)
        for seed in range(self.sequences):
            steps = ReactionSteps(seed)
            mine = ReactionSide(store, advance, steps.group)
            other = ReactionSide(reference, clock.run_for, steps.group)
            drawn = [*steps.first(), *(steps.draw() for _ in range(self.length)), *steps.last()]
            for number, step in enumerate(drawn):
                found, expected = await mine.outcome(step.call), await other.outcome(step.call)
                assert found == expected, (
                    f"sequence {seed}: the last of these gave\n{found}\ninstead of\n{expected}\n"
                    + "\n".join(each.text for each in drawn[: number + 1])
                )
