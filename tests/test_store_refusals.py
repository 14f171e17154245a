"""What `arvo store` refuses: wrong URLs, names and options, and a package that is missing."""

import subprocess
import sys
from pathlib import Path

import pytest

from .memory_command import Command
from .store_command import Bank, store as store


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    """A store that no test changes."""
    bank = Bank(f"sqlite:///{tmp_path_factory.mktemp('bank')}/bank.db")
    bank.fill()
    return bank


LOOKS = ("lag", "health", "targets", "blocked", "parked")


@pytest.mark.parametrize(
    ("url", "expected", "reason"),
    [
        (
            "bank.db",
            2,
            "an event store is named by a URL, such as sqlite:///events.db (installed: ",
        ),
        ("", 2, "an event store is named by a URL"),
        (
            "mongodb://u:topsecret@host/db",
            2,
            "no installed package has an event store for mongodb:",
        ),
        ("memory:", 2, "memory: is a store within one process"),
        ("sqlite://bank.db", 2, "cannot open the sqlite event store: a file has no host"),
        ("sqlite:///", 2, "the URL names no file"),
        ("sqlite:///bank.db?read_only=maybe", 2, "the option read_only must be true or false"),
        ("sqlite:///bank.db?synchronus=full", 2, "did you mean synchronous?"),
        ("sqlite:////nowhere/bank.db", 4, "/nowhere/bank.db: there is no such file"),
        (f"sqlite:///{__file__}", 4, "cannot read the sqlite event store: "),
        ("postgresql://u:topsecret@127.0.0.1:1/db", 4, "cannot read the postgresql event store: "),
        ("postgresql://u:topsecret@127.0.0.1:0/db", 2, "the port must be between 1 and 65535"),
        ("postgresql://u:topsecret@host/db?pool_sise=1", 2, "did you mean pool_size?"),
    ],
)
def test_a_wrong_url(store: Command, url: str, expected: int, reason: str) -> None:
    status, out, err = store("lag", url, "bank")
    assert (status, out) == (expected, "")
    assert reason in err
    assert err.startswith("arvo: ")
    assert err.count("\n") == 1
    assert "topsecret" not in err


@pytest.mark.parametrize(
    "words",
    [
        *((name, "bank") for name in LOOKS),
        ("verify",),
        ("unblock", "bank", "transfer", "--all", "--yes"),
        ("skip", "bank", "transfer", "wallet-ann", "--yes"),
        ("reset", "bank", "transfer", "--after", "0", "--yes"),
        ("replay", "bank", "--all", "--yes"),
        ("archive", "kept", "--all", "--yes"),
        ("retention", "--prefix", "", "--max-count", "1", "--no-snapshots", "--yes"),
        ("migrate", "--yes"),
    ],
    ids=lambda words: words[0],
)
def test_a_mistyped_file_is_not_created(
    store: Command, tmp_path: Path, words: tuple[str, ...]
) -> None:
    status, out, err = store(words[0], f"sqlite:///{tmp_path}/typo.db", *words[1:])
    assert (status in {2, 4}, out) == (True, "")
    assert f"{tmp_path}/typo.db" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", LOOKS)
