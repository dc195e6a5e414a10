"""Looks whether a certificate is revoked: at the OCSP responder and in the CRL that it names."""

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from shared.apart import Unfinished, run_apart
from shared.errors import EverleafError
from shared.revocation.crls import asked_of, read_crl
from shared.revocation.ocsp import read_response, request_for
from shared.revocation.published import Authorities
from shared.revocation.words import Means, Revocation, Word, sources, unreachable
from shared.x509 import load

_CRL_WITHIN = timedelta(seconds=60)
_ITSELF = "it"
_NOBODY = Word(
    state=Revocation.UNKNOWN,
    evidence="It names neither an OCSP responder nor a CRL that can be fetched, so nobody can see whether it is revoked.",
)
_NO_ISSUER = Word(
    state=Revocation.UNKNOWN,
    evidence="The certificate of its issuer is not known here, so that nothing can be verified.",
)


class Lookout:
    """Asks by OCSP first, and by CRL where that does not tell."""

    def __init__(self, published: Authorities) -> None:
        self._published = published

    async def look(self, certificate: bytes, *, issuer: bytes | None, now: datetime) -> Word:
        """Return what is said of a certificate (DER), and may be believed; `issuer` is DER. Raises nothing."""
        leaf = load(certificate)
        where = sources(leaf)
        if where.ocsp is None and where.crl is None:
            return _NOBODY
        if issuer is None:
            return _NO_ISSUER
        word = _NOBODY
        if where.ocsp is not None:
            word = await self._by_ocsp(where.ocsp, leaf, load(issuer), now=now)
        if where.crl is not None and word.state not in (Revocation.GOOD, Revocation.REVOKED):
            word = await self._by_crl(where.crl, leaf, issuer, now=now)
        return word

    async def _by_ocsp(
        self, url: str, leaf: x509.Certificate, issuer: x509.Certificate, *, now: datetime
    ) -> Word:
        try:
            body = await self._published.ocsp(url, request_for(leaf, issuer))
            return read_response(body, certificate=leaf, issuer=issuer, url=url, now=now)
        except EverleafError as error:
            return unreachable(error.detail, means=Means.OCSP, url=url)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            return unreachable(f"It cannot be asked for ({error}).", means=Means.OCSP, url=url)

    async def _by_crl(self, url: str, leaf: x509.Certificate, issuer: bytes, *, now: datetime) -> Word:
        try:
            body = await self._published.crl(url)
            asked = {_ITSELF: asked_of(leaf)}
            words = await run_apart(read_crl, body, issuer, url, asked, now, within=_CRL_WITHIN)
        except EverleafError as error:
            return unreachable(error.detail, means=Means.CRL, url=url)
        except Unfinished as error:
            return unreachable(f"The CRL cannot be read: {error}.", means=Means.CRL, url=url)
        return words[_ITSELF]
