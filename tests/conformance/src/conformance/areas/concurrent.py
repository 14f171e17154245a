"""The broker and the machine memory for many concurrent workflows in one process."""

from conformance.broker_scenario import BrokerScenario, comparable
from conformance.cases import Case
from conformance.comparison import Comparison
from conformance.memory_trace import MemoryTrace


async def run(case: Case) -> None:
    """Play the scenario of a broker, or the trace of a memory."""
    expected = case.expected["ok"]
    match case.input["kind"]:
        case "broker":
            played = await BrokerScenario(case.input).run()
            Comparison().same(comparable(expected), comparable(played))
        case "memory":
            traced = await MemoryTrace(case.input["config"]).run(case.input["ops"])
            Comparison().same(expected, traced)
        case kind:
            raise ValueError(f"unknown kind of case: {kind!r}")
