"""What every log must do, as tests to subclass."""

from ._aggregates import Aggregates
from ._appends import Appends
from ._contents import Contents
from ._horizons import Horizons
from ._known_ids import KnownIds
from ._reads import Reads, Snapshots
from ._wakes import Wakes


class EventLogSuite(Aggregates, Appends, Contents, Horizons, KnownIds, Reads, Snapshots, Wakes):
    """What every `IEventLog` must do, one test for each promise.

    Subclass it in a test module and supply a fixture `store`: your store with nothing in it, new for
    each test, with the default limit of payloads. pytest needs a plugin that runs `async def` tests,
    such as anyio's.

    Example:
        ```python
        class TestMyLog(EventLogSuite):
            @pytest.fixture
            async def store(self) -> AsyncIterator[WakingLog]:
                async with MyEventStore() as store:
                    yield store
        ```
    """
