"""`arvo workflow` over a SQLite file, as a user calls it; one case each on PostgreSQL and Redis."""

import asyncio
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from arvo_core import ArvoEvent, ArvoEventFactory, ArvoOrchestratorEventFactory
from arvo_event_handler.delivery import Publish
from arvo_event_handler.memory import connect_memory

from .workflow_command import TARGETS, Call, arvo as arvo, key, run as run, url as url

import patient  # isort: skip
import tally  # isort: skip

PATIENT = TARGETS / "patient"
TALLY = TARGETS / "tally"
HOUR = 3600


@pytest.fixture
def seeded(url: str, run: Call) -> str:
    """Six workflows: two wait for a time, one for a human; two have completed, one has failed."""
    waits = [{"name": name, "seconds": HOUR * hours} for name, hours in (("b", 2), ("a", 1))]
    assert run("patient", *waits, options=("--memory", url)).status == 3
    words = ("hi", "there", "undecidable", "bad")
    assert run("tally", *({"word": word} for word in words), options=("--memory", url)).status == 3
    return url


@pytest.mark.usefixtures("seeded")
class TestList:
    def test_one_line_each_newest_first(self, arvo: Call) -> None:
        done = arvo("workflow", "list")
        assert done.status == 0
        assert done.err == "arvo: 6 workflows\n"
        lines = done.out.splitlines()[2:]
        assert len(lines) == 6
        assert all(re.search(r" \d+ (s|min) ", line) for line in lines)
        [failed] = [line for line in lines if "failed: ValueError" in line]
        assert "arvo.orc.tally 1.0.0" in failed
        [human] = [line for line in lines if "com.word.ask" in line]
        assert re.search(r"active .* com\.word\.ask +\d+ (s|min) +-", human)
        [*_, timed] = [line for line in lines if "arvo.orc.patient 1.0.0" in line]
        assert re.search(r"active .* timer +\d+ (s|min) +in \d+ (h|min)", timed)
        shown = arvo("workflow", "list", "--json").rows
        assert [row["key"] for row in shown] == [line.split()[0] for line in lines]
        times = [datetime.fromisoformat(row["created_at"]) for row in shown]
        assert times == sorted(times, reverse=True)

    @pytest.mark.parametrize(
        ("options", "count"),
        [
            (("--status", "active"), 3),
            (("--status", "done"), 2),
            (("--status", "failed"), 1),
            (("--type", "arvo.orc.patient"), 2),
            (("--type", "arvo.orc.patient", "--status", "failed"), 0),
            (("--older", "1d"), 0),
            (("--older", "0s"), 6),
            (("--limit", "4"), 4),
        ],
        ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
    )
    def test_filters(self, arvo: Call, options: tuple[str, ...], count: int) -> None:
        done = arvo("workflow", "list", "--json", *options)
        assert (done.status, len(done.rows)) == (0, count)

    def test_json_has_all_that_a_program_needs(self, arvo: Call) -> None:
        row = arvo("workflow", "list", "--json", "--status", "failed").row
        assert row["status"] == "failed"
        assert (row["type"], row["version"], row["error"]) == (
            "arvo.orc.tally",
            "1.0.0",
            "ValueError",
        )
        assert row["root"] == row["subject"]
        assert (row["parent"], row["due"], row["waits_for"]) == (None, None, [])

    def test_pages_show_each_workflow_once(self, arvo: Call) -> None:
        seen: list[str] = []
        after: tuple[str, ...] = ()
        while True:
            done = arvo("workflow", "list", "--json", "--limit", 4, *after)
            seen += [row["key"] for row in done.rows]
            found = re.search(r"; for more, add: --after (\S+)\n", done.err)
            if found is None:
                break
            after = ("--after", found[1])
        assert len(seen) == len({*seen}) == 6

    def test_root_shows_a_workflow_and_those_below_it(self, arvo: Call) -> None:
        name = key(arvo, "--status", "failed")
        assert key(arvo, "--root", name) == name

    def test_nothing_is_written(self, arvo: Call, seeded: str) -> None:
        path = Path(seeded.removeprefix("sqlite:///"))
        before = path.read_bytes()
        for words in (("list",), ("due",), ("show", key(arvo, "--status", "failed"))):
            assert arvo("workflow", *words).status == 0
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("list", "--memory", "memory:"), 2, "--memory memory: is within one process"),
        (("due", "--memory", "nowhere:"), 2, "no installed package has a machine memory for"),
        (("list", "--memory", "sqlite:////no/such/file.db"), 1, "there is no such file"),
        (("list", "--after", "zzz"), 2, "after"),
        (("list", "--older", "1w"), 2, "--older takes a duration with its unit"),
        (("list", "--type", ""), 2, "source must not be empty"),
        (("list", "--root", "zzz"), 1, "no workflow with the subject or key 'zzz'"),
        (("show", "zzz"), 1, "no workflow with the subject or key 'zzz'"),
        (("show", ""), 2, "SUBJECT is empty"),
        (("cancel", "zzz", "--reason", "x"), 2, "who is to cancel it? Give --transport URL"),
        (("cancel", "zzz", TALLY, "--reason", "x"), 1, "no workflow with the subject or key"),
        (("cancel", "zzz", TALLY, "--reason", " "), 2, "--reason is empty"),
        (("retry", "zzz", TALLY, "--transport", "toy:"), 2, "give one of them"),
        (("wake", "zzz", "--transport", "toy:", "--flavour", "x"), 2, "--flavour chooses among"),
        (("fire", "zzz", "remind", PATIENT), 1, "no workflow with the subject or key 'zzz'"),
        (("wake", "zzz", "nowhere"), 2, "there is no folder 'nowhere'"),
        (("wake", "zzz", TALLY, "--memory", "memory:"), 2, "is within one process"),
    ],
    ids=lambda value: (
        "-".join(map(str, value))[:40].replace(str(TARGETS), "")
        if isinstance(value, tuple)
        else None
    ),
)
def test_refused(
    arvo: Call, seeded: str, words: tuple[object, ...], status: int, message: str
) -> None:
    done = arvo("workflow", *words)
    assert (done.status, message in done.err) == (status, True), done.err
    assert done.out == ""


