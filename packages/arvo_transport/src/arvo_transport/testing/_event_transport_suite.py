"""What every transport must do, as tests to subclass."""

from ._answering import Answering
from ._closing import Closing
from ._dead_letters import DeadLetters
from ._declaring import Declaring
from ._losing import Losing
from ._operating import Operating
from ._ordering import Ordering
from ._publishing import Publishing
from ._receiving import Receiving
from ._settling import Settling


class EventTransportSuite(
    Publishing,
    Declaring,
    Receiving,
    Losing,
    Ordering,
    Settling,
    DeadLetters,
    Answering,
    Operating,
    Closing,
):
    """What every `IEventTransport` must do, one test for each promise.

    Subclass it in a test module and supply a fixture `engine`: an `EngineUnderTest` whose namespace
    is new for each test. What an engine cannot do, as its `TransportCapabilities` say, is skipped
    with the reason. pytest needs a plugin that runs `async def` tests, such as anyio's.

    Where time is really waited for, clients have a patience of 10 seconds, so that a busy machine
    loses no event that is in hand, and of two seconds in the tests that wait for its end. Where
    `max_event_bytes` can be set, 256 KiB make the tests of large events fast.

    Example:
        ```python
        class TestMyTransport(EventTransportSuite):
            @pytest.fixture
            def engine(self, url: str) -> EngineUnderTest:
                place = f"{url}?namespace={uuid4()}"
                return EngineUnderTest(
                    connect=lambda *, patience: MyTransport.connect(place, patience=patience),
                    kill=MyTransport.drop_connection,
                )
        ```
    """
