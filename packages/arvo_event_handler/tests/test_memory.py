from dataclasses import FrozenInstanceError, fields
from datetime import timedelta

import pytest

from arvo_event_handler import MachineMemoryError, SimpleMachineMemory, UnreadableRecordError
from arvo_event_handler.memory import (
    ILeasedMachineMemory,
    LockPolicy,
    MachineLease,
    machine_memory_error,
)
from arvo_time import BackendError, DamagedError

FIELDS = [item.name for item in fields(LockPolicy)]


class TestLockPolicy:
    def test_the_defaults_fit_together(self) -> None:
        policy = LockPolicy()
        assert policy.max_hold >= policy.ttl > policy.max_wait
        assert policy.max_delay >= policy.initial_delay > timedelta(0)

    @pytest.mark.parametrize("name", FIELDS)
    @pytest.mark.parametrize("value", [30, 0.5, None, "30s"])
    def test_a_plain_number_is_refused_by_name(self, name: str, value: object) -> None:
        with pytest.raises(TypeError, match=rf"^{name} must be a timedelta, got {value!r}$"):
            LockPolicy(**{name: value})  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", FIELDS)
    def test_a_negative_duration_is_refused_by_name(self, name: str) -> None:
        with pytest.raises(ValueError, match=f"^{name} must not be negative"):
            LockPolicy(**{name: timedelta(microseconds=-1)})

    def test_a_ttl_of_zero_is_refused(self) -> None:
        with pytest.raises(ValueError, match="ttl must be longer than zero"):
            LockPolicy(ttl=timedelta(0))

    @pytest.mark.parametrize("name", ["max_wait", "initial_delay", "max_delay"])
    def test_a_max_wait_of_zero_is_accepted(self, name: str) -> None:
        assert getattr(LockPolicy(**{name: timedelta(0)}), name) == timedelta(0)

    def test_a_hold_shorter_than_the_lock_lives_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"max_hold \(0:00:09\) must be at least ttl"):
            LockPolicy(ttl=timedelta(seconds=10), max_hold=timedelta(seconds=9))
        LockPolicy(ttl=timedelta(seconds=9), max_hold=timedelta(seconds=9))

    def test_a_lock_policy_cannot_be_changed(self) -> None:
        with pytest.raises(FrozenInstanceError):
            LockPolicy().ttl = timedelta(1)  # type: ignore[misc]


def test_the_repr_of_a_lease_hides_its_owner() -> None:
    lease = MachineLease(
        machine_id="order-7",
        owner="secret",
        version=3,
        committed_by="the last secret",
        record={"count": 1},
    )
    assert "order-7" in repr(lease)
    assert "secret" not in repr(lease)


def test_a_plain_memory_grants_no_leases() -> None:
    assert not isinstance(SimpleMachineMemory(), ILeasedMachineMemory)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (BackendError("full", retryable=True, outcome="failed"), (MachineMemoryError, True)),
        (BackendError("no table", retryable=False, outcome="failed"), (MachineMemoryError, False)),
        (DamagedError("not UTF-8"), (UnreadableRecordError, False)),
    ],
)
def test_only_damage_is_a_record_that_cannot_be_read(
    error: BackendError, expected: tuple[type[Exception], bool]
) -> None:
    made = machine_memory_error(error)
    assert (type(made), made.retryable) == expected
    assert (str(made), made.outcome) == (str(error), "failed")


@pytest.mark.parametrize("retryable", [True, False])
def test_whether_a_change_may_have_happened_is_passed_on(retryable: bool) -> None:
    made = machine_memory_error(BackendError("gone", retryable=retryable, outcome="unknown"))
    assert (type(made), made.retryable, made.outcome) == (MachineMemoryError, retryable, "unknown")


def test_a_memory_may_choose_the_message_of_its_error() -> None:
    made = machine_memory_error(DamagedError("not UTF-8"), message="the row is damaged")
    assert (type(made), str(made)) == (UnreadableRecordError, "the row is damaged")
