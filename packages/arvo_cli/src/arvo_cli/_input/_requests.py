"""Chooses what makes requests of the lines of the input."""

from collections.abc import Iterable
from typing import Any

from arvo_cli._errors import CommandError
from arvo_core import EventLimits, VersionedArvoContract
from arvo_event_handler import IArvoEventHandler

from ._event_input import EventDecoder
from ._payload_input import PayloadDecoder
from ._request import Decoder


def decoder_for(
    handlers: Iterable[IArvoEventHandler], contract: str | None, *, limits: EventLimits
) -> Decoder:
    """Return the decoder for the input's lines.

    Args:
        handlers: The handlers of the target.
        contract: URI and version of plain payloads; None for CloudEvents.
        limits: Maximum size and depth of a line.

    Raises:
        CommandError: No handler has a contract of that URI and version.
    """
    if contract is None:
        return EventDecoder(handlers, limits=limits)
    return payload_decoder_for(handlers, contract, limits=limits)


def payload_decoder_for(
    handlers: Iterable[IArvoEventHandler], contract: str, *, limits: EventLimits
) -> PayloadDecoder:
    """Return the decoder for plain payloads.

    Args:
        handlers: The handlers of the target.
        contract: URI and version of the payloads.
        limits: Maximum size and depth of a payload.

    Raises:
        CommandError: No handler has a contract of that URI and version.
    """
    versions = contract_versions(handlers)
    if contract in versions:
        return PayloadDecoder(versions[contract], limits=limits)
    own = [name for name, known in versions.items() if known.contract.uri == contract.rstrip("/")]
    if own:
        raise CommandError(f"--contract {contract} lacks the version; write {' or '.join(own)}")
    raise CommandError(
        f"no handler has a contract {contract!r}; choose one of: {', '.join(sorted(versions))}"
    )


def contract_versions(
    handlers: Iterable[IArvoEventHandler],
) -> dict[str, VersionedArvoContract[Any]]:
    """Return what `--contract` accepts: each version of the handlers' contracts by its URI."""
    return {
        known.dataschema: known
        for handler in handlers
        if (own := handler.contract) is not None
        for known in map(own.version, own.versions)
    }
