"""Traces: one operation after another on a machine memory, and what each came to."""

from collections.abc import Mapping
from copy import deepcopy
from datetime import timedelta
from typing import Any

from arvo_concurrent import ConcurrentMachineMemory
from arvo_event_handler import TransactionViolation, TransactionViolationCause
from arvo_event_handler.memory import LockPolicy
from arvo_time.testing import FakeClock

_MILLISECOND = timedelta(milliseconds=1)


class MemoryTrace:
    """One run of one case, on a clock of its own.

    Args:
        config: The vector's settings of the memory; None for none.
    """

    def __init__(self, config: Mapping[str, Any] | None) -> None:
        self._clock = FakeClock()
        self._memory = ConcurrentMachineMemory(policy=_policy(config or {}), clock=self._clock)
        self._written: dict[str, Any] = {}
        self._named: dict[str, Any] = {}

    async def run(self, operations: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Do one after another, and return what the vector shows of them."""
        return [
            {"op": each["op"], **await self._clock.run_until_complete(self._outcome(each))}
            for each in operations
        ]

    async def _outcome(self, operation: Mapping[str, Any]) -> dict[str, Any]:
        if operation["op"] == "sleep":
            await self._clock.sleep(operation["ms"] * _MILLISECOND)
            return {}
        try:
            return {"result": await self._result(operation)}
        except TransactionViolation as violation:
            if violation.cause is not TransactionViolationCause.INVALID_SUBJECT:
                raise
            return {"error": {"kind": "Error"}}

    async def _result(self, operation: Mapping[str, Any]) -> Any:
        match operation:
            case {"op": "lock", "id": machine_id}:
                return await self._memory.lock(machine_id)
            case {"op": "unlock", "id": machine_id}:
                return await self._memory.unlock(machine_id)
            case {"op": "read", "id": machine_id}:
                record = await self._memory.read(machine_id)
                self._named[operation.get("as", "")] = record
                return deepcopy(record)
            case {"op": "write", "id": machine_id, "data": data}:
                return await self._write(machine_id, data, name=operation.get("as", ""))
            case {"op": "mutate", "target": name, "key": key, "value": value}:
                self._named[name][key] = value
            case {"op": "cleanup", "id": machine_id}:
                self._written.pop(machine_id, None)
                await self._memory.cleanup(machine_id)
            case _:
                raise ValueError(f"unknown operation: {operation!r}")
        return None

    async def _write(self, machine_id: str, data: Mapping[str, Any], *, name: str) -> None:
        record = self._named[name] = deepcopy(dict(data))
        await self._memory.write(machine_id, record, self._written.get(machine_id))
        self._written[machine_id] = deepcopy(record)


def _policy(config: Mapping[str, Any]) -> LockPolicy:
    """Wait for as long as all pauses of the original take together, without polling."""
    settings: dict[str, timedelta] = {}
    if "lockTTLMs" in config:
        settings["ttl"] = config["lockTTLMs"] * _MILLISECOND
    if "lockMaxRetries" in config:
        pauses = (
            config["lockInitialDelayMs"] * config["lockBackoffExponent"] ** tried
            for tried in range(config["lockMaxRetries"])
        )
        settings["max_wait"] = sum(pauses) * _MILLISECOND
    return LockPolicy(**settings)
