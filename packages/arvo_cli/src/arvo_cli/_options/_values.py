"""Values that the help of options shows. Imports nothing, as help is to come at once."""

from typing import Final, Literal, TypeAlias

STDOUT: Final = "-"
"""The name of standard output."""
MAX_LINE_BYTES: Final = 8 * 2**20
"""Default maximum length of a line."""

DiagramFormat: TypeAlias = Literal["mermaid", "dot", "svg"]
"""The language of a diagram."""
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
"""The lowest level of log records that are shown."""
WorkflowStatusName: TypeAlias = Literal["active", "failed", "done"]
"""How a workflow stands."""
