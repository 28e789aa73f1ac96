"""The Merkle tree of RFC 6962, against the vectors of Certificate Transparency's reference implementation."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.store.merkle import Tree, root_from, root_of

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("size", range(1, 9))
def test_the_roots_are_those_of_the_reference(size: int) -> None:
    assert Tree.of(LEAVES[:size]).root.hex() == root_of(LEAVES[:size]).hex() == ROOTS[size - 1]


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert Tree.of([]).root == root_of([]) == hashlib.sha256().digest()


@given(st.integers(1, 70), st.data())
def test_a_path_proves_its_leaf_and_no_other(size: int, data: st.DataObject) -> None:
    leaves = [bytes([n]) for n in range(size)]
    index, other = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size - 1))
    tree = Tree.of(leaves)
    assert root_of(leaves) == tree.root
    path = tree.path(index)
    assert root_from(leaves[index], index, size, path) == tree.root
    if other != index:
        assert root_from(leaves[other], index, size, path) != tree.root
        assert root_from(leaves[index], other, size, path) != tree.root
    assert root_from(leaves[index], index, size, [*path, path[0] if path else b""]) is None
    if path:
        assert root_from(leaves[index], index, size, path[:-1]) is None
    assert root_from(leaves[index], size, size, path) is None
