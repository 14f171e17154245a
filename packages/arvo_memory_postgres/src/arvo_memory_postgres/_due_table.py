"""The table of the workflows that wait for a time: an index, with who claimed what until when."""

# ruff: noqa: S608 - only constants of this package are put into the SQL

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from typing_extensions import override

from arvo_event_handler.memory import (
    DueMachine,
    ITimedMachineMemory,
    check_claim,
    claim_hold,
)

from ._rows import key_of_timer
from ._statements import EXPIRED, in_table
from ._table import WorkflowTable

# An entry stays behind when its record expires, and another life of the workflow may have begun since.
_IS_ALIVE: Final = f"m.created_at = d.life AND ({EXPIRED}) IS NOT TRUE"

# Subqueries, as a join might be planned as one over all workflows.
_ALIVE: Final = f"(SELECT {_IS_ALIVE} FROM {{table}} AS m WHERE m.key = d.machine)"

# By `clock_timestamp()`, which goes on during a statement, the index would be walked, not searched. $2
# and $3 are how long a first claim and the longest one hold, in seconds.
CLAIM: Final = f"""
WITH found AS MATERIALIZED (
    SELECT d.machine FROM {{due}} AS d WHERE d.held_until <= statement_timestamp()
    ORDER BY d.held_until LIMIT $1 FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE {{due}} AS d SET claims = d.claims + 1, held_until = statement_timestamp()
        + make_interval(secs => least($2::float8 * power(2, least(d.claims, 64)), $3::float8))
    WHERE d.machine = ANY (ARRAY(SELECT f.machine FROM found AS f)) AND {_ALIVE}
    RETURNING d.machine, d.at, d.key, d.claims,
        (SELECT m.machine_id FROM {{table}} AS m WHERE m.key = d.machine) AS machine_id
)
SELECT f.machine, c.machine_id, c.at, c.key, c.claims, statement_timestamp() AS due_by
FROM found AS f LEFT JOIN claimed AS c ON c.machine = f.machine"""
"""Claims what is due. A row without a machine id is an entry whose workflow may be forgotten."""

# A claim sees workflows as they were before it locked their entries. Locking both shows both as they are.
DROP: Final = f"""
WITH gone AS MATERIALIZED (
    SELECT d.machine FROM {{table}} AS m JOIN {{due}} AS d ON d.machine = m.key
    WHERE m.key = ANY ($1::bytea[]) AND NOT ({_IS_ALIVE}) FOR UPDATE OF m, d SKIP LOCKED
)
DELETE FROM {{due}} AS d USING gone WHERE d.machine = gone.machine RETURNING d.machine"""
"""Drops entries of forgotten workflows."""

NEXT: Final = f"""
SELECT d.held_until FROM {{due}} AS d WHERE {_ALIVE} ORDER BY d.held_until LIMIT 1"""
"""Finds when something can be claimed next."""

_LONGEST_HOLD: Final = timedelta(days=3653)


class DueTable(WorkflowTable, ITimedMachineMemory):
    """The workflows that wait for a time, beside all workflows."""

    @override
    async def claim_due(self, *, limit: int, hold: timedelta) -> Sequence[DueMachine]:
        check_claim(limit=limit, hold=hold)
        first = min(hold, _LONGEST_HOLD)
        seconds = [first.total_seconds(), claim_hold(first, claims=65).total_seconds()]
        sql = in_table(CLAIM, self._name)
        claimed: list[DueMachine] = []
        while len(claimed) < limit:
            rows = (await self._ask("CLAIM", sql, limit - len(claimed), *seconds)).rows
            claimed += [_due_machine(row) for row in rows if row["machine_id"] is not None]
            gone = [row["machine"] for row in rows if row["machine_id"] is None]
            if not gone or not await self._dropped(gone):
                break
        # They come in the order in which they could be claimed, which for those claimed before is that
        # of their holds' ends.
        claimed.sort(key=lambda each: each.at)
        return claimed

    @override
    async def next_due(self) -> datetime | None:
        row = (await self._ask("NEXT", in_table(NEXT, self._name))).row
        return None if row is None else row["held_until"]

    async def _dropped(self, machines: Sequence[bytes]) -> bool:
        answer = await self._ask("DROP", in_table(DROP, self._name), machines)
        return bool(answer.rows) or answer.repeated


def _due_machine(row: Any) -> DueMachine:
    return DueMachine(
        machine_id=row["machine_id"],
        at=row["at"],
        key=key_of_timer(row["key"]),
        claims=row["claims"],
        due_by=row["due_by"],
    )
