"""How an error gets from the thread that works on the file to the caller."""

from typing import NoReturn


class Refusal:
    """An error of an operation that changed nothing, or undid what it had changed.

    Returned instead of raised, it makes no operation of the same transaction run again.

    Args:
        error: What to raise in the caller.
    """

    def __init__(self, error: BaseException) -> None:
        self._error = error

    @property
    def error(self) -> BaseException:
        """What to raise."""
        return self._error

    def raise_in_caller(self) -> NoReturn:
        """Raise the error."""
        try:
            raise self._error
        finally:
            del self._error  # its traceback has this frame
