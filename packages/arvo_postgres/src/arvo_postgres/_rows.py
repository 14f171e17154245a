"""What a statement returned, and what runs one."""

from dataclasses import dataclass
from typing import Any, Protocol


# Not frozen: that would triple the cost of making one for every statement.
@dataclass(slots=True, kw_only=True)
class Rows:
    """What a statement returned."""

    rows: list[Any]
    """All rows, as asyncpg's records."""
    repeated: bool
    """Whether an earlier try may have taken effect too: its answer was lost."""

    @property
    def row(self) -> Any:
        """The first row; None if there is none."""
        return self.rows[0] if self.rows else None


class RunsStatements(Protocol):
    """Runs statements: a `StatementRunner`, or an `OpenTransaction`."""

    async def run(self, operation: str, sql: str, *args: object) -> Rows:
        """Run a statement.

        Args:
            operation: The name of the operation in spans and errors.
            sql: The statement.
            *args: Its parameters.

        Raises:
            BackendError: It failed.
        """
        ...
