"""Connections are cut while leases are finished: each transfer happens once all the same."""

import os
import time
from datetime import timedelta
from random import Random
from urllib.parse import urlsplit

import pytest

from reaction_faults import PostgresDatabase
from real_servers import FaultProxy
from timer_faults import HastyClock
from transport_faults import limited, until
from wallet.audit import audit
from wallet.bank import open_bank
from wallet.customers import Plan, ask_for_transfers, open_accounts
from wallet.day import is_at_rest
from wallet.worker import WorkerSettings, reaction_worker

pytestmark = [pytest.mark.alone, pytest.mark.scaled]
CUTS = 100 if os.environ.get("ARVO_FULL") == "1" else 12
LONGEST_STATEMENT = 3_000


async def test_each_transfer_happens_once(postgres: PostgresDatabase) -> None:
    """Cut at any byte of a finish or of its answer, and in the commit of the one with the table."""
    random = Random(19)
    began = time.monotonic()
    port = urlsplit(postgres.url).port
    assert port is not None
    async with (
        open_bank(postgres.url, create=True) as bank,
        FaultProxy.open(port=port) as proxy,
        open_bank(postgres.url.replace(f":{port}/", f":{proxy.port}/"), clock=HastyClock()) as far,
    ):
        everything = Plan.of(accounts=5, transfers=CUTS)
        await open_accounts(bank, everything)
        settings = WorkerSettings(url=postgres.url, ttl=timedelta(seconds=1))
        async with reaction_worker(far, settings):
            await until(lambda: is_at_rest(bank), "the accounts are open")
            for transfer, requested in everything.transfers.items():
                where = b"COMMIT" if random.random() < 0.3 else transfer.encode()
                if random.random() < 0.5:
                    n_bytes = random.randrange(LONGEST_STATEMENT)
                    fault = proxy.lose_next_request(containing=where, n_bytes=n_bytes)
                else:
                    fault = proxy.cut_reply_after(random.randrange(60), containing=where)
                one = Plan(accounts=everything.accounts, transfers={transfer: requested})
                await ask_for_transfers(bank, one)
                async with limited(f"nothing was cut for {transfer}"):
                    await fault.happened.wait()
            await until(lambda: is_at_rest(bank), "all is done")
        found = await audit(bank, requested=everything.transfers)
    print(  # noqa: T201
        f"{CUTS} cuts in finishes: {dict(found.ends)}, {len(found.problems)} problems; "
        f"{time.monotonic() - began:.1f} s"
    )
    assert not found.problems
