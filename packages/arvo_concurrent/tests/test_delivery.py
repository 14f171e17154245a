"""An event on its way."""

from contextvars import copy_context

from arvo_concurrent._admission import Admission
from arvo_concurrent._causal_tree import CausalTree
from arvo_concurrent._delivery import Delivery
from arvo_event_handler.delivery import Trial

from .stub_handler import APP, event


def test_a_delivery_has_all_that_a_trial_has() -> None:
    """`Delivery` sets the attributes of a `Trial` itself, for speed."""
    root, context = event("e1"), copy_context()
    tree = CausalTree(root, answer_to=APP, admission=Admission(None))
    delivery, trial = Delivery(root, tree, context), Trial(root, context=context)
    for name in Trial.__slots__:
        assert getattr(delivery, name) == getattr(trial, name)
