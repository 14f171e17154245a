"""The wallet example: the command of its README, and what its audit finds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from arvo_event_store import NewEvent
from wallet.accounts import (
    Account,
    Deposited,
    RefusalError,
    Reserved,
    accounts,
    depositing,
    reserving,
    withdrawing,
)
from wallet.audit import audit
from wallet.bank import MEMORY, Bank, open_bank
from wallet.customers import Plan, ask_for_transfers, open_accounts
from wallet.worker import WorkerSettings, reaction_worker

ROOT = Path(__file__).parent.parent


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "examples.wallet", *arguments],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )


class TestCommand:
    def test_every_balance_is_right_in_a_file(self, tmp_path: Path) -> None:
        """Also when the file has the transfers of another day."""
        url = f"sqlite:///{tmp_path}/wallet.db?synchronous=normal"
        for day in (1, 2):
            done = run(url, "--transfers", "30", "--accounts", "4", "--workers", "2")
            assert done.returncode == 0, done.stderr
            assert "    30 of 30 transfers ended, 0 workers killed" in done.stdout
            assert "all            2000.00, of 2000.00 deposited" in done.stdout
            ends = [line for line in done.stdout.splitlines() if " transfers: " in line]
            assert sum(int(line.split()[0]) for line in ends) == 30 * day
            assert "every balance is right, no transfer is lost or doubled" in done.stdout

    def test_every_balance_is_right_in_memory(self) -> None:
        done = run(MEMORY, "--transfers", "50")
        assert done.returncode == 0, done.stderr
        assert "50 of 50 transfers ended" in done.stdout
        assert "all           10000.00, of 10000.00 deposited" in done.stdout

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["memory:", "--kill", "1"], "--kill takes"),
            (["memory:", "--accounts", "1"], "two accounts at least"),
            (["memory:", "--workers", "0"], "it takes a worker"),
            (["redis://localhost"], "no store of events for redis:; use memory:"),
            (["sqlite://wallet.db"], "use memory:, sqlite:///wallet.db"),
        ],
        ids=["kill", "accounts", "workers", "scheme", "slashes"],
    )
    def test_wrong_arguments_are_refused(self, arguments: list[str], message: str) -> None:
        done = run(*arguments)
        assert done.returncode != 0
        assert message in done.stderr


class TestDecisions:
    def test_an_account_is_never_overdrawn(self) -> None:
        account = Account(is_open=True, available=70)
        too_much = Reserved(transfer="t", to="b", amount=71)
        with pytest.raises(RefusalError, match="not enough money"):
            withdrawing(71, account)
        with pytest.raises(RefusalError, match="not enough money"):
            reserving(too_much, account)

    def test_an_account_that_was_never_opened_takes_nothing(self) -> None:
        with pytest.raises(RefusalError, match="no such account"):
            depositing(1, Account())

    def test_money_that_is_put_aside_cannot_be_withdrawn(self) -> None:
        with pytest.raises(RefusalError, match="not enough money"):
            withdrawing(1, Account(is_open=True, available=0, reserved=70))


class TestAudit:
    """Whatever is wrong is found."""

    PLAN = Plan.of(accounts=4, transfers=30)

    async def worked(self, bank: Bank) -> None:
        await open_accounts(bank, self.PLAN)
        await ask_for_transfers(bank, self.PLAN)
        await reaction_worker(bank, WorkerSettings(url=MEMORY)).settle()

    async def problems(self, bank: Bank) -> list[str]:
        return [*(await audit(bank, requested=self.PLAN.transfers)).problems]

    async def test_nothing_is_wrong_with_a_day(self) -> None:
        async with open_bank(MEMORY) as bank:
            await self.worked(bank)
            assert await self.problems(bank) == []

    async def test_deposits_and_withdrawals_count(self) -> None:
        async with open_bank(MEMORY) as bank:
            await self.worked(bank)
            await accounts.act(bank.store, "a000", lambda account: depositing(7, account))
            await accounts.act(bank.store, "a001", lambda account: withdrawing(3, account))
            await reaction_worker(bank, WorkerSettings(url=MEMORY)).settle()
            assert await self.problems(bank) == []

    async def test_a_transfer_that_was_forgotten_is_found(self) -> None:
        async with open_bank(MEMORY) as bank:
            await self.worked(bank)
            found = await audit(bank, requested=[*self.PLAN.transfers, "another"])
            assert found.problems == ["transfer another is lost"]

    async def test_a_transfer_that_has_not_ended_is_found(self) -> None:
        async with open_bank(MEMORY) as bank:
            await open_accounts(bank, self.PLAN)
            await ask_for_transfers(bank, self.PLAN)
            assert "transfer t00000 has 0 ends: []" in await self.problems(bank)

    async def test_a_table_that_is_behind_is_found(self) -> None:
        async with open_bank(MEMORY) as bank:
            await self.worked(bank)
            (before, _) = (await bank.balances.rows())["a000"]
            await accounts.act(bank.store, "a000", lambda _: [Deposited(7)])
            assert await self.problems(bank) == [
                f"account a000 has ({before}, 0) by the table, not ({before + 7}, 0)"
            ]

    @pytest.mark.parametrize("name", ["Reserved", "Paid", "Received", "Completed"])
    async def test_an_event_that_was_stored_twice_is_found(self, name: str) -> None:
        async with open_bank(MEMORY) as bank:
            await self.worked(bank)
            events = [event async for event in bank.store.read_all() if event.name == name]
            again = NewEvent(name, events[0].data)
            await bank.store.append(events[0].stream, [again])
            assert any(each.startswith("transfer t") for each in await self.problems(bank))
