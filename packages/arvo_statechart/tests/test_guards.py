from typing import Any

import pytest

from arvo_statechart import Call, Machine, MachineDefinitionError, and_, not_, or_, state_in


def passes(guard: Any, /, **guards: Any) -> bool:
    """Evaluate a guard in a machine with two regions."""
    machine = Machine(
        {
            "id": "m",
            "type": "parallel",
            "context": {"n": 3},
            "states": {
                "p": {"id": "pp", "initial": "a", "states": {"a": {}, "b": {}}},
                "q": {"on": {"GO": {"guard": guard, "actions": lambda call: None}}},
            },
        },
        guards=guards,
    )
    return machine.start().snapshot.can({"type": "GO"})


def yes(call: Call) -> bool:
    return True


def no(call: Call) -> bool:
    return False


def never_asked(call: Call) -> bool:
    raise AssertionError("asked")


@pytest.mark.parametrize(
    ("guard", "expected"),
    [
        (yes, True),
        (no, False),
        (and_([]), True),
        (or_([]), False),
        (and_([yes, yes]), True),
        (and_([yes, no, never_asked]), False),
        (or_([no, yes, never_asked]), True),
        (or_([no, no]), False),
        (not_(yes), False),
        (not_(and_([yes, or_([no])])), True),
        (state_in("p.a"), True),
        (state_in("p"), True),
        (state_in("a"), False),
        (state_in({"p": "a"}), True),
        (state_in({"p": "a", "q": {}}), True),
        (state_in({"p": {"a": {}}}), False),
        (state_in({"nowhere": "a"}), False),
        (state_in("#pp"), True),
        (state_in("#pp.a"), True),
        (state_in("#m.p.b"), False),
    ],
)
def test_a_guard_passes_or_does_not(guard: Any, expected: bool) -> None:
    assert passes(guard) is expected


def test_guards_have_names_and_params() -> None:
    def above(call: Call) -> bool:
        return bool(call.context["n"] > call.params["limit"])

    assert passes("is", **{"is": yes})
    assert passes({"type": "above", "params": {"limit": 2}}, above=above)
    assert not passes({"type": "above", "params": {"limit": 3}}, above=above)
    computed = {"type": "above", "params": lambda call: {"limit": call.context["n"] - 1}}
    assert passes(computed, above=above)
    assert passes(and_(["combined", {"type": "combined"}]), combined=or_([no, "other"]), other=yes)


def test_params_reach_one_guard_only() -> None:
    def bare(call: Call) -> bool:
        return not call.params

    def given(call: Call) -> bool:
        return call.params == {"n": 1}

    assert passes(and_([{"type": "given", "params": {"n": 1}}, "bare"]), bare=bare, given=given)


@pytest.mark.parametrize(
    ("guard", "message"),
    [
        ("is_pad", "unknown guard 'is_pad': did you mean 'is_paid'?"),
        (and_([not_("x")]), "unknown guard 'x': there is 'is_paid'"),
        ({"params": {}}, "string 'type'"),
        (3, "3 is not a guard"),
        ({"type": "combined", "params": {"n": 1}}, "'combined' is made of other guards"),
        (None, "None is not a guard"),
        (state_in("#nowhere"), "unknown target '#nowhere'"),
    ],
)
def test_an_invalid_guard_is_refused(guard: Any, message: str) -> None:
    with pytest.raises(MachineDefinitionError) as refused:
        passes(guard, is_paid=yes, **({"combined": and_([])} if "combined" in str(guard) else {}))
    (problem,) = refused.value.problems
    assert problem.location == "states.q.on.GO.guard"
    assert message in problem.message


class TestCallMadeByHand:
    def test_checks_functions(self) -> None:
        call = Call(context={"n": 1}, event={"type": "GO"})
        assert call.check(yes)
        assert not call.check(no)
        assert (call.input, dict(call.params)) == (None, {})

    def test_has_the_input_of_a_start(self) -> None:
        assert Call(context={}, event={"type": "xstate.init", "input": 1}).input == 1

    def test_has_no_state(self) -> None:
        call = Call(context={}, event={"type": "GO"})
        asks = and_([state_in("#m")])
        machine = Machine({"id": "m", "on": {"GO": {"guard": asks}}})
        with pytest.raises(MachineDefinitionError, match="made by hand"):
            machine._chart.implementations.test(asks)(call)
        with pytest.raises(MachineDefinitionError, match="made by hand"):
            call.check("named")
        with pytest.raises(MachineDefinitionError, match="made by hand"):
            call.matches("a")


def test_functions_can_check_the_state_of_the_machine() -> None:
    assert passes(lambda call: call.matches({"p": "a"}))
    assert passes(lambda call: call.check(state_in("#pp")))
