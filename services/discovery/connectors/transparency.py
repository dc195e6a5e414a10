"""How a static Certificate Transparency log is read: bounded requests, and nothing believed that its root does not cover."""

import ssl
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import anyio
import anyio.to_thread
import httpx

from services.discovery.domain.checkpoints import Checkpoint, LogForked, LogKey, LogWrong, read_checkpoint
from services.discovery.domain.log_entries import Entry, read_data_tile
from services.discovery.domain.merkle import HASH_SIZE, WIDTH, Tile, edge, root, tile_hash
from shared.clock import Clock
from shared.errors import Unavailable

PATIENCE = timedelta(seconds=60)
"""How long one answer may take, down to its last byte."""
MOST_CHECKPOINT = 64 * 1024
MOST_DATA = 32 * 1024 * 1024
"""Bytes of a data tile when decompressed; what logs serve is about one megabyte."""
KEPT_TILES = 64
_GZIP = 16 + zlib.MAX_WBITS
_HEADERS = {"User-Agent": "Everleaf", "Accept-Encoding": "gzip, identity"}


class LogAway(Unavailable):
    """A log gave no usable answer; asking again may help."""

    title = "The log did not answer"
    slug = "log-away"

    def __init__(self, detail: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(detail, next_step="Nothing: it is asked again in a while.")
        self.retry_after = retry_after
        """How long the log asks to be left alone."""


class _Missing(LogAway):
    """The log has nothing at this path."""


class LogFiles:
    """The files of one log, asked for one after the other and no faster than `requests_per_second`."""

    def __init__(
        self, client: httpx.AsyncClient, prefix: str, *, requests_per_second: float, clock: Clock
    ) -> None:
        """`prefix` is the log's monitoring prefix."""
        self._client = client
        self._prefix = prefix.rstrip("/")
        self._apart = 1 / requests_per_second
        self._clock = clock
        self._next = 0.0

    async def checkpoint(self, *, key: LogKey | None) -> Checkpoint:
        """Return the present checkpoint. Raises `LogAway` and `LogWrong`."""
        return read_checkpoint(await self._get("checkpoint", most=MOST_CHECKPOINT), key=key)

    async def hashes(self, tile: Tile) -> list[bytes]:
        """Return the hashes of a tile, not yet held against anything. Raises `LogAway` and `LogWrong`."""
        try:
            return _split(await self._get(tile.path, most=HASH_SIZE * WIDTH), tile)
        except _Missing:
            # A partial tile may go when the full one has come (static-ct-api, "Partial Tiles").
            if tile.is_full:
                raise
        body = await self._get(tile.full.path, most=HASH_SIZE * WIDTH)
        return _split(body, tile.full)[: tile.width]

    async def entries(self, tile: Tile) -> list[Entry]:
        """Return the entries of a tile, not yet held against anything. Raises `LogAway` and `LogWrong`."""
        try:
            return await self._entries(tile)
        except _Missing:
            if tile.is_full:
                raise
        return (await self._entries(tile.full))[: tile.width]

    async def _entries(self, tile: Tile) -> list[Entry]:
        body = await self._get(tile.data_path, most=MOST_DATA)
        entries = await anyio.to_thread.run_sync(read_data_tile, body)
        if len(entries) != tile.width:
            raise LogWrong(f"{tile.data_path} holds {len(entries)} entries.")
        return entries

    async def _get(self, path: str, *, most: int) -> bytes:
        await self._wait_for_turn()
        url = f"{self._prefix}/{path}"
        try:
            with anyio.fail_after(PATIENCE.total_seconds()):
                async with self._client.stream("GET", url, headers=_HEADERS) as response:
                    _refuse_other_than_ok(response, path, now=self._clock())
                    return await _body(response, path, most=most)
        except TimeoutError as error:
            raise LogAway(f"{path}: no answer within {PATIENCE.seconds} s.") from error
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
            raise LogAway(f"{path}: {type(error).__name__}: {error}.") from error

    async def _wait_for_turn(self) -> None:
        now = anyio.current_time()
        turn = max(now, self._next)
        self._next = turn + self._apart
        await anyio.sleep(turn - now)


def _refuse_other_than_ok(response: httpx.Response, path: str, *, now: datetime) -> None:
    if response.status_code == HTTPStatus.OK:
        return
    kind = _Missing if response.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE) else LogAway
    wait = retry_after(response.headers.get("retry-after"), now=now)
    raise kind(f"{path}: HTTP {response.status_code}.", retry_after=wait)


