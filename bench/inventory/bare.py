"""`python -m bench.inventory.bare URL PORT`: the two routes without a platform, as bare as FastAPI and asyncpg allow.

No token, no scope, no query language, no limits, no errors, no metrics and no contract: one statement, and its row as
JSON. Served as the product is: uvicorn on uvloop with httptools.
"""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
import uvicorn
from fastapi import FastAPI, Response
from pydantic_core import to_json

from bench.inventory.sql import LIST, ONE

POOL = 10


async def _prepare(connection: asyncpg.Connection) -> None:
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(kind, encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


def create(url: str) -> FastAPI:
    """Build the routes."""
    pool: asyncpg.Pool

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        nonlocal pool
        pool = await asyncpg.create_pool(url, min_size=POOL, max_size=POOL, init=_prepare)
        yield
        await pool.close()

    app = FastAPI(lifespan=lifespan)

    @app.get("/ready")
    async def ready() -> Response:
        return _answer({"ready": True})

    @app.get("/certificates/{fingerprint}")
    async def one(fingerprint: str) -> Response:
        row = await pool.fetchrow(ONE, fingerprint)
        return _answer(dict(row)) if row else Response(status_code=404)

    @app.get("/certificates")
    async def listed(issuer: str, before: datetime, limit: int = 50) -> Response:
        rows = await pool.fetch(LIST, issuer, before, limit + 1)
        return _answer({"items": [dict(row) for row in rows[:limit]], "more": len(rows) > limit})

    return app


def _answer(document: Any) -> Response:
    return Response(to_json(document), media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(create(sys.argv[1]), port=int(sys.argv[2]), loop="uvloop", log_config=None, access_log=False)
