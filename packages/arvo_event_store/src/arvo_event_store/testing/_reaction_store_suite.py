"""What every store must do for reactions, as tests to subclass."""

from ._attempts import Attempts
from ._batching import Batching
from ._claiming import Claiming
from ._covering import Covering
from ._extending import Extending
from ._finishing import Finishing
from ._marking import Marking
from ._operating import Operating
from ._outputs import Outputs
from ._parking import Parking
from ._racing import Racing
from ._registering import Registering
from ._resetting import Resetting
from ._scanning import Scanning
from ._sleeping import Sleeping
from ._windows import Windows
from ._working import Works


class ReactionStoreSuite(
    Attempts,
    Batching,
    Claiming,
    Covering,
    Extending,
    Finishing,
    Marking,
    Operating,
    Outputs,
    Parking,
    Racing,
    Registering,
    Resetting,
    Scanning,
    Sleeping,
    Windows,
    Works,
):
    """What every `IReactionStore` must do beside a log, one test for each promise.

    Subclass it in a test module and supply three fixtures. `store` is your store with nothing in it,
    new for each test. `connect` opens further clients of the same data; a store that has one client
    gives the same again. `advance` lets the time of the store pass: its clock is moved, or the times
    in its tables are moved back (until when leases are and targets sleep). No test waits.

    A store that runs work of the user with an acknowledgement overrides `own_table`.

    Example:
        ```python
        class TestMyReactions(ReactionStoreSuite):
            @pytest.fixture
            def clock(self) -> FakeClock:
                return FakeClock()

            @pytest.fixture
            async def store(self, clock: FakeClock) -> AsyncIterator[IEventStore]:
                async with MyEventStore(clock=clock) as store:
                    yield store

            @pytest.fixture
            def connect(self, store: IEventStore) -> ConnectStore:
                return lambda: nullcontext(store)

            @pytest.fixture
            def advance(self, clock: FakeClock) -> Advance:
                return clock.run_for
        ```
    """