async def _body(response: httpx.Response, path: str, *, most: int) -> bytes:
    """Read a body of at most so many bytes, decompressed: a bomb never comes to be (static-ct-api, "Log entries")."""
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise LogWrong(f"{path}: its content encoding is neither gzip nor identity.")
    unzip = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
    body = bytearray()
    async for chunk in response.aiter_raw():
        room = most + 1 - len(body)
        body += chunk if unzip is None else _unzipped(unzip, chunk, path, room=room)
        if max(len(body), response.num_bytes_downloaded) > most:
            raise LogWrong(f"{path}: it is larger than {most} bytes.")
    if unzip is not None and not unzip.eof:
        raise LogAway(f"{path}: the compressed answer ends early.")
    return bytes(body)


def _unzipped(unzip: "zlib._Decompress", chunk: bytes, path: str, *, room: int) -> bytes:
    try:
        return unzip.decompress(chunk, room)
    except zlib.error as error:
        raise LogWrong(f"{path}: what it holds is not gzip.") from error


def _split(body: bytes, tile: Tile) -> list[bytes]:
    if len(body) != HASH_SIZE * tile.width:
        raise LogWrong(f"{tile.path} has {len(body)} bytes instead of {HASH_SIZE * tile.width}.")
    return [body[at : at + HASH_SIZE] for at in range(0, len(body), HASH_SIZE)]


def retry_after(header: str | None, *, now: datetime) -> timedelta | None:
    """Read `Retry-After` (RFC 9110 §10.2.3), seconds or a date; what cannot be read says nothing."""
    if header is None:
        return None
    if header.isascii() and header.isdigit():
        return timedelta(seconds=int(header[:6]))
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(until - now, timedelta())


class LogTree:
    """The tree of one checkpoint, as far as it is asked for: all that it hands out belongs to the root.

    Raises `LogAway` where the log does not answer, and `LogWrong` where what it serves does not
    hash to the root.
    """

    def __init__(self, files: LogFiles, checkpoint: Checkpoint) -> None:
        self._files = files
        self._checkpoint = checkpoint
        self._tiles: OrderedDict[tuple[int, int], Sequence[bytes]] = OrderedDict()
        self._edge: dict[tuple[int, int], Sequence[bytes]] = {}

    async def check(self) -> None:
        """Fetch the right edge of the tree and hold it against the root."""
        tiles = edge(self._checkpoint.size)
        hashes = [await self._files.hashes(tile) for tile in tiles]
        if root(hashes) != self._checkpoint.root:
            raise LogWrong("The log's tiles do not hash to the root of its checkpoint.")
        self._edge = {(tile.level, tile.index): found for tile, found in zip(tiles, hashes, strict=True)}

    async def refuse_fork(self, *, size: int, root_then: bytes) -> None:
        """Raise `LogForked` where this tree does not go on from the one of that size and root."""
        if size > self._checkpoint.size:
            raise LogForked(f"The log had {size} entries and now shows {self._checkpoint.size}.")
        parts = [(await self._hashes(tile.level, tile.index))[: tile.width] for tile in edge(size)]
        if root(parts) != root_then:
            raise LogForked(f"The log's first {size} entries are others than they were.")

    async def entries(self, index: int) -> list[Entry]:
        """Return the entries of the data tile of this index, as many as the checkpoint covers."""
        width = min(WIDTH, self._checkpoint.size - WIDTH * index)
        tile = Tile(level=0, index=index, width=width)
        entries = await self._files.entries(tile)
        leaves = [entry.leaf_hash for entry in entries]
        is_covered = (
            tile_hash(leaves) == await self._hash_over(0, index)
            if tile.is_full
            else leaves == self._edge[0, index]
        )
        if not is_covered:
            raise LogWrong(f"The entries of {tile.data_path} are not those of the log's tree.")
        return entries

    async def _hash_over(self, level: int, index: int) -> bytes:
        """Return what a full tile must hash to: the tile above it says so."""
        above, place = divmod(index, WIDTH)
        return (await self._hashes(level + 1, above))[place]

    async def _hashes(self, level: int, index: int) -> Sequence[bytes]:
        place = level, index
        if place in self._edge:
            return self._edge[place]
        if place in self._tiles:
            self._tiles.move_to_end(place)
        else:
            hashes = await self._files.hashes(Tile(level=level, index=index))
            if tile_hash(hashes) != await self._hash_over(level, index):
                raise LogWrong(f"Tile {index} of level {level} is not one of the log's tree.")
            self._tiles[place] = hashes
            if len(self._tiles) > KEPT_TILES:
                self._tiles.popitem(last=False)
        return self._tiles[place]
