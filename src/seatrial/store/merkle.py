"""The Merkle tree of a log (RFC 6962, section 2.1): one digest for all leaves, and a short proof for each of them.

With it, a few entries of a long log can be shown to somebody who sees none of the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LEAF, NODE = b"\x00", b"\x01"


@dataclass(frozen=True, slots=True)
class Tree:
    """All levels, leaves first. A node without a neighbour goes up as it is, which gives RFC 6962's unbalanced tree.

    >>> Tree.of([]).root.hex()[:16]
    'e3b0c44298fc1c14'
    """

    levels: tuple[tuple[bytes, ...], ...]

    @classmethod
    def of(cls, leaves: Iterable[bytes]) -> Tree:
        level = tuple(leaf_hash(leaf) for leaf in leaves)
        levels = [level]
        while len(level) > 1:
            level = tuple(_parent(level[i : i + 2]) for i in range(0, len(level), 2))
            levels.append(level)
        return cls(tuple(levels))

    @property
    def root(self) -> bytes:
        return self.levels[-1][0] if self.levels[-1] else hashlib.sha256().digest()

    def path(self, index: int) -> tuple[bytes, ...]:
        """The neighbours on the way from the leaf (counted from 0) to the root: RFC 6962's audit path."""
        found = []
        for level in self.levels[:-1]:
            neighbour = index ^ 1
            if neighbour < len(level):
                found.append(level[neighbour])
            index //= 2
        return tuple(found)


def root_of(leaves: Iterable[bytes]) -> bytes:
    """``Tree.of(leaves).root``, in memory for one node a level: whole trees of even size, the largest first.

    >>> root_of([b"a", b"b", b"c"]) == Tree.of([b"a", b"b", b"c"]).root
    True
    """
    whole: list[tuple[int, bytes]] = []
    for leaf in leaves:
        size, node = 1, leaf_hash(leaf)
        while whole and whole[-1][0] == size:
            size, node = size * 2, _parent((whole.pop()[1], node))
        whole.append((size, node))
    if not whole:
        return hashlib.sha256().digest()
    _, node = whole.pop()
    while whole:
        node = _parent((whole.pop()[1], node))
    return node


def root_from(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root of the tree of ``size`` leaves that has this leaf at ``index``; None for a path that cannot be one.

    >>> tree = Tree.of([b"a", b"b", b"c"])
    >>> root_from(b"c", 2, 3, tree.path(2)) == tree.root
    True
    """
    if not 0 <= index < size:
        return None
    node, last, rest = leaf_hash(leaf), size - 1, list(path)
    while last:
        if index % 2 or index < last:
            if not rest:
                return None
            neighbour = rest.pop(0)
            node = _parent((neighbour, node) if index % 2 else (node, neighbour))
        index, last = index // 2, last // 2
    return None if rest else node


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(LEAF + leaf).digest()


def _parent(children: Sequence[bytes]) -> bytes:
    return children[0] if len(children) == 1 else hashlib.sha256(NODE + children[0] + children[1]).digest()
