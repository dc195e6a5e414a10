"""What a log's tree hashes to, and which tiles say so (RFC 6962 §2.1, c2sp.org/tlog-tiles)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

WIDTH = 256
"""Hashes, or entries, in a full tile."""
HASH_SIZE = 32
_GROUP = 1000
"""Each element of a tile's path is three digits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """`width` hashes of subtrees of 256 ** `level` entries each; at level 0 they are those of the entries."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def is_full(self) -> bool:
        """Return whether it will never grow."""
        return self.width == WIDTH

    @property
    def full(self) -> "Tile":
        """Return what it will have become when it is full."""
        return replace(self, width=WIDTH)

    @property
    def path(self) -> str:
        """Return where its hashes are, below the log's monitoring prefix."""
        return f"tile/{self.level}/{self._number}"

    @property
    def data_path(self) -> str:
        """Return where the entries are whose hashes it holds; it is of level 0."""
        return f"tile/data/{self._number}"

    @property
    def _number(self) -> str:
        rest, last = divmod(self.index, _GROUP)
        parts = [f"{last:03}"]
        while rest:
            rest, part = divmod(rest, _GROUP)
            parts.insert(0, f"x{part:03}")
        return "/".join(parts) + ("" if self.is_full else f".p/{self.width}")


def edge(size: int) -> list[Tile]:
    """Return the partial tiles at the right of a tree of this size, the highest level first.

    Their hashes are all it takes to compute the root.
    """
    tiles, level = [], 0
    while size:
        size, width = divmod(size, WIDTH)
        if width:
            tiles.append(Tile(level=level, index=size, width=width))
        level += 1
    return tiles[::-1]


def root(tiles: Sequence[Sequence[bytes]]) -> bytes:
    """Return the root over the hashes of the tiles of `edge`, in its order."""
    peaks = [peak for hashes in tiles for peak in _peaks(hashes)]
    if not peaks:
        return sha256(b"").digest()
    found = peaks.pop()
    while peaks:
        found = _node(peaks.pop(), found)
    return found


def tile_hash(hashes: Sequence[bytes]) -> bytes:
    """Return the hash over a full tile, or over any number of hashes that is a power of two."""
    level = list(hashes)
    while len(level) > 1:
        level = [_node(level[at], level[at + 1]) for at in range(0, len(level), 2)]
    return level[0]


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of one entry's `MerkleTreeLeaf`."""
    return sha256(b"\x00" + leaf).digest()


def _peaks(hashes: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the hashes of the largest whole subtrees, from the left."""
    while hashes:
        size = 1 << (len(hashes).bit_length() - 1)
        yield tile_hash(hashes[:size])
        hashes = hashes[size:]


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()
