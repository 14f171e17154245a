"""`arvo store` over a file, as an operator calls it."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from arvo_event_store import IEventStore, NewEvent, Snapshot

from .memory_command import Command, Terminal
from .store_command import Bank, blocked_keys, lags, objects, store as store


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a bank in trouble, to be copied."""
    path = tmp_path_factory.mktemp("bank") / "bank.db"
    Bank(f"sqlite:///{path}").fill()
    return path


@pytest.fixture
def empty(tmp_path: Path) -> Bank:
    return Bank(f"sqlite:///{tmp_path}/bank.db")


@pytest.fixture
def bank(empty: Bank, filled: Path, tmp_path: Path) -> Bank:
    shutil.copy(filled, tmp_path / "bank.db")
    return empty


class TestLook:
    def test_lag(self, store: Command, bank: Bank) -> None:
        found = lags(store, bank)
        transfer, tell = found["transfer"], found["tell"]
        assert [transfer[name] for name in ("pending", "asleep", "blocked", "parked")] == [
            0,
            1,
            2,
            0,
        ]
        assert [tell[name] for name in ("pending", "asleep", "blocked", "parked")] == [0, 0, 0, 2]
        assert transfer["oldest"] is not None
        status, out, err = store("lag", bank.url, "bank")
        assert (status, err) == (0, "")
        rows = [line.split() for line in out.splitlines()[2:]]
        assert [row[:6] for row in rows] == [
            ["tell", "0", "0", "0", "0", "2"],
            ["transfer", "0", "0", "1", "2", "0"],
        ]

    def test_targets(self, store: Command, bank: Bank) -> None:
        status, out, err = store("targets", bank.url, "bank", "--reaction", "transfer")
        assert (status, err) == (0, "arvo: 4 targets\n")
        rows = [" ".join(line.split()) for line in out.splitlines()[2:]]
        assert rows == [
            "transfer wallet-ann blocked 1 6 1",
            "transfer wallet-bob blocked 1 2 1",
            "transfer wallet-cy asleep, due in 3 d 2 3 0",
            "transfer wallet-dora idle 4 4 0",
        ]
        shown = objects(store("targets", bank.url, "bank", "--json")[1])
        assert [each["key"] for each in shown] == [f"wallet-{name}" for name in BOXES]
        assert {each["group"] for each in shown} == {"bank"}

    def test_blocked_targets_have_their_errors(self, store: Command, bank: Bank) -> None:
        status, out, err = store("blocked", bank.url, "bank")
        assert (status, err) == (0, "arvo: 2 blocked targets\n")
        assert [line.split()[:4] for line in out.splitlines()[2:]] == [
            ["transfer", "wallet-ann", "5", "1"],
            ["transfer", "wallet-bob", "2", "1"],
        ]
        assert "no such wallet\ufffd[2J" in out, "no control character reaches the terminal"
        [one] = objects(store("blocked", bank.url, "bank", "--limit", 1, "--json")[1])
        assert (one["key"], one["error_position"]) == ("wallet-ann", 5)
        assert store("blocked", bank.url, "bank", "--reaction", "tell")[1] == ""

    def test_a_list_that_is_cut_says_so(self, store: Command, bank: Bank) -> None:
        assert store("targets", bank.url, "bank", "--limit", 4)[2] == "arvo: 4 targets\n"
        assert (
            store("targets", bank.url, "bank", "--limit", 3)[2]
            == "arvo: 3 targets; --limit shows more\n"
        )

    def test_parked_events(self, store: Command, bank: Bank) -> None:
        status, out, err = store("parked", bank.url, "bank")
        assert (status, err) == (0, "arvo: 2 parked events\n")
        assert [line.split()[:4] for line in out.splitlines()[2:]] == [
            ["tell", "2", "2", "2"],
            ["tell", "4", "4", "2"],
        ]
        shown = objects(store("parked", bank.url, "bank", "--json")[1])
        assert [each["position"] for each in shown] == [2, 4]
        assert {each["error"] for each in shown} == {"ConnectionError: the mail server is away"}
        assert store("parked", bank.url, "bank", "--reaction", "transfer", "--json")[1] == ""


BOXES = ("ann", "bob", "cy", "dora")


