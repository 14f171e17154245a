"""Which handler listens to which topic."""

from typing import TypeVar

from arvo_event_handler._errors import ConfigViolation

EntryT = TypeVar("EntryT")


class HandlerTable(dict[str, EntryT]):
    """What a broker has for each topic, one handler each."""

    def __init__(self) -> None:
        super().__init__()

    def check_free(self, topic: str) -> None:
        """Check that no handler listens to a topic.

        Raises:
            ConfigViolation: One does.
        """
        if topic in self:
            raise ConfigViolation(f"two handlers listen to {topic!r}; a topic has one handler")

    def check_answer_address(self, address: str) -> None:
        """Check that answers to an address reach the caller.

        Raises:
            ConfigViolation: It is a handler's topic, so that they would go there.
        """
        if address in self:
            raise ConfigViolation(
                f"answers to {address!r} go to the handler of that name; "
                "choose a source or answer_to that no handler listens to"
            )
