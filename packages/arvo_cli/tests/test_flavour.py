"""`--flavour`: a target may offer several kinds of handlers."""

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["door"], "ada finds it open"),
        (["door", "--flavour", "both"], "ada finds it open"),
        (["door:must_choose", "--flavour", "first"], "ada finds it open"),
    ],
)
def test_a_flavour_is_run(
    arvo: Any, jsonl: Any, targets: Any, options: list[str], text: str
) -> None:
    target, *others = options
    path = targets / "door" if target == "door" else target
    payloads = jsonl([{"name": "ada"}])
    done = arvo("run", path, *others, "--events", payloads, "--contract", "#/test/door/1.0.0")
    assert done.data == [{"text": text}]


def test_flavours_differ(arvo: Any, jsonl: Any, targets: Any) -> None:
    options = ["--events", jsonl([{"name": "ada"}]), "--contract", "#/test/door/2.0.0"]
    done = arvo("run", targets / "door", "--flavour", "both", *options)
    assert done.data == [{"text": "ada finds it shut"}]
    done = arvo("run", targets / "door", "--flavour", "bell", *options)
    assert done.status == 2
    assert "no handler has a contract '#/test/door/2.0.0'" in done.err


@pytest.mark.parametrize(
    ("target", "flavour", "reason"),
    [
        ("greeter:create_handlers", "x", "greeter:create_handlers has no flavours; leave --flav"),
        ("door:create_handlers", "x", "has no flavour 'x'; choose one of: both, first, bell"),
        ("door:must_choose", None, "has flavours; choose with --flavour: both, first"),
        ("door:any_text", "both", "must name its flavours in the annotation; write `flavour: Lit"),
        ("door:unreadable", "both", "cannot be read: NameError: name 'Nowhere' is not defined"),
        ("builtins:iter", "both", "builtins:iter has no flavours"),
    ],
)
def test_a_wrong_flavour_is_one_clear_line(
    arvo: Any, jsonl: Any, target: str, flavour: str | None, reason: str
) -> None:
    options = [] if flavour is None else ["--flavour", flavour]
    done = arvo("run", target, *options, "--events", jsonl([]))
    assert done.status == 2
    assert reason in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


def test_factory_with_a_default_flavour_needs_no_literal(arvo: Any, jsonl: Any) -> None:
    assert arvo("run", "door:any_text", "--events", jsonl([])).status == 0


def test_help_says_how_to_offer_flavours(arvo: Any) -> None:
    for command in (["run"], ["machine", "diagram"]):
        assert "flavour: Literal" in arvo(*command, "--help").out
