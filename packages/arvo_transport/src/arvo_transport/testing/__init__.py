"""Test kit for transports of your own, not for use in production.

`EventTransportSuite` has a test for each promise of `IEventTransport`; an `EngineUnderTest` is what it
needs to know of yours.
"""

from ._engine_under_test import ConnectTransport, EngineUnderTest, KillTransport
from ._event_transport_suite import EventTransportSuite

__all__ = ["ConnectTransport", "EngineUnderTest", "EventTransportSuite", "KillTransport"]
