"""Takes back what an ACME authority has issued to our account (RFC 8555 §7.6)."""

from collections.abc import Mapping

from services.renewal.connectors.acme.jose import Json, base64url
from services.renewal.connectors.acme.problems import AcmeProblem
from services.renewal.connectors.acme.session import Session
from shared.errors import Refused
from shared.events.renewal import RevocationReason

CODES: Mapping[RevocationReason, int] = {
    RevocationReason.UNSPECIFIED: 0,
    RevocationReason.KEY_COMPROMISE: 1,
    RevocationReason.CA_COMPROMISE: 2,
    RevocationReason.AFFILIATION_CHANGED: 3,
    RevocationReason.SUPERSEDED: 4,
    RevocationReason.CESSATION_OF_OPERATION: 5,
    RevocationReason.PRIVILEGE_WITHDRAWN: 9,
    RevocationReason.AA_COMPROMISE: 10,
}
"""RFC 5280 §5.3.1."""


async def revoke(session: Session, certificate: bytes, *, reason: RevocationReason) -> None:
    """Revoke a certificate (DER); one that is revoked already stays so. Raises `Refused` or `NotNow`.

    Which reasons a subscriber may give is for the authority to say: one that does not take ours is asked without.
    """
    payload: Json = {"certificate": base64url(certificate), "reason": CODES[reason]}
    try:
        await _ask(session, payload)
    except AcmeProblem as error:
        if error.problem.kind == "badRevocationReason":
            del payload["reason"]
            await _ask_plainly(session, payload)
        elif error.problem.kind != "alreadyRevoked":
            raise error.error() from error


async def _ask_plainly(session: Session, payload: Json) -> None:
    try:
        await _ask(session, payload)
    except AcmeProblem as error:
        raise error.error() from error


async def _ask(session: Session, payload: Json) -> None:
    url = (await session.directory()).revoke_cert
    if url is None:
        raise Refused(
            "The authority's directory has no way to revoke.", next_step="Revoke it at the authority itself."
        )
    await session.post(url, payload)
