"""Commands as bytes."""

from collections.abc import Callable
from typing import Final, cast

from hiredis import pack_command

from ._transport import Word

encode_request: Final = cast("Callable[[tuple[Word, ...]], bytes]", pack_command)
"""Write the words of a command as the server reads them. (The driver's own type allows one.)"""
