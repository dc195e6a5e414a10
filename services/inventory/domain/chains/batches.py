"""Judges many chains at once, and reads of each certificate what asking for its revocation takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.inventory.domain.chains.links import link
from services.inventory.domain.chains.verdicts import ChainState, Problem, Roots, Verdict, judge
from shared.extensions import is_authority
from shared.revocation.words import Sources, sources


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A chain's verdict, and what its first certificate says."""

    verdict: Verdict
    is_readable: bool
    is_authority: bool = False
    sources: Sources = field(default_factory=Sources)


def judge_each(
    chains: Sequence[Sequence[bytes]],
    stores: Mapping[str, Sequence[bytes]],
    known: Sequence[bytes],
    now: datetime,
) -> list[Judged]:
    """Judge chains, leaf first; `known` are certificates that may be missing in them."""
    roots = Roots(stores)
    return [_judged(served, judge(served, roots=roots, known=known, now=now)) for served in chains]


def _judged(served: Sequence[bytes], verdict: Verdict) -> Judged:
    leaf = link(served[0]) if served else None
    if leaf is None:
        return Judged(verdict=verdict, is_readable=False)
    return Judged(
        verdict=verdict,
        is_readable=True,
        is_authority=is_authority(leaf.certificate),
        sources=sources(leaf.certificate),
    )


def unjudged(reason: str) -> Judged:
    """Return what is said of a chain on which judging itself came to no end."""
    problem = Problem(state=ChainState.UNREADABLE, evidence=f"It could not be judged: {reason}.")
    return Judged(verdict=Verdict(problems=(problem,)), is_readable=False)


def read_issuers(body: bytes) -> list[tuple[bytes, str]]:
    """Return the DER and the digest of the subject of authorities in a body as caIssuers serves it (RFC 5280 §4.2.2.1)."""
    from cryptography import x509  # noqa: PLC0415 - only where something was fetched
    from cryptography.hazmat.primitives.serialization import Encoding, pkcs7  # noqa: PLC0415 - only where something was fetched

    if link(body) is not None:
        ders = [body]
    elif body.lstrip().startswith(b"-----BEGIN"):
        ders = [each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(body)]
    else:
        ders = [each.public_bytes(Encoding.DER) for each in pkcs7.load_der_pkcs7_certificates(body)]
    links = [each for each in map(link, ders[:_MOST]) if each is not None and is_authority(each.certificate)]
    return [(each.der, each.subject) for each in links]


_MOST = 20
