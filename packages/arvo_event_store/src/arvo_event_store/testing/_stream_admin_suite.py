"""What operators can do with the streams of every store, as tests to subclass."""

from ._archiving import Archiving
from ._closing import Closing
from ._cutting import Cutting


class StreamAdminSuite(Archiving, Closing, Cutting):
    """What every `IStreamAdmin` must do, one test for each promise.

    Subclass it in a test module and supply a fixture `store`: your store with nothing in it, new for
    each test.

    Example:
        ```python
        class TestMyStreams(StreamAdminSuite):
            @pytest.fixture
            async def store(self) -> AsyncIterator[IEventStore]:
                async with MyEventStore() as store:
                    yield store
        ```
    """
