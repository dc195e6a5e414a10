"""The subject: orders that are due, until each is renewed and its event is in the outbox, in a fresh SQLite file.

`orders COUNT FOLDER` places them, then works them off as the service's lanes do, and prints what the latter took.
"""

import sys
from datetime import timedelta
from pathlib import Path

import anyio

from bench.issue.bare import URL
from bench.issue.clock import timed
from services.renewal.actions.authorities import Authorities, NewAuthority
from services.renewal.actions.means import Means
from services.renewal.actions.order_approvals import OrderGate
from services.renewal.actions.orders import NewOrder, Orders
from services.renewal.actions.profiles import NewProfile, Profiles
from services.renewal.actions.validation import Validator
from services.renewal.actions.work import Work
from services.renewal.connectors import Network
from services.renewal.connectors.revocation import Lookout
from services.renewal.domain.keys import KeyType
from services.renewal.domain.orders import Schedule, State
from services.renewal.events import WORDS
from services.renewal.service import SCHEMA
from services.renewal.store import APPROVALS, Authority
from shared.access import Principal
from shared.approvals.actions import Approvals, Patience
from shared.clock import utc_now
from shared.outbound import Policy
from shared.revocation.published import Authorities as Published
from shared.sealing import KeyEncryptionKey, Sealer
from shared.store import Database
from shared.tls import client_context

CALLER = Principal(id="bench", name="bench", roles=frozenset({"admin"}))


async def main() -> None:
    """Place orders and work them off."""
    count = int(sys.argv[1])
    database = Database(f"sqlite:///{Path(sys.argv[2]) / 'renewal.db'}", source="renewal")
    await SCHEMA.upgrade(database)
    work = await _placed(database, count)
    with timed(count):
        while (claim := await work.claim(now=utc_now())) is not None:
            await work.run(claim)
    await check(database, count)
    await database.close()


SEALER = Sealer([KeyEncryptionKey(b"k" * 32)])


def authorities_of(database: Database, *, network: Network | None = None) -> Authorities:
    """Return the authorities of a database, with a public address; without a network they reach nothing."""
    network = network or Network(policy=Policy(), tls=client_context(), http01=None)
    return Authorities(database, sealer=SEALER, network=network, public_url=URL.partition("/v1/")[0])


async def house(authorities: Authorities) -> Authority:
    """Make an authority."""
    new = NewAuthority(name="house", kind="builtin", options={}, secrets={})
    return await authorities.create(new, caller=CALLER, now=utc_now())


async def _placed(database: Database, count: int) -> Work:
    authorities = authorities_of(database)
    await house(authorities)
    profile = NewProfile(
        name="web",
        authority="house",
        key_type=KeyType.ECDSA_P256,
        lifetime=timedelta(days=90),
        allowed_names=["*.example.test"],
        challenge=None,
    )
    await Profiles(database, authorities).create(profile, caller=CALLER, now=utc_now())
    await place(database, count)
    return work_on(database, authorities)


async def place(database: Database, count: int) -> None:
    """Place orders of the profile `web`."""
    orders = Orders(database, ring=lambda: None)
    for number in range(count):
        new = NewOrder(names=[f"host{number}.example.test"], profile="web", lineage_id=None)
        await orders.create(new, caller=CALLER, now=utc_now())


def work_on(database: Database, authorities: Authorities) -> Work:
    """Return what takes up the orders."""
    patience = Patience(timeout=timedelta(days=1), reminder=timedelta(days=1))
    means = Means(
        sealer=SEALER,
        authorities=authorities,
        schedule=Schedule((timedelta(minutes=1),)),
        gate=OrderGate(Approvals(database, store=APPROVALS, words=WORDS, subjects={}, patience=patience)),
        validator=Validator(Lookout(Published(Policy(), pace=timedelta()))),
    )
    return Work(database, means=means, lease=timedelta(minutes=1), clock=utc_now)


async def check(database: Database, count: int) -> None:
    """End with an error where not every order is renewed."""
    orders = Orders(database, ring=lambda: None)
    renewed = await orders.page(after=None, limit=count, caller=CALLER, state=State.RENEWED)
    if len(renewed) != count:
        sys.exit(f"only {len(renewed)} of {count} are renewed")


if __name__ == "__main__":
    anyio.run(main, backend_options={"use_uvloop": True})
