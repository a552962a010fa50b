"""A radix tree over token sequences: who holds the longest beginning of a new prompt. Pure.

An edge holds a run of tokens, a node stands where held sequences part or end. A look-up walks as deep as the prompt
agrees with what is held; who lies below that point agrees with the prompt exactly so far, who hangs off the path
above it up to where it leaves the path. All operations are linear in the tokens of one sequence.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Generic, TypeVar

H = TypeVar("H", bound=Hashable)


class _Node(Generic[H]):
    """A point in the tree: the tokens that lead to it from its parent, and who ends here."""

    __slots__ = ("children", "edge", "holders", "parent")

    def __init__(self, edge: list[int], parent: _Node[H] | None) -> None:
        self.edge = edge
        self.parent = parent
        self.children: dict[int, _Node[H]] = {}
        self.holders: list[H] = []


class RadixTree(Generic[H]):
    """Which holder holds which tokens; a holder holds one sequence."""

    def __init__(self) -> None:
        self._root: _Node[H] = _Node([], None)
        self._ends: dict[H, _Node[H]] = {}

    def __contains__(self, holder: H) -> bool:
        return holder in self._ends

    def insert(self, tokens: Sequence[int], holder: H) -> None:
        """`holder` holds `tokens` from now on, and nothing it held before."""
        self.remove(holder)
        node, at = self._root, 0
        while at < len(tokens):
            child = node.children.get(tokens[at])
            if child is None:
                child = node.children[tokens[at]] = _Node(list(tokens[at:]), node)
                node, at = child, len(tokens)
                break
            same = _common(child.edge, tokens, at)
            if same < len(child.edge):
                child = _split(child, same)
            node, at = child, at + same
        node.holders.append(holder)
        self._ends[holder] = node

    def remove(self, holder: H) -> None:
        """Forget what `holder` holds; nothing happens when that is nothing."""
        node = self._ends.pop(holder, None)
        if node is None:
            return
        node.holders.remove(holder)
        if not node.holders and not node.children and node.parent is not None:
            del node.parent.children[node.edge[0]]
            node = node.parent
        if not node.holders and len(node.children) == 1 and node.parent is not None:
            self._join(node)

    def matches(self, tokens: Sequence[int]) -> Iterator[tuple[int, H]]:
        """Each holder that begins like `tokens`, with the number of tokens they share, longest first."""
        below: _Node[H] | None = None
        for node, depth in reversed(self._path(tokens)):
            for holder in _holders_below(node, but=below):
                yield depth, holder
            below = node

    def covered(self, tokens: Sequence[int]) -> list[H]:
        """Who holds a beginning of `tokens`, or all of them, and nothing else."""
        found: list[H] = []
        ends_at = 0
        for node, depth in self._path(tokens):
            ends_at += len(node.edge)
            if ends_at == depth:  # else its edge agrees only in part
                found += node.holders
        return found

    def _path(self, tokens: Sequence[int]) -> list[tuple[_Node[H], int]]:
        """The nodes that `tokens` lead through, with how many agree at each; the last may agree in part of its edge."""
        path, node, at = [], self._root, 0
        while at < len(tokens) and (child := node.children.get(tokens[at])) is not None:
            same = _common(child.edge, tokens, at)
            at += same
            path.append((child, at))
            if same < len(child.edge):
                break
            node = child
        return path

    def _join(self, node: _Node[H]) -> None:
        """Take the only child of a node at which nobody ends into the node."""
        (child,) = node.children.values()
        node.edge += child.edge
        node.children, node.holders = child.children, child.holders
        for grandchild in node.children.values():
            grandchild.parent = node
        for holder in node.holders:
            self._ends[holder] = node


def _split(node: _Node[H], at: int) -> _Node[H]:
    """A new node in the middle of the edge to `node`."""
    assert node.parent is not None
    upper = _Node(node.edge[:at], node.parent)
    node.parent.children[upper.edge[0]] = upper
    node.edge, node.parent = node.edge[at:], upper
    upper.children[node.edge[0]] = node
    return upper


def _holders_below(node: _Node[H], *, but: _Node[H] | None) -> Iterator[H]:
    """Who ends at `node` or below it, but not below its child `but`."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield from one.holders
        waiting += [child for child in one.children.values() if child is not but]


def _common(edge: list[int], tokens: Sequence[int], at: int) -> int:
    """How many tokens of `edge` agree with `tokens[at:]`; by halving: comparing slices is C, a loop is not."""
    low, high = 0, min(len(edge), len(tokens) - at)
    if edge[:high] == tokens[at : at + high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if edge[low:middle] == tokens[at + low : at + middle]:
            low = middle
        else:
            high = middle
    return low