class TestHealth:
    def test_blocked_targets_are_a_finding(self, store: Command, bank: Bank) -> None:
        status, out, err = store("health", bank.url, "bank")
        assert (status, err) == (1, "arvo: transfer: 2 blocked targets, of at most 0\n")
        assert "transfer" in out

    def test_what_is_within_the_limits_is_ok(self, store: Command, bank: Bank) -> None:
        limits = ("--max-blocked", 2, "--max-parked", 2, "--max-pending", 0, "--max-age", "1h")
        status, _, err = store("health", bank.url, "bank", *limits, "--max-unscanned", 0)
        assert (status, err) == (0, "arvo: ok: 2 reactions of bank\n")

    @pytest.mark.parametrize(
        ("limit", "reaction", "problem"),
        [
            (("--max-parked", 1), "tell", "2 parked events, of at most 1"),
            (("--max-age", "0s"), "transfer", "the oldest event that is not done is"),
        ],
        ids=lambda value: value[0] if isinstance(value, tuple) else None,
    )
    def test_what_is_beyond_a_limit_is_named(
        self, store: Command, bank: Bank, limit: tuple[object, ...], reaction: str, problem: str
    ) -> None:
        status, out, _ = store("health", bank.url, "bank", "--max-blocked", 2, *limit, "--json")
        [report] = objects(out)
        assert (status, report["group"], report["status"]) == (1, "bank", "degraded")
        [found] = report["problems"]
        assert found["reaction"] == reaction
        assert found["problem"].startswith(problem)
        assert [each["reaction"] for each in report["reactions"]] == ["tell", "transfer"]

    def test_work_that_nobody_does_is_beyond_a_limit(self, store: Command, bank: Bank) -> None:
        async def append(store: IEventStore) -> None:
            await store.append("wallet-eve", [NewEvent("Sent", {"amount": 1, "to": "bob"})])

        assert store("unblock", bank.url, "bank", "transfer", "--all", "--yes")[0] == 0
        bank.run(append)
        limits = ("--max-pending", 1, "--max-unscanned", 0)
        status, out, _ = store("health", bank.url, "bank", *limits, "--json")
        [report] = objects(out)
        assert status == 1
        assert [(each["reaction"], each["problem"]) for each in report["problems"]] == [
            ("tell", "1 unscanned position, of at most 0"),
            ("transfer", "2 pending targets, of at most 1"),
            ("transfer", "1 unscanned position, of at most 0"),
        ]


