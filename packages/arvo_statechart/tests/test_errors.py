import pickle

import pytest

from arvo_statechart import (
    DefinitionProblem,
    GuardError,
    InvalidEventError,
    InvalidResultError,
    InvalidSnapshotError,
    MachineDefinitionError,
    MicrostepLimitError,
    StatechartError,
)

PROBLEM = DefinitionProblem(path=("states", "a", "on", "b.c", 0, "target"), message="unknown")


@pytest.mark.parametrize(
    "error",
    [
        MachineDefinitionError("wrong", problems=(PROBLEM,)),
        GuardError("failed", guard="is_paid", event_type="GO", state="m.a"),
        MicrostepLimitError("too many", limit=3),
        InvalidEventError("no event"),
        InvalidResultError("no mapping"),
        InvalidSnapshotError("no state"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_cross_process_boundaries(error: StatechartError) -> None:
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301  # made here
    assert type(copied) is type(error)
    assert str(copied) == str(error)
    assert vars(copied) == vars(error)


def test_errors_of_users_are_also_builtin_exceptions() -> None:
    assert issubclass(MachineDefinitionError, ValueError)
    assert issubclass(InvalidEventError, ValueError)
    assert issubclass(InvalidSnapshotError, ValueError)
    assert issubclass(InvalidResultError, TypeError)


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ((), "(root)"),
        (("states", "a-b", "entry"), "states.a-b.entry"),
        (PROBLEM.path, "states.a.on['b.c'][0].target"),
        ((0, "x"), "[0].x"),
    ],
)
def test_a_problem_shows_its_location(path: tuple[str | int, ...], location: str) -> None:
    assert DefinitionProblem(path=path, message="").location == location
