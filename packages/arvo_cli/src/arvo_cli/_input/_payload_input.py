"""Makes requests of lines that are plain payloads."""

from typing import Any, Final

from arvo_cli._errors import RejectedLineError, one_line
from arvo_core import (
    PARENT_SUBJECT,
    ArvoEventFactory,
    ArvoOrchestrationSubject,
    ArvoOrchestratorContract,
    EventLimits,
    InvalidValueError,
    VersionedArvoContract,
    json_problems,
)
from arvo_core.event_id import derive_id

from ._lines import Line
from ._request import Occurrences, Request, check_length, for_users, load_json

SOURCE: Final = "com.arvo.cli"
"""The source of events made of plain payloads. Part of their identity, so it never changes."""


class PayloadDecoder:
    """Makes events of lines that are plain payloads of one contract version.

    The event's id follows from the contract, the line and how often that line occurred before,
    and its subject from the id. So the same input gives the same events in every run.

    Args:
        contract: The contract version that the lines are payloads of.
        limits: Maximum depth of a payload.
    """

    def __init__(self, contract: VersionedArvoContract[Any], *, limits: EventLimits) -> None:
        self._limits = limits
        self._contract = contract
        self._factory = ArvoEventFactory(contract)
        self._is_workflow = isinstance(contract.contract, ArvoOrchestratorContract)
        self._seen = Occurrences()

    def decode(self, line: Line) -> Request:
        """Read a line; see `Decoder`."""
        payload = self._payload(line)
        dataschema, text = self._contract.dataschema, line.text
        event_id = derive_id(dataschema, text, self._seen.add(dataschema, text))
        return self._request(payload, id=event_id, execution_id=derive_id(event_id, "execution"))

    def decode_keyed(self, line: Line, *, key: str) -> Request:
        """Make the request that a key names, whatever its payload.

        Raises:
            RejectedLineError: As for `decode`.
        """
        contract = self._contract
        event_id = derive_id(SOURCE, contract.contract.uri, contract.version, key)
        return self._request(self._payload(line), id=event_id, execution_id=key)

    def _payload(self, line: Line) -> dict[str, Any]:
        check_length(line)
        payload = load_json(line, self._limits)
        if not isinstance(payload, dict):
            raise RejectedLineError(
                f"a payload must be a JSON object, not {type(payload).__name__}"
            )
        problems = json_problems(payload, max_depth=self._limits.max_depth)
        if problems:
            problem = for_users(str(problems[0]))
            raise RejectedLineError(f"not JSON that every language reads: {problem}")
        return payload

    def _request(self, payload: dict[str, Any], *, id: str, execution_id: str) -> Request:
        try:
            event = self._factory.accepts(
                source=SOURCE,
                data={PARENT_SUBJECT: None, **payload} if self._is_workflow else payload,
                id=id,
                subject=ArvoOrchestrationSubject.new(
                    orchestrator=self._contract.type,
                    version=self._contract.version,
                    initiator=SOURCE,
                    execution_id=execution_id,
                ),
                limits=self._limits,
            )
        except InvalidValueError as error:
            raise RejectedLineError(for_users(one_line(error))) from error
        return Request(event=event, answer_to=SOURCE, repeated=False)
