"""What user code returns."""

import dataclasses

import pytest

from arvo_core.event_id import EventId
from arvo_event_handler import Complete, Emit


def test_emit_takes_its_type_and_data_by_position_and_the_rest_by_name() -> None:
    emit = Emit("evt.user.create.success", {"id": "7"}, to="com.audit", domain="audit")
    assert (emit.type, emit.data, emit.to, emit.domain) == (
        "evt.user.create.success",
        {"id": "7"},
        "com.audit",
        "audit",
    )


def test_complete_takes_its_data_by_position_and_the_rest_by_name() -> None:
    identity = EventId.developer_managed("done-7")
    assert Complete({"total": 3}, id=identity).id == identity


@pytest.mark.parametrize("output", [Emit("evt.a.b", {}), Complete({})])
def test_arguments_left_out_are_none(output: Emit | Complete) -> None:
    chosen = {"type", "data"}
    left_out = [item.name for item in dataclasses.fields(output) if item.name not in chosen]
    assert [getattr(output, name) for name in left_out] == [None] * len(left_out)


def test_outputs_are_immutable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Emit("evt.a.b", {}).type = "evt.c.d"  # type: ignore[misc]
