"""The unanswered requests of a workflow that accepts no other answers."""

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from typing_extensions import override

from ._kept_event import KeptEvent

_NOTIFICATIONS = 64
"""Number of requests that are kept to services which emit nothing but system errors."""


class OpenRequest:
    """A request that has no answer yet.

    Args:
        asked: The request's type, which the service accepts.
        source: The source that may answer, None when the request left for a domain, where others
            may; or the request, which says so.
        notifies: Whether the service never answers, except by failing.
    """

    __slots__ = ("_source", "asked", "notifies")

    def __init__(self, asked: str, source: str | KeptEvent | None, *, notifies: bool) -> None:
        self.asked: str = asked
        self._source = source
        self.notifies: bool = notifies

    @property
    def source(self) -> str | None:
        """The source that may answer; None when the request left for a domain, where others may.

        Raises:
            UnreadableRecordError: The stored request is damaged.
        """
        if isinstance(self._source, KeptEvent):
            wire = self._source.wire()
            self._source = None if wire.get("domain") is not None else str(wire.get("to"))
        return self._source


class OpenRequests(Mapping[str, OpenRequest]):
    """The requests that a workflow sent to its services and that are still unanswered, by their ids.

    A request stays until it is answered. One to a service that emits nothing can only fail, so the
    latest 64 of those are enough.

    Args:
        requests: The requests, oldest first.
    """

    __slots__ = ("_notifications", "_requests")

    def __init__(self, requests: Mapping[str, OpenRequest] | None = None) -> None:
        self._requests = dict(requests or {})
        self._notifications = {
            name: None for name, request in self._requests.items() if request.notifies
        }

    @classmethod
    def of(cls, stored: object, *, answering: Container[str]) -> "OpenRequests":
        """Read what `member` returned.

        Args:
            stored: As stored.
            answering: The types of requests that are answered, not only by failing.

        Raises:
            TypeError: What is stored is damaged.
            ValueError: The same.
        """
        if not isinstance(stored, list):
            raise TypeError("it is not a list")
        requests: dict[str, OpenRequest] = {}
        for name, asked, source in stored:
            if not (
                isinstance(name, str) and isinstance(asked, str) and isinstance(source, str | None)
            ):
                raise TypeError(
                    "a request must be an id, a type and a source, or None for the source"
                )
            requests[name] = OpenRequest(asked, source, notifies=asked not in answering)
        return cls(requests)

    @override
    def __getitem__(self, request: str) -> OpenRequest:
        return self._requests[request]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._requests)

    @override
    def __len__(self) -> int:
        return len(self._requests)

    def answer(self, request: str) -> None:
        """Drop a request, as its answer has come."""
        if self._requests.pop(request, None) is not None:
            self._notifications.pop(request, None)

    def add(self, outputs: Iterable[KeptEvent]) -> None:
        """Add those of a step's outputs that went to a service."""
        for output in outputs:
            if output.asks or output.notifies:
                self._requests[output.id] = OpenRequest(
                    output.type, output, notifies=output.notifies
                )
                self._notifications.pop(output.id, None)
                if output.notifies:
                    self._notifications[output.id] = None
        while len(self._notifications) > _NOTIFICATIONS:
            oldest = next(iter(self._notifications))
            del self._notifications[oldest], self._requests[oldest]

    def member(self) -> list[Any]:
        """Return them as a record stores them.

        Raises:
            UnreadableRecordError: A stored request is damaged.
        """
        return [[name, each.asked, each.source] for name, each in self._requests.items()]
