"""`arvo store` over PostgreSQL, as an operator calls it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest
from real_servers.fixtures import (
    last_postgres_flavour as last_postgres_flavour,
    postgres_dsn as postgres_dsn,
    postgres_server as postgres_server,
)
from real_servers.postgres_sql import execute

from arvo_event_store import migrate_event_store
from real_servers import PostgresFlavour

from .memory_command import Command
from .store_command import Bank, blocked_keys, lags, objects, store as store


@pytest.fixture(scope="session")
def postgres_flavour(last_postgres_flavour: PostgresFlavour) -> PostgresFlavour:
    return last_postgres_flavour


@pytest.fixture
def url(postgres_dsn: str) -> Iterator[str]:
    """A store without tables."""
    schema = f"bank_{token_hex(6)}"
    yield f"{postgres_dsn}?schema={schema}"
    asyncio.run(execute(postgres_dsn, f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'))


@pytest.fixture
def bank(url: str) -> Bank:
    """A store whose reactions are in trouble."""
    asyncio.run(migrate_event_store(url))
    bank = Bank(url)
    bank.fill()
    return bank


def test_tables_are_made_before_a_worker_runs(store: Command, url: str) -> None:
    status, _, err = store("lag", url, "bank")
    assert (status, "run `await store.migrate()` or `arvo store migrate`" in err) == (2, True)
    status, out, err = store("migrate", url, "--dry-run")
    assert (status, "CREATE TABLE" in out) == (0, True)
    assert err == "arvo: would create the tables or bring them up to date\n"
    status, out, err = store("migrate", url)
    assert (status, out) == (2, "")
    assert err.endswith("Standard input is no terminal, so nobody can be asked: add --yes\n")
    assert store("lag", url, "bank")[0] == 2, "nothing was created"
    status, out, _ = store("migrate", url, "--yes", "--json")
    [report] = objects(out)
    assert (status, report["changed"], "CREATE TABLE" in report["sql"]) == (0, True, True)
    assert store("migrate", url) == (0, "", "arvo: the tables are up to date\n")
    status, _, err = store("lag", url, "bank")
    assert (status, "the store knows no group 'bank'" in err) == (2, True)


def test_reactions_are_looked_at_and_go_on(store: Command, bank: Bank) -> None:
    found = lags(store, bank)
    assert (found["transfer"]["blocked"], found["transfer"]["asleep"]) == (2, 1)
    assert found["tell"]["parked"] == 2
    assert blocked_keys(store, bank) == ["wallet-ann", "wallet-bob"]
    status, out, _ = store("targets", bank.url, "bank", "--json", "--limit", 3)
    assert (status, len(objects(out))) == (0, 3)
    assert store("health", bank.url, "bank")[0] == 1
    assert store("health", bank.url, "bank", "--max-blocked", 2)[0] == 0
    bank.mended = True
    words = (bank.url, "bank", "transfer")
    assert store("unblock", *words, "wallet-bob", "--yes")[2] == "arvo: 1 target unblocked\n"
    assert store("skip", *words, "wallet-ann", "--yes")[0] == 0
    parked = objects(store("parked", bank.url, "bank", "--json")[1])
    assert [each["position"] for each in parked] == [2, 4]
    status, out, _ = store("replay", bank.url, "bank", "--position", 4, "--yes", "--json")
    assert objects(out) == [{"group": "bank", "parked": 1, "replayed": 1}]
    bank.settle()
    assert sorted(bank.handled) == [("tell", 4), ("transfer", 2), ("transfer", 6)]
    bank.handled.clear()
    assert store("reset", *words, "--after", 4, "--yes")[0] == 0
    bank.settle()
    assert sorted(bank.handled) == [("transfer", 5), ("transfer", 6)]


def test_streams_are_archived_cut_off_and_verified(
    store: Command, bank: Bank, tmp_path: Path
) -> None:
    status, out, _ = store("archive", bank.url, tmp_path, "--prefix", "wallet-d", "--yes", "--json")
    assert (status, [each["stream"] for each in objects(out)]) == (0, ["wallet-dora"])
    words = ("retention", bank.url, "--prefix", "wallet-d", "--max-count", 0, "--no-snapshots")
    status, out, err = store(*words, "--archive", tmp_path, "--yes", "--json")
    assert (status, objects(out)[0]["kept"], err) == (0, 1, "arvo: 1 event cut off\n")
    status, _, err = store("verify", bank.url, "--archive", tmp_path)
    assert status == 0
    assert err.startswith("arvo: 4 streams, 5 events, 1 recorded archive, 1 stream in ")
    dsn, _, schema = bank.url.partition("?schema=")
    sql = f'SET arvo.maintenance = on; DELETE FROM "{schema}".event WHERE position = 5'  # noqa: S608
    asyncio.run(execute(dsn, sql))
    status, out, _ = store("verify", bank.url)
    assert status == 1
    assert "wallet-ann  version 1 is missing: version 2 is in its place" in out


def test_a_wrong_login_is_reported_without_the_password(store: Command, postgres_dsn: str) -> None:
    scheme, _, rest = postgres_dsn.partition("://")
    url = f"{scheme}://nobody:s3cret@{rest.rpartition('@')[2]}"
    status, out, err = store("lag", url, "bank")
    assert (status, out) == (4, "")
    assert err.startswith(f"arvo: cannot read the {scheme} event store: ")
    assert "s3cret" not in err
