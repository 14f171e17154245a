"""A page is printed every new year's morning, and whenever it is asked for."""

from datetime import datetime

from pydantic import BaseModel

from arvo_core import SimpleArvoContract, SimpleVersion
from arvo_event_handler import (
    ArvoEventHandler,
    ArvoSchedule,
    Emit,
    HandlerInput,
    IArvoEventHandler,
    IMachineMemory,
)


class Page(BaseModel):
    year: int


PRINT_V1 = SimpleVersion("1.0.0", accepts=Page, emits=Page)
print_contract = SimpleArvoContract(uri="#/test/almanac", type="test.print", versions=[PRINT_V1])


def page(planned: datetime) -> Emit:
    return Emit("com.test.print", Page(year=planned.year))


async def print_v1(call: HandlerInput[Page]) -> Emit:
    return Emit("evt.test.print.success", call.data)


def create_handlers(memory: IMachineMemory) -> list[IArvoEventHandler]:
    return [
        ArvoSchedule(
            name="almanac",
            cron="0 6 1 1 *",
            zone="Europe/Vienna",
            services=[print_contract.version(PRINT_V1)],
            emit=page,
            memory=memory,
        ),
        ArvoEventHandler(contract=print_contract, handler={"1.0.0": print_v1}),
    ]
