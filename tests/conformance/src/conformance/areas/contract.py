"""Contracts, their versions, their JSON schemas, and the schema language itself."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from arvo_core import (
    ArvoContract,
    ArvoEventFactory,
    ContractVersion,
    DataSchema,
    OrchestratorEventTypes,
    VersionedArvoContract,
    is_orchestrator_event_type,
)
from arvo_core.semantic_version import SemanticVersion, is_semantic_version, is_wildcard_version
from conformance import arguments
from conformance.cases import Case
from conformance.comparison import Comparison, same_order
from conformance.contracts import contract
from conformance.json_schema import normalised
from conformance.outcome import REFUSED, returned
from conformance.schema import payload_type


async def run(case: Case) -> None:
    """Check one operation."""
    operation = case.input["op"]
    if operation == "construct":
        _same_contract(case)
    elif operation == "schemaParse":
        _same_payload(case)
    else:
        made = returned(case.expected, partial(_OPERATIONS[operation], case.input))
        if made is not REFUSED:
            shown = _with_normalised if operation in _JSON_SCHEMAS else _as_it_is
            Comparison().same(shown(case.expected["ok"]), shown(made))


def _same_contract(case: Case) -> None:
    # The original checks each argument by itself, so that its problems all have an empty path.
    made = returned(case.expected, partial(contract, case.input["contract"]), path=lambda _: ())
    if made is REFUSED:
        return
    expected = {name: value for name, value in case.expected["ok"].items() if name != "exportKeys"}
    for version in expected["perVersion"].values():
        del version["emitList"]
    # The order of declaration is not part of our API.
    expected["versions"] = sorted(expected["versions"])
    Comparison().same(expected, _described(made))


def _described(made: ArvoContract) -> dict[str, Any]:
    return {
        "uri": made.uri,
        "type": made.type,
        "domain": made.domain,
        "description": made.description,
        "metadata": made.metadata,
        "versions": sorted(made.versions),
        "sortedAsc": list(made.versions),
        "sortedDesc": list(reversed(made.versions)),
        "systemErrorType": made.system_error_type,
        "perVersion": {text: _described_version(made.version(text)) for text in made.versions},
    }


def _described_version(version: VersionedArvoContract[Any]) -> dict[str, Any]:
    return {
        "version": version.version,
        "dataschema": version.dataschema,
        "acceptsType": version.type,
        "emits": list(version.emits),
        "systemError": {
            "type": version.system_error_type,
            "dataschema": version.system_error_dataschema,
        },
        "domain": version.domain,
        "description": version.description,
        "uri": version.uri,
    }


def _same_payload(case: Case) -> None:
    # Payloads are objects; any other value is looked at as the member of one.
    schema = {"obj": {"value": case.input["schema"]}}
    payload = ContractVersion("1.0.0", accepts=payload_type(schema), emits={}).accepts
    data = returned(
        case.expected,
        partial(payload.to_wire, {"value": case.input["data"]}),
        path=lambda path: path[1:],
    )
    if data is not REFUSED:
        Comparison().same(case.expected["ok"], data["value"])
        same_order(case.expected["ok"], data["value"], "data")


def _version(given: Mapping[str, Any]) -> dict[str, str]:
    found = contract(given["contract"]).version(given["version"])
    return {"version": found.version, "dataschema": found.dataschema}


def _json_schema(given: Mapping[str, Any]) -> Any:
    return contract(given["contract"]).to_json_schema()


def _versioned_json_schema(given: Mapping[str, Any]) -> Any:
    return contract(given["contract"]).version(given["version"]).to_json_schema()


def _as_it_is(described: Any) -> Any:
    return described


def _with_normalised(described: Mapping[str, Any]) -> dict[str, Any]:
    """Bring the payloads' schemas, and nothing else, into one spelling."""
    changed: dict[str, Any] = dict(described)
    if "versions" in described:
        changed["versions"] = [_with_normalised(version) for version in described["versions"]]
    for name in ("accepts", "systemError"):
        if name in described:
            changed[name] = _normalised_payload(described[name])
    if "emits" in described:
        changed["emits"] = [_normalised_payload(payload) for payload in described["emits"]]
    return changed


def _normalised_payload(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {**payload, "schema": normalised(payload["schema"])}


def _parsed_dataschema(given: Mapping[str, Any]) -> dict[str, Any]:
    parsed = None if given["value"] is None else DataSchema.parse(given["value"])
    shown = parsed and {"uri": parsed.uri, "version": parsed.version}
    return {"parse": shown, "isValid": parsed is not None}


def _parsed_version(given: Mapping[str, Any]) -> dict[str, int]:
    parsed = SemanticVersion.parse(given["value"])
    return {"major": parsed.major, "minor": parsed.minor, "patch": parsed.patch}


def _compared_versions(given: Mapping[str, Any]) -> int:
    left, right = SemanticVersion.parse(given["a"]), SemanticVersion.parse(given["b"])
    return (left > right) - (left < right)


def _version_rules(given: Mapping[str, Any]) -> dict[str, bool]:
    text = given["value"]
    return {"valid": is_semantic_version(text), "wildcard": is_wildcard_version(text)}


def _event_types(given: Mapping[str, Any]) -> dict[str, str]:
    types = OrchestratorEventTypes.of(given["name"])
    return {
        "init": types.init,
        "complete": types.complete,
        "systemError": types.system_error,
    }


def _error_data(given: Mapping[str, Any]) -> Mapping[str, Any]:
    plain: Any = {"obj": {}}
    any_contract = contract(
        {
            "kind": "contract",
            "uri": "#/any",
            "type": "com.any.thing",
            "versions": {"1.0.0": {"accepts": plain, "emits": {}}},
        }
    )
    event = ArvoEventFactory(any_contract.version("1.0.0")).system_error(
        error=arguments.error(given["error"]), source="com.any.thing", subject="s"
    )
    return event.data


_JSON_SCHEMAS = {"toJsonSchema", "versionedToJsonSchema"}
_OPERATIONS = {
    "version": _version,
    "toJsonSchema": _json_schema,
    "versionedToJsonSchema": _versioned_json_schema,
    "dataschemaParse": _parsed_dataschema,
    "dataschemaBuild": lambda given: str(DataSchema(uri=given["uri"], version=given["version"])),
    "parseSemanticVersion": _parsed_version,
    "compareSemanticVersions": _compared_versions,
    "isValidArvoSemanticVersion": _version_rules,
    "typegen": _event_types,
    "isOrchestratorEventType": lambda given: is_orchestrator_event_type(given["type"]),
    "createArvoError": _error_data,
}
