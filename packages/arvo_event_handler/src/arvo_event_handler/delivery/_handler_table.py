"""Which handler listens to which topic."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from typing_extensions import override

from arvo_event_handler._errors import ConfigViolation

EntryT = TypeVar("EntryT")


class HandlerTable(Mapping[str, EntryT]):
    """What a broker has for each topic, one handler each."""

    def __init__(self) -> None:
        self._entries: dict[str, EntryT] = {}

    @override
    def __getitem__(self, topic: str) -> EntryT:
        return self._entries[topic]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    @override
    def __len__(self) -> int:
        return len(self._entries)

    def check_free(self, topic: str) -> None:
        """Make sure that no handler listens to a topic.

        Raises:
            ConfigViolation: One does.
        """
        if topic in self._entries:
            raise ConfigViolation(f"two handlers listen to {topic!r}; a topic has one handler")

    def add(self, topic: str, *, entry: EntryT) -> None:
        """Route a topic's events.

        Raises:
            ConfigViolation: A handler listens to it already.
        """
        self.check_free(topic)
        self._entries[topic] = entry

    def remove(self, topic: str) -> None:
        """Route nothing more to a topic."""
        del self._entries[topic]

    def check_answer_address(self, address: str) -> None:
        """Make sure that answers to an address come to who asks.

        Raises:
            ConfigViolation: It is a handler's topic, so that they would go there.
        """
        if address in self._entries:
            raise ConfigViolation(
                f"answers to {address!r} go to the handler of that name; "
                "choose a source or answer_to that no handler listens to"
            )
