"""Translates errors of the client into those of a transport."""

from arvo_time import BackendError, ClosedError
from arvo_transport import TransportClosedError, TransportError


def transport_error(error: BackendError) -> TransportError:
    """Return what a transport raises for a failure of its client."""
    if isinstance(error, ClosedError):
        return TransportClosedError()
    return TransportError(str(error), retryable=error.retryable, outcome=error.outcome)
