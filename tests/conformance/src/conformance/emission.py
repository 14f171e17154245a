"""The domains that events get by default, as the vectors describe them."""

from collections.abc import Mapping
from typing import Any

from arvo_event_handler import EmissionDomains

_NAMES = {
    "emits": "outputs",
    "services": "services",
    "complete": "complete",
    "systemError": "system_error",
}


def emission_domains(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword argument of a handler, empty if the description has no domains."""
    described = description.get("defaultEventEmissionDomains")
    if described is None:
        return {}
    domains = {_NAMES[name]: tuple(value) for name, value in described.items()}
    return {"domains": EmissionDomains(**domains)}
