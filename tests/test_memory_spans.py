"""The spans of all memories follow the same rules."""

from typing import Any

import pytest

from arvo_event_handler import MachineMemoryError
from arvo_time.testing import SpanRecorder

from .test_failing_backends import MEMORIES, SUBJECT


@pytest.mark.parametrize("opened", MEMORIES)
async def test_spans_of_a_memory_have_the_scope_of_its_client(opened: Any) -> None:
    async with opened() as memory:
        with SpanRecorder() as recorder:
            with pytest.raises(MachineMemoryError):
                await memory.read(SUBJECT)
            assert recorder._exporter is not None
            finished = recorder._exporter.get_finished_spans()
    scopes = {span.instrumentation_scope.name for span in finished if span.instrumentation_scope}
    assert scopes == {f"arvo_{opened.__name__}"}


@pytest.mark.parametrize("opened", MEMORIES)
async def test_a_closed_memory_makes_no_spans(opened: Any) -> None:
    async with opened() as memory:
        await memory.aclose()
        with SpanRecorder() as recorder, pytest.raises(MachineMemoryError, match="closed"):
            await memory.read(SUBJECT)
    assert recorder.spans == ()
