"""Tiles, and what they hash to."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.discovery.domain.merkle import Tile, edge, leaf_hash, root, tile_hash
from tests.servers.ct_log import tree_hash

LEAVES = [hashlib.sha256(number.to_bytes(4)).digest() for number in range(70_000)]


def hashes_of(tile: Tile) -> list[bytes]:
    """Return what a log serves for a tile of the tree over `LEAVES`, by the definition of RFC 6962."""
    each = 256**tile.level
    first = tile.index * 256
    return [tree_hash(tuple(LEAVES[n * each : (n + 1) * each])) for n in range(first, first + tile.width)]


@pytest.mark.parametrize(
    ("index", "path"),
    [(0, "000"), (7, "007"), (999, "999"), (1000, "x001/000"), (1234067, "x001/x234/067")],
)
def test_a_tile_is_numbered_in_groups_of_three(index: int, path: str) -> None:
    assert Tile(level=1, index=index).path == f"tile/1/{path}"
    assert Tile(level=0, index=index, width=17).data_path == f"tile/data/{path}.p/17"


def test_the_edge_is_that_of_the_specifications_examples() -> None:
    assert [(tile.level, tile.index, tile.width) for tile in edge(70_000)] == [
        (2, 0, 1),
        (1, 1, 17),
        (0, 273, 112),
    ]
    assert [(tile.level, tile.index, tile.width) for tile in edge(256)] == [(1, 0, 1)]
    assert edge(0) == []


@pytest.mark.parametrize("size", [0, 1, 2, 3, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 70_000])
def test_the_root_over_the_edge_is_that_of_the_definition(size: int) -> None:
    assert root([hashes_of(tile) for tile in edge(size)]) == tree_hash(tuple(LEAVES[:size]))


@settings(max_examples=20)
@given(st.integers(0, 2000))
def test_the_root_is_right_for_any_size(size: int) -> None:
    assert root([hashes_of(tile) for tile in edge(size)]) == tree_hash(tuple(LEAVES[:size]))


def test_known_hashes_of_the_specification_come_out() -> None:
    """The empty tree, and a tree of one empty leaf (RFC 6962 §2.1)."""
    assert root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert tile_hash([leaf_hash(b"")]) == leaf_hash(b"")
