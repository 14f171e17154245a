"""What tests do inside a memory."""

from arvo_memory_sqlite import SqliteMachineMemory
from arvo_sqlite._writer import Writer


def writer_of(memory: SqliteMachineMemory) -> Writer:
    writer = memory._client._writer
    assert writer is not None, "it was opened read-only"
    return writer
