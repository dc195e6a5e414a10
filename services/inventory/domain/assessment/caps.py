"""What keeps a letter down, what takes the shine off an A, and what nobody has looked at."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.inventory.domain.assessment.facts import (
    SSL2,
    SSL3,
    TLS10,
    TLS11,
    TLS12,
    TLS13,
    VERSIONS,
    Subject,
    Tls,
    covers,
    listed,
)
from services.inventory.domain.assessment.suites import Suite, suite, versions_with_renegotiation

HSTS_LEAST = timedelta(days=180)
_LEAST_BITS = 112
FLAWS = {
    "heartbleed": "Heartbleed, CVE-2014-0160",
    "ccs-injection": "CCS injection, CVE-2014-0224",
    "ticketbleed": "Ticketbleed, CVE-2016-9244",
    "robot": "ROBOT, a Bleichenbacher oracle",
}
_F_KEY, _B_KEY = 40, 80
"""Scores of keys: at most this much is capped."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a letter is no better than `cap`."""

    code: str
    cap: str
    evidence: str


def caps(subject: Subject, *, key_score: float | None, now: datetime) -> Iterator[Reason]:
    """Return all that caps the letter."""
    yield from _of_trust(subject, now=now)
    yield from _of_name(subject)
    yield from _of_signature(subject)
    if key_score is not None and key_score <= _B_KEY:
        cap = "F" if key_score <= _F_KEY else "B"
        yield Reason(code="weak-key", cap=cap, evidence=_keys(subject))
    if subject.is_chain_complete is False:
        yield Reason(
            code="chain-incomplete", cap="B", evidence="a certificate between it and its root is missing"
        )
    if subject.tls is not None:
        yield from _of_versions(subject.tls)
        yield from _of_suites(subject.tls)
        if subject.tls.compresses:
            yield Reason(code="crime", cap="C", evidence="it takes TLS compression")
        yield from _of_flaws(subject.tls)


def warnings(subject: Subject) -> Iterator[Reason]:
    """Return what makes an A an A-."""
    tls = subject.tls
    if tls is not None and tls.is_without(TLS13):
        yield Reason(code="no-tls-1.3", cap="A-", evidence="TLSv1.3 is not offered")
    if tls is not None and tls.secure_renegotiation is False:
        yield Reason(code="no-secure-renegotiation", cap="A-", evidence="RFC 5746 is not supported")
    if subject.hsts_max_age is not None and subject.hsts_max_age < HSTS_LEAST:
        days = subject.hsts_max_age.days
        lasts = (
            f"HSTS lasts {days} days, which is less than 180"
            if subject.hsts_max_age
            else "HSTS is not in force"
        )
        yield Reason(code="hsts", cap="A-", evidence=lasts)


def unchecked(subject: Subject) -> tuple[str, ...]:
    """Return what bears upon the letter and is not known."""
    return tuple(_unchecked(subject))


def _unchecked(subject: Subject) -> Iterator[str]:
    tls = subject.tls
    if tls is None or not tls.is_full:
        yield "depth-full"
    elif not tls.is_complete:
        yield "missed-connections"
    if subject.is_trusted is None:
        yield "trust"
    if subject.is_revoked is None:
        yield "revocation"
    if subject.is_chain_complete is None:
        yield "chain-complete"
    if subject.server_name is None:
        yield "name"
    if subject.key_kind is None:
        yield "key"
    if subject.hsts_max_age is None and _may_be_http(subject):
        yield "hsts"
    yield from _vulnerabilities(tls)


def _may_be_http(subject: Subject) -> bool:
    return subject.starttls is None and (subject.tls is None or subject.tls.is_http is not False)


def _vulnerabilities(tls: Tls | None) -> Iterator[str]:
    """Name those that nobody has looked for, or could not, where the server speaks what they are of."""
    names = []
    if tls is None or not tls.knows_all or versions_with_renegotiation(tls.versions):
        names += ["heartbleed", "ccs-injection", "ticketbleed"]
    if tls is None or not tls.knows_all or any(suite(name).is_rsa_transport for name in tls.all_suites):
        names += ["robot"]
    known = tls.flaws if tls is not None else {}
    yield from (name for name in names if name not in known)


def _of_trust(subject: Subject, *, now: datetime) -> Iterator[Reason]:
    if subject.is_trusted is False:
        yield Reason(code="untrusted", cap="T", evidence="no trusted root is at the end of its chain")
    elif subject.is_self_issued and subject.is_trusted is None:
        yield Reason(code="self-signed", cap="T", evidence="it names itself as its issuer")
    if subject.is_revoked:
        yield Reason(code="revoked", cap="T", evidence="its issuer has revoked it")
    if subject.not_after is not None and now > subject.not_after:
        yield Reason(code="expired", cap="T", evidence=f"it ended at {subject.not_after:%Y-%m-%d %H:%M} UTC")
    if subject.not_before is not None and now < subject.not_before:
        yield Reason(
            code="not-yet-valid", cap="T", evidence=f"it begins at {subject.not_before:%Y-%m-%d %H:%M} UTC"
        )


