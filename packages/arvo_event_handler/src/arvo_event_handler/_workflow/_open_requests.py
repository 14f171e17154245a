"""The unanswered requests of a workflow, and which answers they admit."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from arvo_core import ArvoEvent, VersionedArvoContract
from arvo_event_handler._errors import ExecutionViolation

Answers: TypeAlias = Literal["any", "awaited"]
"""Which answers a workflow accepts. `any`: everything that one of its services can emit. `awaited`:
the first answer to a request of its own, from the service that was asked."""


def check_answers(answers: object) -> Answers:
    """Return `answers`.

    Raises:
        ValueError: It is neither "any" nor "awaited".
    """
    if answers == "any":
        return "any"
    if answers == "awaited":
        return "awaited"
    raise ValueError(f'answers must be "any" or "awaited", got {answers!r}')


_NOTIFICATIONS = 64
"""Number of requests that are kept to services which emit nothing but system errors."""


class _Request(NamedTuple):
    asked: str
    """The request's type, which the service accepts."""
    source: str | None
    """The source that may answer; None when the request left for a domain, where others may."""


class OpenRequests:
    """The requests that a workflow sent to its services and that are still unanswered.

    The ids of events are predictable, so any publisher could answer in a service's place. A
    workflow that keeps its open requests refuses such answers, unless they also forge the source.

    Args:
        requests: The requests by their ids.
    """

    def __init__(self, requests: Mapping[str, _Request] | None = None) -> None:
        self._requests = dict(requests or {})

    @classmethod
    def of(cls, stored: object) -> "OpenRequests | None":
        """Read what `member` wrote.

        Returns:
            None for a workflow that was started without them, so that it can be finished.

        Raises:
            Exception: What is stored is damaged.
        """
        if stored is None:
            return None
        if not isinstance(stored, list):
            raise TypeError("it is not a list")
        return cls(dict(map(_request, stored)))

    def check(self, event: ArvoEvent, service: VersionedArvoContract[Any]) -> None:
        """Check that an event answers an open request, and comes from where that one went.

        A request that left for a domain may be answered from another source.

        Args:
            event: The answer.
            service: The service whose contract describes it.

        Raises:
            ExecutionViolation: It does not; delivering again cannot help.
        """
        where = f"event {event.id!r} of type {event.type!r}"
        request = None if event.parentid is None else self._requests.get(event.parentid)
        if request is None:
            raise ExecutionViolation(
                f"{where} answers request {event.parentid!r}, which is not open: the workflow did "
                'not send it, or already has its answer; use answers="any" to accept every answer'
            )
        if service.type != request.asked:
            raise ExecutionViolation(
                f"{where} answers request {event.parentid!r} as {service.type!r} would; "
                f"{request.asked!r} was asked"
            )
        if request.source not in (None, event.source):
            raise ExecutionViolation(
                f"{where} answers request {event.parentid!r} from {event.source!r}; "
                f"{request.source!r} was asked"
            )

    def after(
        self,
        event: ArvoEvent,
        outputs: Sequence[Mapping[str, Any]],
        *,
        services: Mapping[str, VersionedArvoContract[Any]],
    ) -> "OpenRequests":
        """Return the requests that are open once an event was consumed.

        A request stays until it is answered. One to a service that emits nothing can only fail, so
        the latest 64 of those are enough.

        Args:
            event: The event.
            outputs: What it made the workflow emit, as on the wire.
            services: The workflow's services, by the event type they accept.
        """
        requests = {name: each for name, each in self._requests.items() if name != event.parentid}
        for output in outputs:
            if output["type"] in services:
                source = output["to"] if output["domain"] is None else None
                requests[output["id"]] = _Request(output["type"], source)
        notes = [
            name
            for name, request in requests.items()
            if request.asked in services and not services[request.asked].emits
        ]
        for name in notes[:-_NOTIFICATIONS]:
            del requests[name]
        return OpenRequests(requests)

    def member(self) -> list[Any]:
        """Return them as a record stores them."""
        return [[name, *request] for name, request in self._requests.items()]


def _request(stored: Any) -> tuple[str, _Request]:
    name, asked, source = stored
    if not (isinstance(name, str) and isinstance(asked, str) and isinstance(source, str | None)):
        raise TypeError("a request must be an id, a type and a source, or None for the source")
    return name, _Request(asked, source)
