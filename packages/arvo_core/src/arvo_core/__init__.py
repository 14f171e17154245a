"""Events, contracts and orchestration subjects: what every part of Arvo speaks.

Start with `ArvoContract` (or `SimpleArvoContract`, `ArvoOrchestratorContract`), make events with
`ArvoEventFactory`, and read them from the wire with `ArvoEvent.from_json`.
"""

from ._cloud_event_view import CloudEventView
from ._collector import collector_at_rest
from ._contract import ArvoContract, VersionedArvoContract
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
from ._event import ArvoEvent
from ._event_id import (
    ARVO_NAMESPACE,
    EventId,
    EventIdPolicy,
    ManagedEventId,
    derive_id,
    parse_event_id,
)
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
from ._payload import Payload
from ._problems import json_problems
from ._simple_contract import SimpleArvoContract
from ._subject import (
    ArvoOrchestrationSubject,
    SubjectContent,
    SubjectExecution,
    SubjectOrchestrator,
)
from ._system_error import SystemErrorData
from ._telemetry import (
    ARVO_CONTRACT_URI,
    ARVO_CONTRACT_VERSION,
    ARVO_SPAN_KIND,
    OPENINFERENCE_SPAN_KIND,
    ArvoSpanKind,
    OpenInferenceSpanKind,
    TraceHeaders,
    current_trace_headers,
    trace_context,
)
from ._uri import decode_uri, encode_uri, ensure_uri, is_valid_uri
from ._version import (
    WILDCARD_VERSION,
    SemanticVersion,
    is_semantic_version,
    is_wildcard_version,
)

__all__ = [
    "ARVO_CONTENT_TYPE",
    "ARVO_CONTRACT_URI",
    "ARVO_CONTRACT_VERSION",
    "ARVO_NAMESPACE",
    "ARVO_SPAN_KIND",
    "OPENINFERENCE_SPAN_KIND",
    "PARENT_SUBJECT",
    "WILDCARD_VERSION",
    "ArvoContract",
    "ArvoError",
    "ArvoEvent",
    "ArvoEventFactory",
    "ArvoOrchestrationSubject",
    "ArvoOrchestratorContract",
    "ArvoOrchestratorEventFactory",
    "ArvoSpanKind",
    "CloudEventView",
    "ContractVersion",
    "DataSchema",
    "EventId",
    "EventIdPolicy",
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
    "ManagedEventId",
    "OpenInferenceSpanKind",
    "OrchestratorEventTypes",
    "OrchestratorVersion",
    "Payload",
    "SemanticVersion",
    "SimpleArvoContract",
    "SimpleVersion",
    "SubjectContent",
    "SubjectExecution",
    "SubjectOrchestrator",
    "SystemErrorData",
    "TraceHeaders",
    "UnknownVersionError",
    "VersionDefinition",
    "VersionedArvoContract",
    "ViolationError",
    "collector_at_rest",
    "current_trace_headers",
    "decode_uri",
    "derive_id",
    "encode_uri",
    "ensure_uri",
    "is_orchestrator_event_type",
    "is_semantic_version",
    "is_valid_uri",
    "is_wildcard_version",
    "json_problems",
    "parse_event_id",
    "trace_context",
]
