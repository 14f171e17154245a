"""What user code raised, as a failure of the event it was run for."""

import asyncio

# Python itself raises these: whoever is to end must not be kept from it.
_ENDS_THE_PROGRAM = (GeneratorExit, KeyboardInterrupt, SystemExit)


def user_failure(error: BaseException, *, what: str) -> Exception:
    """Return `error`, or an exception that stands for it when it is none.

    A worker that let it pass would end, and with it, unnoticed, the event.

    Args:
        error: What was raised.
        what: Who raised it.

    Raises:
        BaseException: `error` itself, when this task is being cancelled or the program ends.
    """
    if isinstance(error, Exception):
        return error
    if isinstance(error, _ENDS_THE_PROGRAM):
        raise error
    if not isinstance(error, asyncio.CancelledError):
        told = f"{what} raised {type(error).__name__}, which is no Exception: {error}"
    elif _is_being_cancelled():
        raise error
    else:
        told = f"{what} was cancelled from inside"
    failure = RuntimeError(told)
    failure.__cause__ = error
    return failure


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