@pytest.mark.usefixtures("seeded")
class TestShow:
    def test_what_it_waits_for(self, arvo: Call) -> None:
        name = key(arvo, "--status", "active", "--type", "arvo.orc.tally")
        shown = arvo("workflow", "show", name).out
        assert re.search(r"^waits for +com\.word\.ask, since .* ago\)$", shown, re.M)
        assert re.search(r"^ +1 +\d{4}-.* arvo\.orc\.tally", shown, re.M)
        assert re.search(r"^ +-> com\.word\.ask [0-9a-f-]{36}$", shown, re.M)

    def test_by_subject_as_json(self, arvo: Call) -> None:
        listed = arvo("workflow", "list", "--json", "--status", "failed").row
        row = arvo("workflow", "show", listed["subject"], "--json").row
        assert listed.items() <= row.items()
        failure = row["failure"]
        assert failure["error"]["message"] == "mind your language"
        assert failure["event"]["data"] == {"word": "bad", "parentSubject$$": None}
        assert failure["attempt"] == 1
        assert failure["remedy"].endswith(f"arvo workflow retry {listed['key']}")
        [step] = row["steps"]
        assert step["consumed"]["type"] == "arvo.orc.tally"

    def test_failure_with_message_place_and_remedy(self, arvo: Call) -> None:
        shown = arvo("workflow", "show", key(arvo, "--status", "failed")).out
        assert re.search(r"^error +ValueError: mind your language$", shown, re.M)
        assert re.search(r"^ +at arvo\.orc\.tally \S+; it has failed once$", shown, re.M)
        assert re.search(r"^remedy +mend what has failed.*; then: arvo workflow retry", shown, re.M)
        assert 'raise ValueError("mind your language")' in shown

    def test_timers(self, arvo: Call) -> None:
        [name, _] = [row["key"] for row in arvo("workflow", "due", "--json").rows]
        shown = arvo("workflow", "show", name).out
        assert re.search(r"^timers +remind  \d{4}-\S+ \S+, in \d+ min$", shown, re.M)


def test_due_lists_the_earliest_timers_first(arvo: Call, seeded: str) -> None:
    rows = arvo("workflow", "due", "--json").rows
    assert [row["name"] for row in rows] == ["remind", "remind"]
    now = datetime.now(UTC)
    for row, hours in zip(rows, (1, 2), strict=True):
        ahead = datetime.fromisoformat(row["at"]) - now
        assert timedelta(hours=hours, minutes=-5) < ahead < timedelta(hours=hours)
    assert arvo("workflow", "due", "--json", "--within", "90m").rows == rows[:1]
    assert arvo("workflow", "due", "--json", "--within", "1m").rows == []
    limited = arvo("workflow", "due", "--limit", 1)
    assert limited.err == "arvo: 1 timer; --limit shows more\n"
    assert re.search(r"arvo\.orc\.patient 1\.0\.0 +remind +\d{4}-.* +in \d+ min", limited.out)


