"""What our own authorities tell everybody (CRL, OCSP, their certificate), and how one is signed by another."""

import base64
import binascii
from typing import Annotated, Any

from fastapi import Request, Response
from pydantic import Field

from services.renewal.actions.publications import Publications
from services.renewal.connectors.builtin.revocation import ANSWER_LIFETIME, Problem, no_answer
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Body, Routes, public
from shared.openapi import may_fail

Reader = Annotated[Principal, requires("authorities:read")]
Writer = Annotated[Principal, requires("authorities:write")]
CRL, OCSP, OCSP_REQUEST = "application/pkix-crl", "application/ocsp-response", "application/ocsp-request"
CERTIFICATE, PKCS10 = "application/pkix-cert", "application/pkcs10"
LONGEST_REQUEST = 4096
"""Octets of an OCSP request: one certificate and a nonce take some 150."""
_FOR_ALL = "it is signed, and whoever is shown a certificate of the authority needs it"


class CertificateBody(Body):
    """The certificate that another authority has signed."""

    certificate: str = Field(
        max_length=100_000,
        description="PEM: the authority's own certificate, those above it, and the root last.",
        examples=["-----BEGIN CERTIFICATE-----\nMIIB…\n-----END CERTIFICATE-----\n"],
    )


def publication_routes(publications: Publications, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/authorities/{authority_id}")
    _add_documents(routes, publications, clock=clock)
    _add_ocsp(routes, publications, clock=clock)

    @routes.get(
        "/csr",
        summary="Download the request for the certificate of an authority that another one signs",
        response_class=Response,
        responses={**_answers(PKCS10, "A certification request (RFC 2986), DER."), **may_fail(409)},
    )
    async def get_authority_csr(caller: Reader, authority_id: str) -> Response:
        return Response(await publications.signing_request(authority_id, caller=caller), media_type=PKCS10)

    @routes.put(
        "/certificate", summary="Bring the certificate that another authority has signed", status_code=204
    )
    async def put_authority_certificate(caller: Writer, authority_id: str, body: CertificateBody) -> None:
        await publications.certify(authority_id, body.certificate, caller=caller, now=clock())

    return routes


def _add_documents(routes: Routes, publications: Publications, *, clock: Clock) -> None:
    @routes.get(
        "/crl",
        summary="Download the CRL of an authority of our own",
        response_class=Response,
        responses=_answers(CRL, "A CRL (RFC 5280 §5), DER."),
        openapi_extra=public(_FOR_ALL),
    )
    async def get_authority_crl(authority_id: str) -> Response:
        crl = await publications.crl(authority_id, now=clock())
        kept = {"Cache-Control": f"public, max-age={int(crl.keep_for.total_seconds())}"}
        return Response(crl.der, media_type=CRL, headers={**kept, "ETag": f'"{crl.number}"'})

    @routes.get(
        "/certificate",
        summary="Download the certificate that an authority of our own signs with",
        response_class=Response,
        responses=_answers(CERTIFICATE, "A certificate (RFC 5280 §4.2.2.1, caIssuers), DER."),
        openapi_extra=public(_FOR_ALL),
    )
    async def get_authority_certificate(authority_id: str) -> Response:
        return Response(await publications.certificate(authority_id), media_type=CERTIFICATE)


def _add_ocsp(routes: Routes, publications: Publications, *, clock: Clock) -> None:
    async def answered(authority_id: str, asked: bytes, **headers: str) -> Response:
        told = await publications.ocsp(authority_id, asked, now=clock())
        return Response(told, media_type=OCSP, headers=headers)

    @routes.post(
        "/ocsp",
        summary="Ask an authority of our own about a certificate (OCSP)",
        response_class=Response,
        responses=_answers(OCSP, "A response (RFC 6960), DER; it may say why there is no answer."),
        openapi_extra={
            **public(_FOR_ALL),
            # Whatever comes is answered in the protocol: what is no request by `malformedRequest` (RFC 6960 §2.3).
            "requestBody": {"required": False, "content": {OCSP_REQUEST: {"schema": {}}}},
        },
    )
    async def ask_authority(authority_id: str, request: Request) -> Response:
        return await answered(authority_id, await _bounded(request))

    @routes.get(
        "/ocsp/{asked:path}",
        summary="Ask an authority of our own about a certificate (OCSP by GET, base64 in the path)",
        response_class=Response,
        responses=_answers(OCSP, "A response (RFC 6960), DER; it may say why there is no answer."),
        openapi_extra=public(_FOR_ALL),
    )
    async def ask_authority_by_get(authority_id: str, asked: str) -> Response:
        try:
            der = base64.b64decode(asked[: 2 * LONGEST_REQUEST], validate=True)
        except (binascii.Error, ValueError):
            return Response(no_answer(Problem.MALFORMED), media_type=OCSP)
        # RFC 5019 §6.2: an answer to GET is one that caches may keep; half of its time, so that it is never old.
        keep = f"public, max-age={int(ANSWER_LIFETIME.total_seconds()) // 2}"
        return await answered(authority_id, der, **{"Cache-Control": keep})


async def _bounded(request: Request) -> bytes:
    """Return the body as far as it may be a request: what is longer is none."""
    taken = bytearray()
    async for part in request.stream():
        taken += part
        if len(taken) > LONGEST_REQUEST:
            return b""
    return bytes(taken)


def _answers(media_type: str, description: str) -> dict[int | str, dict[str, Any]]:
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {200: {"content": content, "description": description}}
