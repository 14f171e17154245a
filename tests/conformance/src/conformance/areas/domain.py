"""Symbolic domains, resolved against every combination of what they refer to."""

from collections.abc import Mapping
from typing import Any

from arvo_event_handler import DomainContext, resolve_event_domain
from conformance.cases import Case
from conformance.comparison import Comparison
from conformance.values import encode_subject


async def run(case: Case) -> None:
    """Resolve one domain."""
    given = case.input
    resolved = resolve_event_domain(
        given["domainToResolve"],
        context=DomainContext(
            subject=_subject(given["currentSubject"]) or "",
            parent_subject=_subject(given["parentSubject"]),
            triggering_domain=given["triggeringEventDomain"],
            self_domain=given["selfContractDomain"],
            event_domain=(given["eventContract"] or {}).get("domain"),
        ),
    )
    Comparison().same(case.expected["ok"], resolved)


def _subject(described: Mapping[str, Any] | str | None) -> str | None:
    if described is None or isinstance(described, str):
        return described
    return encode_subject(
        {
            "orchestrator": {"name": "arvo.orc.flow", "version": "1.0.0"},
            "execution": {"id": "run-1", "initiator": "com.app.main", **described},
            "meta": {},
        }
    )
