"""The service and the workflow that several suites measure: adding two numbers, and asking for it."""

from pydantic import BaseModel

from arvo_core import (
    ArvoOrchestratorContract,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)


class Add(BaseModel):
    """What is to be added."""

    a: float
    b: float


class Added(BaseModel):
    """The sum."""

    result: float


class Total(BaseModel):
    """What the workflow answers."""

    total: float


ADD_V1 = SimpleVersion("1.0.0", accepts=Add, emits=Added)
ADD = SimpleArvoContract(uri="#/benchmarks/add", type="calculator.add", versions=[ADD_V1])

TOTAL_V1 = OrchestratorVersion("1.0.0", init=Add, complete=Total)
TOTAL = ArvoOrchestratorContract(uri="#/benchmarks/total", name="total", versions=[TOTAL_V1])