def test_an_unknown_group_is_not_taken_for_silence(store: Command, bank: Bank, name: str) -> None:
    status, out, err = store(name, bank.url, "Bank")
    assert (status, out) == (2, "")
    assert err.startswith("arvo: the store knows no group 'Bank': no worker with that name has run")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("lag", "\0"), "group"),
        (("targets", "bank", "--reaction", "send"), "no reaction 'send'; it has tell, transfer"),
        (("blocked", "bank", "--reaction", "send"), "no reaction 'send'; it has tell, transfer"),
        (("parked", "bank", "--reaction", "send"), "no reaction 'send'; it has tell, transfer"),
        (("targets", "bank", "--limit", "0"), "should be greater than or equal to 1"),
        (("health", "bank", "--max-age", "5"), "--max-age takes a duration with its unit"),
        (("health", "bank", "--max-blocked", "-1"), "should be greater than or equal to 0"),
        (("unblock", "bank", "send", "--all"), "no reaction 'send'; it has tell, transfer"),
        (("unblock", "bank", "transfer"), "which targets? Give the KEY of one, or --all"),
        (("unblock", "bank", "transfer", "a", "--all"), "which targets? Give the KEY of one, or"),
        (("skip", "bank", "transfer"), "Missing argument 'KEY'"),
        (("skip", "bank", "send", "wallet-ann"), "no reaction 'send'; it has tell, transfer"),
        (("reset", "bank", "transfer"), "Missing option '--after'"),
        (("reset", "bank", "transfer", "--after", "-1"), "should be greater than or equal to 0"),
        (("reset", "bank", "send", "--after", "0"), "no reaction 'send'; it has tell, transfer"),
        (("replay", "bank"), "which events? Give --reaction, --key or --position, or --all"),
        (("replay", "bank", "--all", "--key", "4"), "which events? Give --reaction, --key or"),
        (("replay", "bank", "--position", "0"), "should be greater than or equal to 1"),
        (("replay", "bank", "--reaction", "send"), "no reaction 'send'; it has tell, transfer"),
        (("archive", "kept"), "which streams? Give STREAMs, --prefix, or --all"),
        (("archive", "kept", "a", "--all"), "which streams? Give STREAMs, --prefix, or --all"),
        (("archive", "kept", "--all", "--upto", "1"), "--upto is a version of one stream"),
        (("archive", "kept", "a", "b", "--upto", "1"), "--upto is a version of one stream"),
        (("archive", "kept", "\0"), "must not contain"),
        (("retention", "--max-count", "1", "--no-snapshots"), "Missing option '--prefix'"),
        (("retention", "--prefix", "", "--no-snapshots"), "Give --max-age or --max-count, or both"),
        (("retention", "--prefix", "", "--max-count", "1"), "give --snapshots CATEGORY if these"),
        (
            ("retention", "--prefix", "", "--max-count", "1", "--no-snapshots", "--snapshots", "a"),
            "give --snapshots CATEGORY if these",
        ),
        (
            ("retention", "--prefix", "", "--max-age", "0d", "--no-snapshots"),
            "--max-age must be longer than zero",
        ),
        (("retention", "--prefix", "", "--max-age", "1w", "--no-snapshots"), "--max-age takes a"),
        (("retention", "--prefix", "\0", "--max-count", "1", "--no-snapshots"), "prefix"),
        (("verify", "--prefix", "\0"), "prefix"),
    ],
    ids=lambda value: "-".join(value).replace("\0", "nul") if isinstance(value, tuple) else None,
)
def test_bad_input(store: Command, bank: Bank, words: tuple[str, ...], reason: str) -> None:
    status, out, err = store(words[0], bank.url, *words[1:])
    assert (status, out) == (2, "")
    assert reason in " ".join(err.replace("│", " ").split())


def without(module: str, *commands: tuple[str, ...]) -> list[tuple[int, str]]:
    """Call commands in a process that has not got a module; return their statuses and messages."""
    program = (
        f"import sys; sys.modules[{module!r}] = None; from arvo_cli import main\n"
        f"for words in {commands!r}: print(main(words), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    lines = done.stderr.splitlines()
    found: list[tuple[int, str]] = []
    while lines:
        end = next(number for number, line in enumerate(lines) if line.isdecimal())
        found.append((int(lines[end]), "\n".join(lines[:end])))
        del lines[: end + 1]
    return found


def test_without_the_event_store_the_rest_of_the_command_works() -> None:
    url = "sqlite:///bank.db"
    missing = (
        "arvo: `arvo store` needs the package arvo-event-store; install it by "
        "`pip install 'arvo-cli[store]'`, for PostgreSQL also 'arvo-event-store[postgres]'"
    )
    assert without(
        "arvo_event_store",
        ("store", "lag", url, "bank"),
        ("store", "migrate", url),
        ("store", "--help"),
        ("topics", "--help"),
    ) == [(2, missing), (2, missing), (0, ""), (0, "")]


def test_without_the_driver_the_error_says_what_to_install() -> None:
    url = "postgresql://u:topsecret@host/bank"
    [(status, message)] = without("asyncpg", ("store", "lag", url, "bank"))
    assert (status, message.count("\n")) == (2, 0)
    assert "pip install 'arvo-event-store[postgres]'" in message
    assert "topsecret" not in message


def test_help_names_the_commands(store: Command) -> None:
    status, out, _ = store("--help")
    assert status == 0
    for name in (
        *("migrate", "targets", "blocked", "unblock", "skip", "reset", "parked", "replay", "lag"),
        *("health", "archive", "verify", "retention"),
    ):
        assert f" {name} " in out
