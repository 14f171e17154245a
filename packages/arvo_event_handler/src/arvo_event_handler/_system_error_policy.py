"""What a handler's system errors contain."""

from dataclasses import dataclass

from arvo_core import SystemErrorData
from arvo_time.settings import check_flag


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemErrorPolicy:
    """What an asker learns of an exception, besides its name and message.

    A stack shows file names, code and the versions of installed packages to everyone who may ask
    the service. It stays in the log, and in a workflow's record.

    Raises:
        TypeError: `stack` is not a bool.

    Example:
        >>> SystemErrorPolicy().describe(ValueError("no such order")).error_stack is None
        True
    """

    stack: bool = False
    """Whether system error events carry the stack; without it `errorStack` is null."""

    def __post_init__(self) -> None:
        check_flag(self.stack, name="stack")

    def describe(self, error: BaseException) -> SystemErrorData:
        """Return the data of the system error event for an exception."""
        return SystemErrorData.from_exception(error, stack=self.stack)
