"""The law of journals: a workflow on one does what it does on whole records, over any machine memory.

Whatever is remembered, lost, repeated, forgotten, or done by other workers. Each memory has a test that
keeps it:

    @keeps_the_law
    def test_my_memory(play: Play) -> None:
        asyncio.run(check_play(play, MyMemory.connect(chunk_bytes=play.chunk_bytes)))
"""

from ._plays import PLAYS, Play, keeps_the_law
from ._shop import ENDS, reserved, start
from ._twins import check_play
from ._workflows import flow, resumable

__all__ = [
    "ENDS",
    "PLAYS",
    "Play",
    "check_play",
    "flow",
    "keeps_the_law",
    "reserved",
    "resumable",
    "start",
]
