"""The authority itself: keys and requests as the service makes them, signed, and written into its books in SQLite.

`authority COUNT FOLDER` prints what they took; the orders around them are `orders.py`'s.
"""

import sys
from datetime import timedelta
from pathlib import Path

import anyio

from bench.issue.clock import timed
from bench.issue.orders import authorities_of, house
from services.renewal.actions.batches import MOST
from services.renewal.connectors import Issued, IssuesAtOnce, Request, Terms
from services.renewal.domain.keys import KeyType, new_key, new_request
from services.renewal.service import SCHEMA
from shared.clock import utc_now
from shared.store import Database


async def main() -> None:
    """Issue in batches of the size that the service takes."""
    count = int(sys.argv[1])
    database = Database(f"sqlite:///{Path(sys.argv[2]) / 'renewal.db'}", source="renewal")
    await SCHEMA.upgrade(database)
    authorities = authorities_of(database)
    row = await house(authorities)
    with timed(count):
        for first in range(0, count, MOST):
            requests = [_request(number) for number in range(first, min(first + MOST, count))]
            async with authorities.open(row) as opened:
                if not isinstance(opened, IssuesAtOnce):
                    sys.exit("it does not issue at once")
                answers = await opened.issue_all(requests, now=utc_now())
            if not all(isinstance(answer, Issued) for answer in answers):
                sys.exit("it refused")
    await database.close()


def _request(number: int) -> Request:
    names = (f"host{number}.example.test",)
    csr = new_request(new_key(KeyType.ECDSA_P256), names)
    terms = Terms(challenge=None, lifetime=timedelta(days=90))
    return Request(csr=csr, names=names, terms=terms, key=str(number))


if __name__ == "__main__":
    anyio.run(main, backend_options={"use_uvloop": True})
