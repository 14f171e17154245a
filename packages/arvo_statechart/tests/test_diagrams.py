from typing import Any

import pytest

from arvo_statechart import (
    Call,
    Machine,
    and_,
    assign,
    emit,
    enqueue_actions,
    log,
    not_,
    or_,
    raise_,
    state_in,
    to_dot,
    to_mermaid,
)


def is_large(call: Call) -> bool:
    return True


def book(call: Call) -> None:
    del call


@pytest.fixture
def order() -> Machine:
    return Machine(
        {
            "id": "order",
            "initial": "open",
            "states": {
                "open": {
                    "type": "parallel",
                    "onDone": "closed",
                    "on": {"CANCEL": {"target": "closed", "guard": not_("late")}},
                    "states": {
                        "stock": {
                            "initial": {"target": "asked", "actions": "ask"},
                            "states": {
                                "asked": {
                                    "entry": "ask",
                                    "exit": [book, assign({"n": 1})],
                                    "on": {"HELD": "held", "PAUSE": "#paused", "NO": {}},
                                },
                                "held": {"type": "final"},
                                "last": {"type": "history", "history": "deep", "target": "held"},
                            },
                        },
                        "payment": {"on": {"RETRY": {"target": "payment", "reenter": True}}},
                    },
                },
                "paused": {
                    "id": "paused",
                    "on": {"GO": "open.stock.last"},
                    "always": {"target": "closed", "guard": is_large, "actions": [book]},
                },
                "closed": {"type": "final"},
            },
        },
        actions={"ask": book},
        guards={"late": is_large},
    )


def test_a_machine_is_drawn_for_mermaid(order: Machine) -> None:
    assert (
        to_mermaid(order)
        == """\
stateDiagram-v2
    state "order" as s0 {
        [*] --> s1
        state "open" as s1 {
            state "stock" as s2 {
                [*] --> s3 : / ask
                state "asked<br/>entry / ask<br/>exit / book, assign(n)<br/>NO is ignored" as s3
                state "held" as s4
                s4 --> [*]
                state "H*" as s5
                s3 --> s4 : HELD
                s5 --> s4 : default
            }
            --
            state "payment" as s6
            s6 --> s6 : RETRY (reenter)
        }
        state "paused" as s7
        state "closed" as s8
        s8 --> [*]
        s1 --> s8 : CANCEL [not(late)]
        s1 --> s8 : done
        s3 --> s7 : PAUSE
        s7 --> s5 : GO
        s7 --> s8 : always [is_large] / book
    }"""
    )


def test_a_machine_is_drawn_for_graphviz(order: Machine) -> None:
    _, states = to_dot(order).split('edge [fontname="Helvetica" fontsize=9]\n')
    assert (
        states
        == """\
    subgraph cluster_s0 {
        label="order"
        s0 [shape=point]
        s0 -> s1 [lhead=cluster_s1]
        subgraph cluster_s1 {
            label="open"
            s1 [shape=point style=invis]
            s1 -> {s2 s6} [style=invis]
            subgraph cluster_s2 {
                label="stock"
                style="rounded,dashed"
                s2 [shape=point]
                s2 -> s3 [label="/ ask"]
                s3 [label="asked\\nentry / ask\\nexit / book, assign(n)\\nNO is ignored"]
                s4 [label="held" peripheries=2]
                s5 [label="H*" shape=circle]
            }
            s6 [label="payment"]
            s1_end [shape=point style=invis]
            {s3 s4 s6} -> s1_end [style=invis weight=0]
        }
        s7 [label="paused"]
        s8 [label="closed" peripheries=2]
    }
    s1_end -> s8 [label=" CANCEL \\n [not(late)] " ltail=cluster_s1]
    s1_end -> s8 [label=" done " ltail=cluster_s1]
    s3 -> s4 [label=" HELD "]
    s3 -> s7 [label=" PAUSE "]
    s5 -> s4 [label=" default "]
    s6 -> s6 [label=" RETRY \\n (reenter) "]
    s7 -> s5 [label=" GO "]
    s7 -> s8 [label=" always \\n [is_large] \\n / book "]
}"""
    )


def test_arrows_from_a_state_into_itself_have_no_border_to_end_at() -> None:
    machine = Machine(
        {
            "initial": "a",
            "states": {
                "a": {
                    "initial": "x",
                    "on": {"IN": ".x", "AGAIN": "a"},
                    "states": {"x": {"on": {"OUT": "#(machine).a"}}},
                }
            },
        }
    )
    ways = to_dot(machine).split("    }\n")[-1].splitlines()
    assert ways == [
        '    s1 -> s2 [label=" IN "]',
        '    s1 -> s1 [label=" AGAIN "]',
        '    s2 -> s1 [label=" OUT "]',
        "}",
    ]


@pytest.mark.parametrize(
    ("transition", "label"),
    [
        ({"actions": assign(lambda call: {})}, "GO / <lambda>"),
        ({"actions": assign(lambda call: {})}, "GO / assign(<lambda>)"),
        ({"actions": assign({"a": 1, "b": 2})}, "GO / assign(a, b)"),
        ({"actions": emit({"type": "order.paid"})}, "GO / emit(order.paid)"),
        ({"actions": emit(lambda call: {"type": "x"})}, "GO / emit(<lambda>)"),
        ({"actions": raise_({"type": "NEXT"})}, "GO / raise(NEXT)"),
        ({"actions": [log("x"), {"type": "named"}]}, "GO / log, named"),
        ({"actions": enqueue_actions(lambda call: None)}, "GO / <lambda>"),
        ({"guard": and_(["named", or_([is_large])])}, "GO [and(named, or(is_large))] is ignored"),
        ({"guard": state_in("a.b"), "actions": book}, "GO [in(a.b)] / book"),
        ({"guard": {"type": "named", "params": {}}, "actions": book}, "GO [named] / book"),
    ][1:],
)
def test_a_transition_has_a_label(transition: Any, label: str) -> None:
    machine = Machine(
        {"on": {"GO": transition}}, actions={"named": book}, guards={"named": is_large}
    )
    assert f's0 [label="(machine)\\n{label}"]' in to_dot(machine)


def test_text_is_escaped() -> None:
    machine = Machine(
        {
            "id": 'a "b" \\ c',
            "initial": "x;y",
            "states": {"x;y": {"on": {"{go}: #1\n<2>": "x;y"}}},
        }
    )
    mermaid, dot = to_mermaid(machine), to_dot(machine)
    assert 'state "a #34;b#34; \\ c" as s0 {' in mermaid
    assert 'state "x#59;y" as s1' in mermaid
    assert "s1 --> s1 : #123;go#125;#58; #35;1 #60;2#62;" in mermaid
    assert 'digraph "a \\"b\\" \\\\ c" {' in dot
    assert 's1 -> s1 [label=" {go}: #1\\n<2> "]' in dot


def test_a_machine_of_one_state_can_be_drawn() -> None:
    machine = Machine({"id": "m", "on": {"GO": {"target": "#m", "reenter": True}}})
    assert to_mermaid(machine).splitlines()[1:] == [
        '    state "m" as s0',
        "    s0 --> s0 : GO (reenter)",
    ]
    assert 's0 [label="m"]\n    s0 -> s0 [label=" GO \\n (reenter) "]' in to_dot(machine)


def test_a_state_with_only_a_history_state_inside_can_be_drawn() -> None:
    machine = Machine({"type": "parallel", "states": {"h": {"type": "history"}}}, xstate="5.24")
    assert "shape=circle" in to_dot(machine)
