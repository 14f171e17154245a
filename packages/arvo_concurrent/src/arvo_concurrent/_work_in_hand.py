"""Which causal trees work on which workflow at this moment."""

from functools import partial
from typing import TypeAlias

from ._causal_tree import CausalTree

WorkflowKey: TypeAlias = tuple[str, str]
"""A workflow's topic and subject."""


class WorkInHand:
    """The causal trees with events on their way, by the workflow that they were begun for."""

    __slots__ = ("_trees",)

    def __init__(self) -> None:
        self._trees: dict[WorkflowKey, list[CausalTree]] = {}

    def __bool__(self) -> bool:
        return bool(self._trees)

    def trees(self, key: WorkflowKey) -> tuple[CausalTree, ...]:
        """Return the trees of a workflow, in the order in which they were begun."""
        return tuple(self._trees.get(key, ()))

    def add(self, key: WorkflowKey, tree: CausalTree) -> None:
        """Keep a tree until it ends."""
        trees = self._trees.setdefault(key, [])
        if tree not in trees:
            trees.append(tree)
            tree.on_end = partial(self._remove, key, tree)

    def _remove(self, key: WorkflowKey, tree: CausalTree) -> None:
        trees = self._trees[key]
        trees.remove(tree)
        if not trees:
            del self._trees[key]
