"""URLs of memories, transports and event stores: what may be shown of them."""

from collections.abc import Collection
from typing import Final
from urllib.parse import unquote

from arvo_cli._errors import one_line

_MIN_SECRET_LENGTH: Final = 4
_TOKEN_SCHEMES: Final = frozenset(("nats", "tls"))
"""Those of engines that take a token in the place of a user's name."""


def scheme_of(url: str) -> str:
    """Return the scheme of a URL in lower case."""
    return url.partition(":")[0].lower()


def reason_without_secret(error: BaseException, *, url: str) -> str:
    """Return an error's message as one line, without the password of the URL.

    Args:
        error: Its message may show the whole URL.
        url: The URL that the user gave.
    """
    return without_secret(one_line(error), url=url)


def without_secret(text: str, *, url: str) -> str:
    """Return a text without the passwords of a URL, nor the token that NATS takes as a name.

    Args:
        text: It may show the whole URL.
        url: The URL that the user gave.
    """
    # The longest first, as it may contain another one.
    for secret in sorted(_secrets_of(url), key=lambda each: (-len(each), each)):
        if len(secret) >= _MIN_SECRET_LENGTH:
            text = text.replace(secret, "***").replace(unquote(secret), "***")
    return text


def place_of(url: str) -> str:
    """Return where an engine is: the URL without user, password and options.

    Example:
        >>> place_of("redis://me:secret@localhost:6379/0?namespace=shop")
        'redis://localhost:6379/0'
    """
    scheme, colon, rest = url.partition(":")
    slashes = "//" if rest.startswith("//") else ""
    where = rest.removeprefix("//").rpartition("@")[2]
    return f"{scheme}{colon}{slashes}{where.partition('?')[0]}"


def read_only(url: str, *, schemes: Collection[str]) -> str:
    """Return the URL for a command that only looks: read-only, if its scheme has that option.

    What the user has chosen stays.

    Args:
        url: The URL that the user gave.
        schemes: Those whose URLs have the option `read_only`.

    Example:
        >>> read_only("sqlite:///state.db?ttl=10s", schemes={"sqlite"})
        'sqlite:///state.db?ttl=10s&read_only=true'
        >>> read_only("memory:", schemes={"sqlite"})
        'memory:'
    """
    where, _, query = url.partition("?")
    options = query.split("&") if query else []
    chosen = any(option.partition("=")[0] == "read_only" for option in options)
    if chosen or scheme_of(url) not in schemes:
        return url
    return f"{where}?{'&'.join([*options, 'read_only=true'])}"


def _secrets_of(url: str) -> set[str]:
    """Return all that may be a password or a token: of one user, or of several before each host."""
    users = url.partition("//")[2].rpartition("@")[0]
    secrets = {users.partition(":")[2]}
    for piece in users.split("@"):
        # Behind the first user, a piece begins with the hosts of the one before.
        for user in (piece, piece.partition(",")[2], piece.rpartition(",")[2]):
            name, colon, password = user.partition(":")
            if colon or scheme_of(url) in _TOKEN_SCHEMES:
                secrets.add(password if colon else name)
    return secrets
