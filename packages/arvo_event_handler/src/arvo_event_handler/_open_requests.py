"""The requests of a workflow that nobody has answered yet, and which answers they admit."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from arvo_core import ArvoEvent, VersionedArvoContract

from ._errors import ExecutionViolation

Answers: TypeAlias = Literal["any", "awaited"]
"""Which answers a workflow takes. `any`: whatever one of its services can emit. `awaited`: the first
answer to a request of its own, from the service that was asked."""

OPEN = "open"
"""The member, within `redelivery`, that keeps the open requests."""


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


class OpenRequests:
    """The requests that a workflow sent to its services and that nobody has answered yet.

    The ids of events are predictable, so whoever may publish could answer in a service's place. A
    workflow that keeps its open requests refuses such answers, unless they also forge the source.

    Args:
        requests: The accepted type and the domain of each request, by its id.
    """

    def __init__(self, requests: Mapping[str, tuple[str, str | None]] | None = None) -> None:
        self._requests = dict(requests or {})

    @classmethod
    def of(cls, member: Any) -> "OpenRequests | None":
        """Read them from a record's `redelivery`.

        Returns:
            None for a workflow that was started without them, so that it can be finished.

        Raises:
            Exception: The member is damaged.
        """
        if member is None or OPEN not in member:
            return None
        return cls({request: (asked, domain) for request, asked, domain in member[OPEN]})

    def check(self, event: ArvoEvent, service: VersionedArvoContract[Any]) -> None:
        """Make sure that an event answers an open request, and comes from where that one went.

        A request that left for a domain may be answered by somebody of another name.

        Args:
            event: The answer.
            service: The service whose contract describes it.

        Raises:
            ExecutionViolation: It does not; delivering again cannot help.
        """
        where = f"event {event.id!r} of type {event.type!r}"
        if event.parentid not in self._requests:
            raise ExecutionViolation(
                f"{where} answers request {event.parentid!r}, which is not open: the workflow did "
                'not send it, or has its answer; answers="any" takes every answer'
            )
        asked, domain = self._requests[event.parentid]
        if service.type != asked:
            raise ExecutionViolation(
                f"{where} answers request {event.parentid!r} as {service.type!r} would; "
                f"{asked!r} was asked"
            )
        if domain is None and event.source != asked:
            raise ExecutionViolation(
                f"{where} answers request {event.parentid!r} from {event.source!r}; "
                f"{asked!r} was asked"
            )

    def advance(
        self,
        event: ArvoEvent,
        outputs: Sequence[Mapping[str, Any]],
        *,
        services: Mapping[str, VersionedArvoContract[Any]],
    ) -> None:
        """Take note of a consumed event and of what it made the workflow ask.

        Args:
            event: The event.
            outputs: Emitted events as on the wire.
            services: The workflow's services, by the event type they accept.
        """
        if event.parentid is not None:
            self._requests.pop(event.parentid, None)
        for output in outputs:
            if output["type"] in services:
                self._requests[output["id"]] = (output["type"], output["domain"])

    def member(self) -> list[Any]:
        """Write them as the member of a record."""
        return [[request, asked, domain] for request, (asked, domain) in self._requests.items()]
