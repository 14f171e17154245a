import pytest

from arvo_time import BackendError


def refuse() -> None:
    try:
        raise OSError("connection reset")
    except OSError as error:
        raise BackendError("the server went away", retryable=True, outcome="unknown") from error


def test_a_backend_error_says_what_failed_and_whether_it_had_an_effect() -> None:
    with pytest.raises(BackendError, match=r"^the server went away$") as caught:
        refuse()
    assert (caught.value.retryable, caught.value.outcome) == (True, "unknown")
    assert isinstance(caught.value.__cause__, OSError)