class TestUnblock:
    def test_one_target_tries_again(self, store: Command, bank: Bank) -> None:
        status, out, err = store("unblock", bank.url, "bank", "transfer", "wallet-ann", "--yes")
        assert (status, out, err) == (0, "", "arvo: 1 target unblocked\n")
        assert blocked_keys(store, bank) == ["wallet-bob"]
        bank.mended = True
        bank.settle()
        assert bank.handled == [("transfer", 5), ("transfer", 6)]

    def test_all_of_a_reaction(self, store: Command, bank: Bank) -> None:
        words = ("unblock", bank.url, "bank", "transfer", "--all")
        status, out, err = store(*words, "--dry-run", "--json")
        assert [each["key"] for each in objects(out)] == ["wallet-ann", "wallet-bob"]
        assert (status, err) == (0, "arvo: would unblock 2 targets\n")
        assert blocked_keys(store, bank) == ["wallet-ann", "wallet-bob"]
        status, out, _ = store(*words, "--yes", "--json")
        assert (status, objects(out)) == (
            0,
            [{"group": "bank", "reaction": "transfer", "key": None, "unblocked": 2}],
        )
        assert blocked_keys(store, bank) == []
        assert store(*words) == (0, "", "arvo: no target of transfer is blocked\n")

    def test_a_target_that_is_not_blocked(self, store: Command, bank: Bank) -> None:
        status, _, err = store("unblock", bank.url, "bank", "transfer", "wallet-cy", "--yes")
        assert status == 1
        assert "no target 'wallet-cy' of transfer is blocked; `arvo store blocked`" in err

    def test_an_interrupt_before_the_answer_changes_nothing(
        self, store: Command, bank: Bank, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(question: str, **_: object) -> bool:
            raise KeyboardInterrupt

        monkeypatch.setattr("sys.stdin", Terminal())
        monkeypatch.setattr("typer.confirm", interrupt)
        status, out, err = store("unblock", bank.url, "bank", "transfer", "--all")
        assert (status, out, err) == (130, "", "arvo: interrupted\n")
        assert blocked_keys(store, bank) == ["wallet-ann", "wallet-bob"]


class TestSkip:
    def test_the_event_is_given_up(self, store: Command, bank: Bank) -> None:
        words = ("skip", bank.url, "bank", "transfer", "wallet-ann", "--yes", "--json")
        status, out, err = store(*words)
        assert (status, err) == (0, "arvo: wallet-ann goes on after event 5\n")
        assert objects(out) == [
            {"group": "bank", "reaction": "transfer", "key": "wallet-ann", "skipped": 5}
        ]
        bank.mended = True
        bank.settle()
        assert bank.handled == [("transfer", 6)]
        assert blocked_keys(store, bank) == ["wallet-bob"]
        assert store(*words)[0] == 1, "it is not blocked any more"


class TestReset:
    def test_events_are_handled_again(self, store: Command, bank: Bank) -> None:
        words = ("reset", bank.url, "bank", "transfer", "--after", 4, "--yes", "--json")
        status, out, err = store(*words)
        assert (status, err) == (0, "arvo: transfer handles its events after position 4 again\n")
        assert objects(out) == [{"group": "bank", "reaction": "transfer", "after": 4}]
        bank.mended = True
        bank.settle()
        assert sorted(bank.handled) == [("transfer", 2), ("transfer", 5), ("transfer", 6)]

    def test_it_never_passes_over_events(self, store: Command, bank: Bank) -> None:
        status, _, err = store("reset", bank.url, "bank", "transfer", "--after", 7, "--yes")
        assert status == 1
        assert err.startswith("arvo: transfer is scanned up to position 6, so it would pass over")
        assert lags(store, bank)["transfer"]["scanned"] == 6


class TestReplay:
    @pytest.mark.parametrize(
        ("chosen", "positions"),
        [
            (("--all",), [2, 4]),
            (("--reaction", "tell"), [2, 4]),
            (("--reaction", "transfer"), []),
            (("--key", "4"), [4]),
            (("--position", 2), [2]),
            (("--position", 2, "--position", 4), [2, 4]),
            (("--position", 3), []),
        ],
        ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else None,
    )
    def test_chosen_events_are_handled_once_more(
        self, store: Command, bank: Bank, chosen: tuple[object, ...], positions: list[int]
    ) -> None:
        words = ("replay", bank.url, "bank", *chosen)
        status, out, err = store(*words, "--dry-run", "--json")
        assert status == 0
        assert [each["position"] for each in objects(out)] == positions
        assert err.startswith(f"arvo: would replay {len(positions)} parked event")
        status, out, _ = store(*words, "--yes", "--json")
        assert status == 0
        assert objects(out) == [
            {"group": "bank", "parked": len(positions), "replayed": len(positions)}
        ]
        bank.mended = True
        bank.settle()
        assert sorted(bank.handled) == [("tell", position) for position in positions]
        assert lags(store, bank)["tell"]["parked"] == 2 - len(positions)

    def test_an_event_that_was_cut_off_is_left(self, store: Command, bank: Bank) -> None:
        async def cut_off(store: IEventStore) -> None:
            await store.truncate("wallet-dora", before=1, snapshot=False)

        bank.run(cut_off)
        status, out, err = store("replay", bank.url, "bank", "--all", "--yes", "--json")
        assert (status, objects(out)) == (1, [{"group": "bank", "parked": 2, "replayed": 1}])
        assert err == (
            "arvo: 1 event replayed\n"
            "arvo: 1 event left: not parked any more, or cut off from its stream\n"
        )


class TestArchive:
    @pytest.mark.parametrize(
        ("chosen", "streams"),
        [
            (("wallet-ann",), ["wallet-ann"]),
            (("wallet-ann", "wallet-cy"), ["wallet-ann", "wallet-cy"]),
            (("--prefix", "wallet-b"), ["wallet-b", "wallet-bob"]),
            (("--prefix", "nothing"), []),
            (("--all",), ["wallet-ann", "wallet-b", "wallet-bob", "wallet-cy", "wallet-dora"]),
        ],
        ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
    )
    def test_chosen_streams_are_written_and_recorded(
        self,
        store: Command,
        bank: Bank,
        tmp_path: Path,
        chosen: tuple[str, ...],
        streams: list[str],
    ) -> None:
        async def add(store: IEventStore) -> None:
            await store.append("wallet-b", [NewEvent("Sent", {"amount": 1, "to": "bob"})])

        async def recorded(store: IEventStore) -> dict[str, str | None]:
            return {head.stream: head.archive async for head in store.streams()}

        bank.run(add)
        folder = tmp_path / "archive"
        status, out, _ = store("archive", bank.url, folder, *chosen, "--yes", "--json")
        assert status == 0
        assert [each["stream"] for each in objects(out)] == streams
        places = bank.run(recorded)
        assert [stream for stream, place in places.items() if place is not None] == streams
        assert {Path(place).parent for place in places.values() if place} <= {folder}
        assert store("verify", bank.url)[0] == 0

    def test_up_to_a_version_and_then_the_rest(
        self, store: Command, bank: Bank, tmp_path: Path
    ) -> None:
        words = ("archive", bank.url, tmp_path / "archive", "wallet-ann", "--yes")
        assert store(*words, "--upto", 0)[1].splitlines()[2].split() == ["wallet-ann", "0", "0"]
        assert store(*words)[1].splitlines()[2].split() == ["wallet-ann", "0", "2"]
        status, _, err = store(*words, "--upto", 9)
        assert status == 1
        assert "arvo: wallet-ann left: stream 'wallet-ann' ends at version 2" in err

    def test_a_relative_folder_is_recorded_as_a_whole_path(
        self, store: Command, bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert store("archive", bank.url, "kept", "--all", "--yes")[0] == 0
        monkeypatch.chdir("/")
        assert store("verify", bank.url)[0] == 0

    def test_a_stream_that_does_not_exist(self, store: Command, bank: Bank, tmp_path: Path) -> None:
        folder = tmp_path / "archive"
        status, _, err = store("archive", bank.url, folder, "wallet-ann", "wallet-eve", "--yes")
        assert (status, err) == (1, "arvo: there is no stream 'wallet-eve'; nothing was archived\n")
        assert not folder.exists()

    def test_a_folder_that_cannot_be_written(
        self, store: Command, bank: Bank, tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()
        status, _, err = store("archive", bank.url, tmp_path / "file", "wallet-ann", "--yes")
        assert status == 1
        assert "arvo: wallet-ann left: " in err
        assert err.endswith(f"arvo: 0 streams archived in {tmp_path}/file\n")


class TestRetention:
    def test_old_events_are_archived_and_cut_off(
        self, store: Command, bank: Bank, tmp_path: Path
    ) -> None:
        bank.mended = True
        assert store("unblock", bank.url, "bank", "transfer", "--all", "--yes")[0] == 0
        bank.settle()
        words = ("retention", bank.url, "--prefix", "wallet-a", "--max-count", 1, "--no-snapshots")
        status, out, err = store(*words, "--dry-run", "--json")
        plan = {"stream": "wallet-ann", "first_version": 0, "wanted": 2, "kept": 0, "error": None}
        assert (status, objects(out)) == (0, [plan])
        assert err == "arvo: would cut off 2 events of 1 stream\n"
        status, out, err = store(*words, "--archive", tmp_path / "kept", "--yes", "--json")
        assert (status, objects(out)) == (0, [{**plan, "kept": 2}])
        assert err == "arvo: 2 events cut off\n"
        status, out, _ = store("verify", bank.url, "--json")
        [report] = objects(out)
        assert (status, report["events"], report["archived"]) == (0, 4, 1)
        assert store(*words) == (0, "", "arvo: nothing to cut off\n")

    def test_what_a_reaction_has_to_read_is_kept(self, store: Command, bank: Bank) -> None:
        words = ("retention", bank.url, "--prefix", "wallet-b", "--max-age", "0s", "--no-snapshots")
        assert store(*words)[0] == 2, "0 is no age"
        words = (
            "retention",
            bank.url,
            "--prefix",
            "wallet-b",
            "--max-age",
            "1ms",
            "--no-snapshots",
        )
        status, out, err = store(*words, "--yes", "--json")
        assert (status, objects(out)[0]["kept"]) == (0, 0)
        assert err == (
            "arvo: 0 events cut off\n"
            "arvo: 1 stream held back: a reaction still has to read what is next\n"
        )

    def test_what_no_snapshot_covers_is_kept(self, store: Command, empty: Bank) -> None:
        async def fill(store: IEventStore) -> None:
            await store.append("audit-1", [NewEvent("Seen", number) for number in range(5)])
            await store.save_snapshot(
                Snapshot(stream="audit-1", kind="audit", version=1, schema=1, state=1)
            )

        empty.run(fill)
        words = ("retention", empty.url, "--prefix", "", "--max-count", 0, "--yes", "--json")
        status, out, _ = store(*words, "--snapshots", "audit")
        assert (status, objects(out)[0]["kept"]) == (0, 2)
        assert store(*words, "--snapshots", "other")[1] == ""

    def test_a_stream_that_fails_is_named_and_the_status_says_so(
        self, store: Command, empty: Bank, tmp_path: Path
    ) -> None:
        async def fill(store: IEventStore) -> None:
            await store.append("audit-1", [NewEvent("Seen", 1)])

        empty.run(fill)
        (tmp_path / "file").touch()
        words = ("retention", empty.url, "--prefix", "", "--max-count", 0, "--no-snapshots")
        status, out, err = store(*words, "--archive", tmp_path / "file", "--yes")
        assert (status, err) == (1, "arvo: 0 events cut off\n")
        assert f"{tmp_path}/file" in out


def spoil(path: Path) -> None:
    """Take an event from the middle of a stream, as no program can."""
    with closing(sqlite3.connect(path)) as connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in triggers.fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute("DELETE FROM event WHERE position = 5")
        connection.commit()


class TestVerify:
    def test_a_sound_store(self, store: Command, bank: Bank) -> None:
        status, out, err = store("verify", bank.url, "--prefix", "wallet-a")
        assert (status, out) == (0, "")
        assert err == "arvo: 1 stream, 3 events, 0 recorded archives: nothing is wrong\n"

    def test_an_event_that_is_missing(self, store: Command, bank: Bank, tmp_path: Path) -> None:
        spoil(tmp_path / "bank.db")
        status, out, err = store("verify", bank.url)
        assert status == 1
        assert "wallet-ann  version 1 is missing: version 2 is in its place" in out
        assert err.endswith(": 1 problem\n")
        [report] = objects(store("verify", bank.url, "--json")[1])
        assert [each["stream"] for each in report["problems"]] == ["wallet-ann"]

    def test_a_damaged_archive(self, store: Command, bank: Bank, tmp_path: Path) -> None:
        folder = tmp_path / "archive"
        assert store("archive", bank.url, folder, "--all", "--yes")[0] == 0
        status, out, err = store("verify", bank.url, "--archive", folder, "--json")
        assert (status, objects(out)[0]["in_archive"]) == (0, 4)
        assert "4 recorded archives, 4 streams in " in err
        next(folder.glob("wallet-dora-*/*.gz")).write_bytes(b"nothing of the kind")
        status, out, _ = store("verify", bank.url, "--archive", folder, "--json")
        [report] = objects(out)
        assert status == 1
        assert [each["stream"] for each in report["problems"]] == ["wallet-dora", None]
        assert all("is damaged" in each["problem"] for each in report["problems"])

    def test_a_folder_without_an_archive(self, store: Command, bank: Bank, tmp_path: Path) -> None:
        status, out, _ = store("verify", bank.url, "--archive", tmp_path / "nowhere")
        assert (status, f"{tmp_path}/nowhere has no archive" in out) == (1, True)


CHANGES = [
    ("unblock", "bank", "transfer", "--all"),
    ("unblock", "bank", "transfer", "wallet-ann"),
    ("skip", "bank", "transfer", "wallet-ann"),
    ("reset", "bank", "transfer", "--after", "0"),
    ("replay", "bank", "--all"),
    ("archive", "FOLDER", "--all"),
    ("retention", "--prefix", "", "--max-count", "0", "--no-snapshots", "--archive", "FOLDER"),
]


def state(bank: Bank) -> list[object]:
    """Return what a command could change of a store."""

    async def read(store: IEventStore) -> list[object]:
        targets = [each async for each in store.targets("bank")]
        parked = [each async for each in store.parked("bank")]
        return [targets, parked, await store.lag("bank"), [each async for each in store.streams()]]

    found: list[object] = bank.run(read)
    return found


@pytest.mark.parametrize("words", CHANGES, ids=lambda words: "-".join(words[:1] + words[3:4]))
def test_nothing_is_changed_unless_somebody_says_yes(
    store: Command,
    bank: Bank,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
) -> None:
    name, *rest = [each.replace("FOLDER", f"{tmp_path}/archive") for each in words]
    before = state(bank)
    status, out, err = store(name, bank.url, *rest)
    assert (status, out) == (2, "")
    assert err.endswith("Standard input is no terminal, so nobody can be asked: add --yes\n")
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    status, _, err = store(name, bank.url, *rest)
    assert (status, err.endswith("arvo: nothing was changed\n")) == (1, True)
    assert state(bank) == before
    assert not (tmp_path / "archive").exists()
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert store(name, bank.url, *rest)[0] == 0
    assert state(bank) != before
