"""Microsoft AD CS by its web enrolment pages (`/certsrv`): submit, look again while a person decides, fetch.

The pages know neither an order's key nor a search: where we die between submitting and writing the number down, the
request is submitted again, and a second certificate is issued that nobody uses.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from html import unescape
from typing import Annotated, ClassVar, Literal, Self

import httpx
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from pydantic import BaseModel, Field, SecretStr

from services.renewal.connectors import (
    Identity,
    Issued,
    Network,
    NotNow,
    Part,
    Pending,
    Progress,
    Request,
    Terms,
)
from services.renewal.connectors.chains import chain_for, pem_of
from services.renewal.connectors.ntlm import NtlmAuth
from services.renewal.connectors.vendor import Vendor, VendorOptions, check_named
from services.renewal.connectors.web import AuthorityApi, authority_api
from shared.errors import Refused
from shared.web import Answer

ASK_AGAIN = timedelta(minutes=10)
"""While a person has not yet decided."""
_BROWSER = "Mozilla/5.0 (Everleaf)"
"""The pages give a certificate its media type only where they are asked by a browser."""
_NUMBER = re.compile(r"certnew\.cer\?ReqID=(\d+)&")
_PENDING = re.compile(r"Your Request Id is (\d+)")
_SAID = re.compile(r"The disposition message is \"([^\"]{1,500})|Disposition message:\s*([^\r\n]{1,500})")
_UNDECIDED = "Taken Under Submission"
_SHOWN = 300
_Template = Annotated[str, Field(pattern=r"^[\w.-]+$", max_length=200)]
_CERTIFICATE, _CHAIN = "application/pkix-cert", "application/x-pkcs7-certificates"


class AdcsOptions(VendorOptions):
    """Where the web enrolment pages are, and the template to issue by."""

    url: str = Field(
        pattern=r"^https://[^?#@\s]+$",
        max_length=300,
        description="Of the pages.",
        examples=["https://ca.example.com/certsrv"],
    )
    template: _Template | None = Field(
        None,
        description="The template's name, not its display name; where the profile names none.",
        examples=["WebServer"],
    )

    authentication: Literal["ntlm", "basic"] = Field(
        "ntlm", description="What IIS has enabled for the pages: Windows or Basic authentication."
    )


class AdcsSecrets(Part):
    """An account that may enrol by the template."""

    username: SecretStr = Field(min_length=1, max_length=300, examples=["EXAMPLE\\everleaf"])
    password: SecretStr = Field(min_length=1, max_length=300)


class _State(BaseModel):
    number: int
    """That AD CS gave the request."""


class Adcs(Vendor):
    """A CA of AD CS that issues by a template."""

    kind: ClassVar[str] = "adcs"
    summary: ClassVar[str] = "Microsoft AD CS, by its web enrolment pages."
    options_type: ClassVar[type[Part]] = AdcsOptions
    secrets_type: ClassVar[type[Part]] = AdcsSecrets
    decides_lifetime: ClassVar[bool] = True
    """The template does."""

    def __init__(self, api: AuthorityApi, options: AdcsOptions) -> None:
        self._api = api
        self._options = options

    @classmethod
    def check_terms(cls, options: AdcsOptions, *, terms: Terms, network: Network) -> None:  # noqa: ARG003 - the Protocol's
        """Raise `Invalid` where no template is named, or a challenge is asked for."""
        check_named(terms, options.template, what="a template", option="template")

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        options: AdcsOptions,
        *,
        secrets: AdcsSecrets,
        identity: Identity,  # noqa: ARG003 - the Protocol's
        network: Network,
    ) -> AsyncIterator[Self]:
        """Open a client."""
        username, password = secrets.username.get_secret_value(), secrets.password.get_secret_value()
        by_ntlm = options.authentication == "ntlm"
        auth = NtlmAuth(username, password) if by_ntlm else httpx.BasicAuth(username, password)
        headers = {"User-Agent": _BROWSER, "Accept": "*/*"}
        async with authority_api(
            network, options.url, headers=headers, auth=auth, trusted_ca=options.trusted_ca
        ) as api:
            yield cls(api, options)

    async def advance(
        self,
        request: Request,
        *,
        state: bytes | None,
        resumed: bool,  # noqa: ARG002 - what was submitted cannot be found
        now: datetime,  # noqa: ARG002 - the Protocol's
    ) -> Progress:
        """Submit, or look what has become of it. Raises `Refused` or `NotNow`."""
        if state is None:
            return await self._submit(request)
        return await self._fetch(request, _State.model_validate_json(state))

    async def _submit(self, request: Request) -> Pending:
        template = request.terms.profile or self._options.template
        form = {
            "Mode": "newreq",
            "CertRequest": pem_of(request.csr),
            "CertAttrib": f"CertificateTemplate:{template}\r\n",
            "FriendlyType": "Saved-Request Certificate",
            "TargetStoreFlags": "0",
            "SaveCert": "yes",
        }
        page = _text(await self._api.ask("POST", "/certfnsh.asp", data=form))
        if (issued := _NUMBER.search(page)) is not None:
            return _kept(int(issued[1]), text="AD CS has issued.")
        if (pending := _PENDING.search(page)) is not None:
            text = f"AD CS has taken request {pending[1]} under submission; its manager decides."
            return _kept(int(pending[1]), text=text, retry_after=ASK_AGAIN)
        raise _denied(page)

    async def _fetch(self, request: Request, state: _State) -> Progress:
        leaf = await self._api.ask("GET", "/certnew.cer", params={"ReqID": str(state.number), "Enc": "bin"})
        if not _is(leaf, _CERTIFICATE):
            page = _text(leaf)
            if _UNDECIDED.lower() in _said(page).lower():
                return _kept(state.number, retry_after=ASK_AGAIN)
            raise _denied(page)
        chain = await self._api.ask("GET", "/certnew.p7b", params={"ReqID": str(state.number), "Enc": "bin"})
        if not _is(chain, _CHAIN):
            raise NotNow(f"AD CS gives no chain of request {state.number}.")
        return Issued(chain=chain_for(request.csr, [leaf.body, *_certificates(chain.body)]))


def _kept(number: int, *, text: str | None = None, retry_after: timedelta = timedelta()) -> Pending:
    state = _State(number=number).model_dump_json().encode()
    return Pending(state=state, step="wait" if retry_after else "submit", text=text, retry_after=retry_after)


def _certificates(bag: bytes) -> list[bytes]:
    try:
        return [each.public_bytes(Encoding.DER) for each in pkcs7.load_der_pkcs7_certificates(bag)]
    except ValueError as error:
        raise NotNow("AD CS gave a chain that cannot be read.") from error


def _is(answer: Answer, media_type: str) -> bool:
    told: str = answer.headers.get("content-type", "")
    return told.partition(";")[0].strip().lower() == media_type


def _text(answer: Answer) -> str:
    return answer.body.decode(errors="replace")


def _said(page: str) -> str:
    """Return what a page says of a request, as one plain line."""
    found = _SAID.search(page)
    told = unescape(re.sub(r"<[^>]*>", " ", found[1] or found[2])) if found else ""
    return " ".join("".join(each if each.isprintable() else " " for each in told).split())[:_SHOWN]


def _denied(page: str) -> Refused:
    return Refused(
        f"AD CS has not issued: {_said(page) or 'it does not say why'}.",
        next_step="Correct the template or who may enrol by it, or ask the manager of the CA; then try the order again.",
    )
