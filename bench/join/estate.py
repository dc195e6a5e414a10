"""An inventory of hosts, each with stores that its configuration names and endpoints that serve from them, made by SQL.

Every fifth host has a container bridge beside its own address, which is the same everywhere. One endpoint in a hundred
serves a certificate that no configuration names.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa

from services.inventory.store.joins import front_id
from shared.store import Database

BRIDGE = "172.17.0.1"
FOREIGN = 100
"""One endpoint in so many serves what nothing names."""
STORES, ENDPOINTS = 2, 4
"""Of one host."""
HOSTS_PER_RUN = 1_000
"""A source that reads many hosts at once, as a cloud's account or a Kubernetes cluster."""


def address(host: int) -> str:
    """Return the own address of a host."""
    return f"10.{host // 62500}.{host // 250 % 250}.{host % 250 + 1}"


def addresses(host: int) -> list[str]:
    """Return all addresses of a host."""
    return [address(host), *([BRIDGE] if host % 5 == 0 else [])]


def name(host: int, number: int) -> str:
    """Return a name that a host answers to."""
    return f"n{number}.h{host}.example.com"


def fingerprint(host: int, *, is_foreign: bool = False) -> str:
    """Return the certificate of a host, or one that its configuration does not name."""
    return f"{'f' if is_foreign else '0'}{host:063x}"


_PLACE_ID = "substr(encode(sha256(convert_to({key}, 'UTF8')), 'hex'), 1, 32)"
_HELD = """
json_build_object('format', 'pem', 'owner', 'root', 'group', 'root', 'mode', 420, 'in_use', n = 1, 'key', NULL,
 'use_count', CASE WHEN n = 1 THEN 1 ELSE 0 END, 'is_abridged', false,
 'addresses', array_to_json(string_to_array(addresses, ' ')),
 'uses', CASE WHEN n = 1 THEN json_build_array(json_build_object(
   'product', 'nginx', 'file', '/etc/nginx/nginx.conf', 'line', 7, 'is_default', true,
   'listeners', json_build_array(json_build_object('port', 443)),
   'server_names', (SELECT json_agg('n' || m || '.h' || host || '.example.com') FROM generate_series(0, {endpoints} - 1) m)
 )) ELSE '[]'::json END)
"""


async def fill(database: Database, *, hosts: int, at: datetime) -> None:
    """Fill an empty inventory with so many hosts, all of them read and scanned a while before."""
    rows = [
        {"host": host, "front": front_id(addresses(host)), "addresses": " ".join(sorted(addresses(host)))}
        for host in range(hosts)
    ]
    async with database.transaction() as tx:
        run = tx.session.execute
        await run(
            sa.text("CREATE TEMP TABLE h (host int, front text, addresses text, own text) ON COMMIT DROP")
        )
        for start in range(0, hosts, 5_000):
            part = rows[start : start + 5_000]
            given = [{**row, "own": address(int(str(row["host"])))} for row in part]
            await run(sa.text("INSERT INTO h VALUES (:host, :front, :addresses, :own)"), given)
        for statement in _statements():
            await run(
                sa.text(statement),
                {"at": at, "before": at - timedelta(days=1), "end": at + timedelta(days=60)},
            )
    async with database.transaction() as tx:
        await tx.session.execute(sa.text("ANALYZE"))


def _statements() -> list[str]:
    own = "lpad(to_hex(host), 63, '0')"
    endpoint = "'tls://' || own || '\\:443/n' || n || '.h' || host || '.example.com'"
    store = "'store://' || own || '//etc/tls/' || n || '.pem'"
    endpoint_id, store_id = _PLACE_ID.format(key=endpoint), _PLACE_ID.format(key=store)
    of_endpoints = f"FROM h, generate_series(0, {ENDPOINTS} - 1) n"
    of_stores = f"FROM h, generate_series(1, {STORES}) n"
    certificate = (
        "INSERT INTO certificates (fingerprint, id, lineage_id, names, chain, not_before, not_after, key_type, is_ca,"
        " is_self_issued, is_from_renewal, is_current, first_known_at)"
        " SELECT {print}, {print}::text::varchar(36), 'bench', '[]', '[]', :before, :end, 'ec', false, false, false,"
        " true, :before FROM h"
    )
    return [
        "INSERT INTO lineages VALUES ('bench', 'bench', :before)",
        certificate.format(print=f"'0' || {own}").replace(f"'0' || {own}::text::varchar(36)", "'c' || host"),
        certificate.format(print=f"'f' || {own}").replace(f"'f' || {own}::text::varchar(36)", "'f' || host"),
        (
            f"INSERT INTO places (id, key, kind, address, port, server_name) SELECT {endpoint_id}, {endpoint}, 'endpoint',"
            f" own, 443, 'n' || n || '.h' || host || '.example.com' {of_endpoints}"
        ),
        (
            f"INSERT INTO places (id, key, kind, address, path) SELECT {store_id}, {store}, 'store', own,"
            f" '/etc/tls/' || n || '.pem' {of_stores}"
        ),
        (
            "INSERT INTO sightings (place_id, fingerprint, first_seen, last_seen, is_watched, is_awaited, is_proof)"
            f" SELECT {endpoint_id}, CASE WHEN (host * {ENDPOINTS} + n) % {FOREIGN} = 0 THEN 'f' ELSE '0' END || {own},"
            f" :before, :at, false, false, true {of_endpoints}"
        ),
        (
            "INSERT INTO sightings (place_id, fingerprint, first_seen, last_seen, is_watched, is_awaited, is_proof)"
            f" SELECT {store_id}, '0' || {own}, :before, :at, false, false, n = 1 {of_stores}"
        ),
        (
            "INSERT INTO held (place_id, observed_at, is_key_exposed, in_use, details, format, is_named, front_id, is_joined,"
            f" is_waiting) SELECT {store_id}, :at, false, n = 1, ({_HELD.format(endpoints=ENDPOINTS)})::json, 'pem', n = 1,"
            f" front, true, false {of_stores}"
        ),
        f"INSERT INTO fronts (id, run_id, seen_at, read_at) SELECT front, 'run-' || host / {HOSTS_PER_RUN}, :at, NULL FROM h",
        "INSERT INTO front_addresses SELECT each, front FROM h, unnest(string_to_array(addresses, ' ')) each",
        (
            f"INSERT INTO slots SELECT front, 443, 'n' || n || '.h' || host || '.example.com',"
            f" {_PLACE_ID.format(key=store.replace(' n ||', ' 1 ||'))} {of_endpoints}"
        ),
        (
            "INSERT INTO slots SELECT front, 443, '',"
            f" {_PLACE_ID.format(key=store.replace(' n ||', ' 1 ||'))} FROM h"
        ),
    ]
