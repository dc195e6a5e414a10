"""The subject of issue.pebble: orders of an ACME authority, from due to renewed, in a fresh SQLite file.

`acme_orders COUNT FOLDER DIRECTORY CA_FILE HTTP01_PORT PARALLEL` places them, then works them off in the service's own lanes,
and prints what the latter took.
"""

import sys
from datetime import timedelta
from pathlib import Path

import anyio
import sqlalchemy as sa
from sqlmodel import col

from bench.issue.clock import timed
from bench.issue.orders import CALLER, authorities_of, check, place, work_on
from services.renewal import store, workers
from services.renewal.actions.authorities import Authorities, NewAuthority
from services.renewal.actions.challenges import Challenges
from services.renewal.actions.profiles import NewProfile, Profiles
from services.renewal.connectors import Challenge, Network
from services.renewal.connectors.http01 import Listener
from services.renewal.domain.keys import KeyType
from services.renewal.domain.orders import OPEN
from services.renewal.service import SCHEMA
from shared.clock import utc_now
from shared.outbound import Policy
from shared.store import Database
from shared.tls import client_context
from tests.builders import LOOPBACK

_LOOK_EVERY = 0.5


async def main() -> None:
    """Place orders and work them off."""
    count, folder, directory, ca_file, port, parallel = sys.argv[1:]
    database = Database(f"sqlite:///{Path(folder) / 'renewal.db'}", source="renewal")
    await SCHEMA.upgrade(database)
    challenges = Challenges(database, clock=utc_now)
    network = Network(policy=Policy(allow=LOOPBACK), tls=client_context(), http01=challenges)
    authorities = authorities_of(database, network=network)
    await _profile(
        database, authorities, directory_url=directory, ca_pem=await anyio.Path(ca_file).read_text()
    )
    await place(database, int(count))
    lanes = workers.orders(work_on(database, authorities), clock=utc_now, parallel=int(parallel))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Listener("127.0.0.1", int(port), find=challenges.find).run)
        with timed(int(count)):
            tasks.start_soon(lanes.run)
            await _until_renewed(database)
        tasks.cancel_scope.cancel()
    await check(database, int(count))
    await database.close()


async def _profile(database: Database, authorities: Authorities, **options: str) -> None:
    pebble = NewAuthority(name="pebble", kind="acme", options=options, secrets={})
    await authorities.create(pebble, caller=CALLER, now=utc_now())
    profile = NewProfile(
        name="web",
        authority="pebble",
        key_type=KeyType.ECDSA_P256,
        lifetime=timedelta(days=90),
        allowed_names=["*.example.test"],
        challenge=Challenge.HTTP_01,
    )
    await Profiles(database, authorities).create(profile, caller=CALLER, now=utc_now())


async def _until_renewed(database: Database) -> None:
    """Look rarely and plainly: what the looks cost is the subject's."""
    left = sa.select(sa.func.count()).select_from(store.Order).where(col(store.Order.state).in_(OPEN))
    while True:
        async with database.read() as session:
            if not await session.scalar(left):
                return
        await anyio.sleep(_LOOK_EVERY)


if __name__ == "__main__":
    anyio.run(main, backend_options={"use_uvloop": True})
