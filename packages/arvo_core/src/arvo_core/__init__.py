"""Events, contracts and orchestration subjects: the vocabulary that all of Arvo shares.

Start with `ArvoContract` (or `SimpleArvoContract`, `ArvoOrchestratorContract`), make events with
`ArvoEventFactory`, and read them from the wire with `ArvoEvent.from_json`. Less common names are in
`arvo_core.event_id`, `arvo_core.semantic_version`, `arvo_core.telemetry` and `arvo_core.uri`.
"""

from ._contract import ArvoContract, SimpleArvoContract, VersionedArvoContract
from ._contract_rules import is_orchestrator_event_type
from ._contract_version import ContractVersion, SimpleVersion, VersionDefinition
from ._dataschema import DataSchema
from ._errors import (
    ArvoError,
    FieldProblem,
    InvalidContractError,
    InvalidDataError,
    InvalidEventError,
    InvalidSubjectError,
    InvalidUriError,
    InvalidValueError,
    InvalidVersionError,
    UnknownVersionError,
    ViolationError,
)
from ._event import ArvoEvent, CloudEventView
from ._event_limits import EventLimits
from ._event_rules import ARVO_CONTENT_TYPE
from ._factory import ArvoEventFactory, ArvoOrchestratorEventFactory, EventOptions
from ._json import JsonObject
from ._orchestrator_contract import (
    PARENT_SUBJECT,
    ArvoOrchestratorContract,
    InitPayload,
    OrchestratorEventTypes,
    OrchestratorVersion,
)
from ._payload.collector import collector_at_rest
from ._payload.payload import Payload
from ._problems import json_problems
from ._subject import (
    ArvoOrchestrationSubject,
    SubjectContent,
    SubjectExecution,
    SubjectOrchestrator,
)
from ._system_error import SystemErrorData

__all__ = [
    "ARVO_CONTENT_TYPE",
    "PARENT_SUBJECT",
    "ArvoContract",
    "ArvoError",
    "ArvoEvent",
    "ArvoEventFactory",
    "ArvoOrchestrationSubject",
    "ArvoOrchestratorContract",
    "ArvoOrchestratorEventFactory",
    "CloudEventView",
    "ContractVersion",
    "DataSchema",
    "EventLimits",
    "EventOptions",
    "FieldProblem",
    "InitPayload",
    "InvalidContractError",
    "InvalidDataError",
    "InvalidEventError",
    "InvalidSubjectError",
    "InvalidUriError",
    "InvalidValueError",
    "InvalidVersionError",
    "JsonObject",
    "OrchestratorEventTypes",
    "OrchestratorVersion",
    "Payload",
    "SimpleArvoContract",
    "SimpleVersion",
    "SubjectContent",
    "SubjectExecution",
    "SubjectOrchestrator",
    "SystemErrorData",
    "UnknownVersionError",
    "VersionDefinition",
    "VersionedArvoContract",
    "ViolationError",
    "collector_at_rest",
    "is_orchestrator_event_type",
    "json_problems",
]
