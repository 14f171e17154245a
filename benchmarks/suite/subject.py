"""What orchestration subjects cost. Run: uv run python -m benchmarks --only subject."""

from collections.abc import AsyncIterator
from uuid import uuid4

from arvo_core import ArvoOrchestrationSubject, SubjectContent
from benchmarks.workload import Workload, benchmark


@benchmark("subject.new")
async def new() -> AsyncIterator[Workload[str, str]]:
    """Making the subject of a new workflow is four times as fast as in TypeScript."""
    yield Workload(
        inputs=lambda count: ["com.benchmark.source"] * count,
        operation=_subject,
        check=ArvoOrchestrationSubject.is_valid,
    )


@benchmark("subject.parse")
async def parse() -> AsyncIterator[Workload[str, SubjectContent]]:
    """Reading a subject never seen before is three times as fast as in TypeScript."""
    yield Workload(
        inputs=lambda count: [_unknown_subject() for _ in range(count)],
        operation=ArvoOrchestrationSubject.parse,
        check=lambda content: content.execution.initiator == "com.benchmark.source",
    )


def _subject(initiator: str) -> str:
    return ArvoOrchestrationSubject.new(
        orchestrator="arvo.orc.benchmark", version="1.0.0", initiator=initiator
    )


def _unknown_subject() -> str:
    """Make a subject that, unlike one of `new`, is not in the cache of the process."""
    return ArvoOrchestrationSubject.create(
        {
            "orchestrator": {"name": "arvo.orc.benchmark", "version": "1.0.0"},
            "execution": {
                "id": str(uuid4()),
                "initiator": "com.benchmark.source",
                "domain": None,
            },
            "meta": {},
        }
    )