def _of_name(subject: Subject) -> Iterator[Reason]:
    if subject.server_name is not None and not covers(subject.names, subject.server_name):
        evidence = f"asked for {subject.server_name}, it shows a certificate for {listed(subject.names) or 'no name'}"
        yield Reason(code="name-mismatch", cap="M", evidence=evidence)


def _of_signature(subject: Subject) -> Iterator[Reason]:
    signature = (subject.signature_algorithm or "").lower().replace("-", "")
    if "sha1" in signature and not subject.is_self_issued:
        yield Reason(code="sha1", cap="T", evidence=f"it is signed with {subject.signature_algorithm}")
    if "md5" in signature or "md2" in signature:
        yield Reason(code="md5", cap="F", evidence=f"it is signed with {subject.signature_algorithm}")
    if subject.rsa_exponent == 1:
        yield Reason(code="rsa-exponent", cap="F", evidence="the public exponent of its key is 1")


def _keys(subject: Subject) -> str:
    tls = subject.tls
    parts = [f"certificate: {subject.key_type} of {subject.key_bits} bits"] if subject.key_type else []
    parts += [f"DH of {bits} bits" for bits in (tls.dh_bits if tls else ())]
    weak = [
        name for name in (tls.all_suites if tls else ()) if suite(name).is_export or suite(name).is_anonymous
    ]
    return listed([*parts, *weak])


def _of_versions(tls: Tls) -> Iterator[Reason]:
    best = next((version for version in VERSIONS if version in tls.versions), None)
    if SSL2 in tls.versions:
        yield Reason(code="ssl-2.0", cap="F", evidence="SSLv2 is offered (DROWN)")
    if SSL3 in tls.versions:
        is_best = best == SSL3
        evidence = "SSLv3 is the best that is offered" if is_best else "SSLv3 is offered"
        yield Reason(code="ssl-3.0", cap="F" if is_best else "B", evidence=evidence)
        if any(suite(name).is_cbc for name in tls.suites.get(SSL3, ())):
            yield Reason(code="poodle", cap="C", evidence="SSLv3 with CBC is offered")
    old = [version for version in (TLS11, TLS10) if version in tls.versions]
    if old:
        yield Reason(
            code="old-versions",
            cap="B",
            evidence=f"{listed(old)} is offered" if len(old) == 1 else f"{listed(old)} are offered",
        )
    if tls.is_without(TLS12) and tls.is_without(TLS13):
        yield Reason(code="no-tls-1.2", cap="C", evidence="neither TLSv1.2 nor TLSv1.3 is offered")
    with_beast = [
        version
        for version in (TLS10, SSL3)
        if any(suite(name).is_cbc for name in tls.suites.get(version, ()))
    ]
    if with_beast:
        yield Reason(code="beast", cap="B", evidence=f"CBC with {listed(with_beast)}")


def _of_flaws(tls: Tls) -> Iterator[Reason]:
    for name, title in FLAWS.items():
        if tls.flaws.get(name):
            shown = tls.flaw_reasons.get(name)
            yield Reason(code=name, cap="F", evidence=f"{title}: {shown}" if shown else title)


def _of_suites(tls: Tls) -> Iterator[Reason]:
    offered = [suite(name) for name in tls.all_suites]
    very_weak = [each for each in offered if each.is_anonymous or each.is_export or each.bits < _LEAST_BITS]
    if very_weak:
        yield Reason(code="insecure-suites", cap="F", evidence=_names(very_weak))
    small = [each for each in offered if each.has_small_blocks]
    if small:
        yield Reason(code="sweet32", cap="C", evidence=_names(small))
    yield from _of_rc4(tls, offered)
    if tls.knows_all and offered:
        if not any(each.is_forward_secret for each in offered):
            yield Reason(
                code="no-forward-secrecy", cap="B", evidence="no suite with ephemeral keys is offered"
            )
        if not any(each.is_aead for each in offered):
            yield Reason(
                code="no-aead", cap="B", evidence="no suite with authenticated encryption is offered"
            )


def _of_rc4(tls: Tls, offered: Iterable[Suite]) -> Iterator[Reason]:
    names = [each for each in offered if each.is_rc4]
    if not names:
        return
    newer = [
        version
        for version in (TLS12, TLS11)
        if any(suite(name).is_rc4 for name in tls.suites.get(version, ()))
    ]
    evidence = _names(names) + (f", with {listed(newer)}" if newer else "")
    yield Reason(code="rc4", cap="C" if newer else "B", evidence=evidence)


def _names(found: Iterable[Suite]) -> str:
    return listed(each.name for each in found)
