"""The states of an order and the transitions between them, for `workflow_machine`.

Goods and money are taken concurrently, in two regions of one state, and given back in two regions
of another. The README shows the diagram.
"""

from typing import Final

from arvo_statechart.typing import MachineConfig, StateConfig

TAKING: Final[StateConfig] = {
    "type": "parallel",
    "onDone": [{"guard": "is_closing", "target": "undoing"}, {"target": "shipping"}],
    "states": {
        "stock": {
            "initial": "reserving",
            "states": {
                "reserving": {
                    "entry": "ask_for_goods",
                    "on": {
                        "evt.stock.reserve.success": {"target": "reserved", "actions": "hold"},
                        "evt.stock.reserve.short": {"target": "short", "actions": "note_shortage"},
                        "sys.com.stock.reserve.error": {
                            "target": "short",
                            "actions": "note_failure",
                        },
                    },
                },
                "reserved": {"type": "final"},
                "short": {"type": "final"},
            },
        },
        "payment": {
            "initial": "pricing",
            "states": {
                "pricing": {
                    "always": [
                        {"guard": "has_no_price", "target": "unpaid"},
                        {"guard": "is_large", "target": "approving"},
                        {"target": "charging"},
                    ],
                },
                "approving": {
                    "entry": "ask_human",
                    # No need to wait for an answer that cannot matter any more.
                    "always": {"guard": "is_closing", "target": "unpaid"},
                    "after": {"APPROVAL": {"target": "unpaid", "actions": "note_no_approval"}},
                    "on": {
                        "evt.order.approve.success": [
                            {"guard": "is_refused", "target": "unpaid", "actions": "note_refusal"},
                            {"target": "charging"},
                        ],
                        "sys.com.order.approve.error": {
                            "target": "unpaid",
                            "actions": "note_failure",
                        },
                    },
                },
                "charging": {
                    "entry": "ask_for_money",
                    "on": {
                        "evt.payment.charge.success": {"target": "paid", "actions": "cash"},
                        "evt.payment.charge.declined": {
                            "target": "unpaid",
                            "actions": "note_decline",
                        },
                        "evt.payment.charge.unconfirmed": [
                            {"guard": "is_closing", "target": "unpaid"},
                            {"target": "confirming"},
                        ],
                        "sys.com.payment.charge.error": {
                            "target": "unpaid",
                            "actions": "note_failure",
                        },
                    },
                },
                "confirming": {
                    "entry": ["count_request", "ask_customer"],
                    "always": {"guard": "is_closing", "target": "unpaid"},
                    "after": {
                        "REMINDER": [
                            {"guard": "may_remind", "target": "confirming", "reenter": True},
                            {"target": "unpaid", "actions": "note_no_confirmation"},
                        ],
                    },
                    "on": {
                        "evt.payment.confirm.success": {
                            "target": "charging",
                            "actions": "note_confirmation",
                        },
                        "sys.com.payment.confirm.error": {
                            "target": "unpaid",
                            "actions": "note_failure",
                        },
                    },
                },
                "paid": {"type": "final"},
                "unpaid": {"type": "final"},
            },
        },
    },
}
"""Reserves the goods and takes the money. Done when both regions are, whatever the result."""

SHIPPING: Final[StateConfig] = {
    "entry": ["count_attempt", "ask_carrier"],
    "on": {
        "evt.order.ship.success": {"target": "closed", "actions": "note_shipment"},
        "sys.com.order.ship.error": [
            {"guard": "may_ask_again", "target": "shipping", "reenter": True},
            {"target": "undoing", "actions": "give_up"},
        ],
    },
}
"""Asks the carrier, several times if necessary."""

UNDOING: Final[StateConfig] = {
    "type": "parallel",
    "onDone": [{"guard": "has_failed", "target": "failed"}, {"target": "closed"}],
    "states": {
        "goods": {
            "initial": "checking",
            "states": {
                "checking": {
                    "always": [
                        {"guard": "holds_goods", "target": "releasing"},
                        {"target": "returned"},
                    ],
                },
                "releasing": {
                    "entry": "release_goods",
                    "on": {"evt.stock.release.success": "returned"},
                },
                "returned": {"type": "final"},
            },
        },
        "money": {
            "initial": "checking",
            "states": {
                "checking": {
                    "always": [
                        {"guard": "holds_money", "target": "refunding"},
                        {"target": "returned"},
                    ],
                },
                "refunding": {
                    "entry": "refund_money",
                    "on": {"evt.payment.refund.success": "returned"},
                },
                "returned": {"type": "final"},
            },
        },
    },
}
"""Gives back what was taken for an order that will not be shipped."""

CHART: Final[MachineConfig] = {
    "id": "order",
    "initial": "taking",
    # A failure that no inner state handles needs a human.
    "on": {"sys.*": {"actions": ["note_failure", "fail"]}},
    "states": {
        "taking": TAKING,
        "shipping": SHIPPING,
        "undoing": UNDOING,
        "closed": {"type": "final"},
        "failed": {"entry": "fail", "type": "final"},
    },
}
"""An order, from taking to its end."""