@pytest.mark.usefixtures("seeded")
class TestHere:
    """Commands whose TARGET runs in the same process."""

    def test_cancel(self, arvo: Call) -> None:
        name = key(arvo, "--status", "active", "--type", "arvo.orc.tally")
        done = arvo("workflow", "cancel", name, TALLY, "--reason", "ordered twice")
        assert done.status == 0, done.err
        assert done.out.startswith(f"{name}  arvo.orc.tally 1.0.0  failed: WorkflowCancelled\n")
        assert 'errorMessage="ordered twice"' in done.out
        assert "to com.arvo.cli: sys.arvo.orc.tally.error" in done.out
        again = arvo("workflow", "cancel", name, TALLY, "--reason", "ordered twice")
        assert (again.status, again.out) == (1, "")
        assert again.err == f"arvo: cannot cancel {name}: it has ended already: failed\n"
        retried = arvo("workflow", "retry", name, TALLY)
        assert (retried.status, "it was cancelled, so no step has failed" in retried.err) == (
            1,
            True,
        )
        assert "no retry: it was cancelled" in arvo("workflow", "show", name).out

    def test_cancel_as_json(self, arvo: Call) -> None:
        name = key(arvo, "--status", "active", "--type", "arvo.orc.tally")
        row = arvo("workflow", "cancel", name, TALLY, "--reason", "late", "--json").row
        assert (row["key"], row["status"]) == (name, "failed")
        [answer] = row["answers"]
        assert answer["data"]["errorName"] == "WorkflowCancelled"

    def test_wake_sends_again_what_is_awaited(
        self, arvo: Call, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def answer(event: ArvoEvent, publish: Publish) -> None:
            await publish(
                ArvoEventFactory(tally.ask.version(tally.ASK_V1)).emits(
                    type="evt.word.ask.success",
                    source="com.human.help",
                    to=event.redirectto,
                    subject=event.subject,
                    parentid=event.id,
                    data=tally.Count(letters=11),
                )
            )

        name = key(arvo, "--status", "active", "--type", "arvo.orc.tally")
        monkeypatch.setattr(tally, "on_domained_event", answer)
        done = arvo("workflow", "wake", name, TALLY)
        assert done.status == 0, done.err
        assert done.out.startswith(f"{name}  arvo.orc.tally 1.0.0  done\n")
        assert "letters=11" in done.out

    def test_what_fails_is_said_with_status_1(
        self, arvo: Call, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def refuse(event: ArvoEvent, publish: Publish) -> None:
            raise ConnectionError("the line is dead")

        name = key(arvo, "--status", "active", "--type", "arvo.orc.tally")
        monkeypatch.setattr(tally, "on_domained_event", refuse)
        done = arvo("workflow", "wake", name, TALLY)
        assert done.status == 1
        assert "the line is dead" in done.err
        assert "active, waits for com.word.ask" in done.out

    def test_fire(self, arvo: Call) -> None:
        [name, _] = [row["key"] for row in arvo("workflow", "due", "--json").rows]
        unknown = arvo("workflow", "fire", name, "rimend", PATIENT)
        assert unknown.status == 1
        assert "has no timer 'rimend'; those that are pending: remind" in unknown.err
        done = arvo("workflow", "fire", name, "remind", PATIENT)
        assert done.status == 0, done.err
        assert done.out.startswith(f"{name}  arvo.orc.patient 1.0.0  done\n")
        assert name not in arvo("workflow", "due").out
        again = arvo("workflow", "fire", name, "remind", PATIENT)
        assert (again.status, "has no timer 'remind'; none is pending" in again.err) == (1, True)

    def test_a_target_without_its_handler_is_refused(self, arvo: Call) -> None:
        name = key(arvo, "--status", "failed")
        done = arvo("workflow", "retry", name, PATIENT)
        assert done.status == 2
        assert "has no handler for arvo.orc.tally, the type of" in done.err
        assert "it has arvo.orc.patient" in done.err

    def test_one_that_has_not_failed_is_not_retried(self, arvo: Call) -> None:
        name = key(arvo, "--status", "active", "--type", "arvo.orc.tally")
        done = arvo("workflow", "retry", name, TALLY)
        assert (done.status, "it is active; only one that has failed" in done.err) == (1, True)


def test_retry_goes_on_once_the_code_is_mended(
    arvo: Call, run: Call, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATIENT_FAILS", "glass")
    assert run("patient", {"name": "glass", "seconds": 0}, options=("--memory", url)).status == 0
    name = key(arvo, "--status", "failed")
    failed = arvo("workflow", "retry", name, PATIENT)
    assert failed.status == 1
    assert "it has failed again: ValueError: glass is not to be waited for" in failed.err
    assert "it has failed 2 times" in arvo("workflow", "show", name).out
    monkeypatch.delenv("PATIENT_FAILS")
    # The timer that it then sets is due, so nothing but its end is left to do.
    mended = arvo("workflow", "retry", name, PATIENT)
    assert mended.status == 0, mended.err
    assert mended.out.startswith(f"{name}  arvo.orc.patient 1.0.0  done\n")
    assert "name=glass" in mended.out
    done = arvo("workflow", "retry", name, PATIENT)
    assert (done.status, "it has completed; only one that has failed" in done.err) == (1, True)


def test_a_child_is_retried_alone_only_if_one_says_so(
    arvo: Call, run: Call, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATIENT_FAILS", "x")
    parent_of_x = {"name": "x", "seconds": 0}
    ran = run("patient", parent_of_x, options=("--memory", url), contract="#/test/parent/1.0.0")
    assert ran.status == 0, ran.err
    monkeypatch.delenv("PATIENT_FAILS")
    child = key(arvo, "--status", "failed")
    root = key(arvo, "--status", "done")
    below = arvo("workflow", "list", "--json", "--root", root).rows
    assert [row["key"] for row in below] == [child, root]
    refused = arvo("workflow", "retry", child, PATIENT)
    assert refused.status == 1
    assert "it is a child, whose parent has consumed the failure already" in refused.err
    assert below[1]["subject"] in refused.err
    assert "no retry: it is a child" in arvo("workflow", "show", child).out
    done = arvo("workflow", "retry", child, PATIENT, "--detached")
    assert (done.status, " done\n" in done.out) == (0, True), done.err


def test_a_key_that_several_have_is_refused_with_their_subjects(arvo: Call, url: str) -> None:
    async def begin() -> list[str]:
        subjects = []
        async with connect_memory(url) as memory:
            handlers = [patient.create_handlers(memory)[0], *tally.create_handlers(memory)[1:]]
            inits = [
                ArvoOrchestratorEventFactory(patient.patient.version(patient.WAIT_V1)).init(
                    source="com.test.main", data=patient.Wait(name="x", seconds=HOUR), id="order-7"
                ),
                ArvoOrchestratorEventFactory(tally.tally.version(tally.TALLY_V1)).init(
                    source="com.test.main", data=tally.Word(word="x"), id="order-7"
                ),
            ]
            for handler, init in zip(handlers, inits, strict=True):
                await handler.execute(init)
                subjects.append(init.subject)
        return subjects

    subjects = asyncio.run(begin())
    done = arvo("workflow", "show", "order-7")
    assert done.status == 1
    assert "several workflows have the key 'order-7'; give the subject:" in done.err
    assert all(subject in done.err for subject in subjects)
    assert arvo("workflow", "show", subjects[0]).status == 0


def test_refused_while_another_process_holds_the_memory(arvo: Call, seeded: str) -> None:
    name = key(arvo, "--status", "failed")
    short = f"{seeded}?ttl=1s&max_hold=1s&max_wait=100ms"
    program = f"""
import asyncio, hashlib
from arvo_event_handler.memory import connect_memory, sole_process

async def hold():
    name = hashlib.sha256(b"arvo.orc.tally").hexdigest()[:12]
    async with connect_memory({short!r}) as memory, sole_process(memory, name=name):
        print("holds", flush=True)
        await asyncio.Event().wait()

asyncio.run(hold())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"holds\n"
        done = arvo("workflow", "retry", name, TALLY, "--memory", short)
        holder.kill()
    assert done.status == 2
    assert "may still run in another process over this memory; waiting for its end" in done.err
    assert "runs in another process over this memory; wait for its end" in done.err
