"""What a scan of the farm missed or got wrong, compared with what the farm is known to be."""

import hashlib
import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.scan.certificates import chain_of
from bench.scan.plan import Plan
from bench.scan.profiles import EXPECTED, GROUPS, HTTP, PROFILES, SSH, Profile

MOST_TOLD = 4
MOST_CONNECTIONS = 150
"""For everything that depth `full` finds out about the deep endpoint."""
IANA = {"prime256v1": "secp256r1"}
"""Groups that OpenSSL calls otherwise."""
OLD_NAMES = {"TLSv1.0": "TLSv1"}

Record = Mapping[str, Any]
"""One line of `everleaf scan --output`."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a scan should say of one kind of address."""

    outcome: str
    word: str = ""
    """To be found in the reason or the protocol."""
    chains: Mapping[str, int]
    """By fingerprint of a leaf: how many certificates are served with it."""
    newest: str = ""


def read(path: Path) -> list[Record]:
    """Return the lines of a scan's output; one that was cut short is left out."""
    return list(_records(path)) if path.exists() else []


def _records(path: Path) -> Iterator[Record]:
    with path.open() as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)


def count_tls(records: Iterable[Record]) -> int:
    """Return how many have a certificate."""
    return sum(record["outcome"] == "tls" and bool(record.get("chain_length")) for record in records)


def check(records: Iterable[Record], *, plan: Plan, certificates: Path) -> tuple[str, ...]:
    """Return everything that is missing or wrong, the most frequent first."""
    truth = {kind: _expected(kind, certificates) for kind in set(plan.kinds.values())}
    seen: set[str] = set()
    faults: Counter[str] = Counter()
    for record in records:
        address = record["address"]
        kind = plan.kinds.get(address)
        if kind is None or address in seen:
            faults["told twice" if kind else "never asked for"] += 1
            continue
        seen.add(address)
        faults.update(f"{kind}: {fault}" for fault in _faults(record, truth[kind]))
    faults.update(f"{kind}: missing" for address, kind in plan.kinds.items() if address not in seen)
    return _told(faults)


def _told(faults: Counter[str]) -> tuple[str, ...]:
    told = [f"{number}x {fault}" for fault, number in faults.most_common(MOST_TOLD)]
    rest = faults.total() - sum(number for _, number in faults.most_common(MOST_TOLD))
    return (*told, f"and {rest} more") if rest else tuple(told)


def _expected(kind: str, certificates: Path) -> Expected:
    if kind in EXPECTED:
        return Expected(outcome=EXPECTED[kind], word=kind if kind in (HTTP, SSH) else "", chains={})
    profile = PROFILES[kind]
    return Expected(outcome="tls", chains=_chains(profile, certificates), newest=profile.newest)


def _chains(profile: Profile, certificates: Path) -> dict[str, int]:
    chains = [chain_of(certificates, name) for name in profile.certificates]
    return {hashlib.sha256(chain[0]).hexdigest(): len(chain) for chain in chains}


def _faults(record: Record, expected: Expected) -> Iterator[str]:
    if record["outcome"] != expected.outcome:
        yield f"said to be {record['outcome']} ({record.get('reason')})"
        return
    if expected.word not in f"{record.get('reason')} {record.get('protocol')}".lower():
        yield f"not named for what it is ({record.get('reason')})"
    if expected.chains:
        yield from _tls_faults(record, expected)


def _tls_faults(record: Record, expected: Expected) -> Iterator[str]:
    served = expected.chains.get(str(record.get("fingerprint")).replace(":", "").lower())
    if served is None:
        yield "another certificate"
    elif record.get("chain_length") != served:
        yield f"a chain of {record.get('chain_length')}, not {served}"
    if _version(record.get("tls_version")) != expected.newest:
        yield f"{record.get('tls_version')} as the highest version, not {expected.newest}"
    for fact in ("cipher_suite", "group"):
        if not record.get(fact):
            yield f"{fact} not known"


def _version(name: object) -> str:
    return OLD_NAMES.get(str(name), str(name))


def check_depth(record: Record, *, certificates: Path, connections: int) -> tuple[str, ...]:
    """Return what is missing from, or too much in, a `full` look at the deep endpoint."""
    depth = record.get("depth") or record
    groups = {IANA.get(name, name).lower() for name in GROUPS}
    faults = [
        *_suite_faults(depth.get("suites") or {}),
        *_difference("groups", {name.lower() for name in depth.get("groups") or ()}, groups),
    ]
    text = json.dumps(record)
    leaves = _chains(PROFILES["deep"], certificates)
    if unseen := sum(leaf not in text for leaf in leaves):
        faults.append(f"{unseen} of {len(leaves)} certificates not seen")
    if connections > MOST_CONNECTIONS:
        faults.append(f"{connections} connections, more than {MOST_CONNECTIONS}")
    return tuple(faults)


def _suite_faults(suites: Mapping[str, Iterable[str]]) -> Iterator[str]:
    told = {_version(name): set(names) for name, names in suites.items()}
    for version in PROFILES["deep"].versions:
        yield from _difference(f"{version} suites", told.get(version, set()), _suites(version))


def _difference(what: str, told: set[str], true: set[str]) -> Iterator[str]:
    if missing := true - told:
        yield f"{len(missing)} of {len(true)} {what} missing"
    if wrong := told - true:
        yield f"{len(wrong)} {what} that are not there"


def _suites(version: str) -> set[str]:
    """Return what OpenSSL, which nginx is linked to, can speak with these certificates (RSA and ECDSA, no DSA)."""
    option = "-" + version.lower().removesuffix(".0").replace("v", "").replace(".", "_")
    wish = "ALL:!aNULL:!aDSS:@SECLEVEL=0"
    done = subprocess.run(
        ["openssl", "ciphers", "-s", "-stdname", option, wish], check=True, capture_output=True, text=True
    )
    return {line.split()[0] for line in done.stdout.splitlines()}
