"""HashiCorp Vault's PKI engine, and OpenBao's: it signs our request, and never sees a key.

Vault knows no order: what was signed and not written down is looked for among its certificates, by the key.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from services.renewal.connectors import (
    Identity,
    Issued,
    Listed,
    Network,
    NotNow,
    Part,
    Pending,
    Progress,
    Request,
    Terms,
)
from services.renewal.connectors.chains import (
    chain_of_pem,
    common_name,
    is_address,
    is_for,
    pem_of,
    serial_of,
)
from services.renewal.connectors.vendor import Vendor, VendorOptions, check_named
from services.renewal.connectors.web import authority_api, not_now
from shared import x509
from shared.errors import Invalid, Refused
from shared.events.renewal import RevocationReason
from shared.vault import NAME, Vault, VaultCredential, VaultSettings, logged_in, policy_line
from shared.web import NotPermitted

MOST_LOOKED_AT = 2_000
"""Certificates of a mount up to which a lost one is looked for."""
MOST_LISTED = 50_000
BACKDATED = timedelta(seconds=30)
"""How long before its issue a certificate begins: Vault's default of `not_before_duration`."""
_ANEW = b"anew"
_Role = Annotated[str, Field(pattern=r"^[\w.@-]+$", max_length=200)]


class VaultOptions(VaultSettings, VendorOptions):
    """Where Vault is, and the role that it is to sign by."""

    mount: str = Field("pki", pattern=NAME, max_length=200, examples=["pki_int"])
    role: _Role | None = Field(None, description="Where the profile names none.")


class VaultSecrets(VaultCredential, Part):
    """A token, or the role and secret of an AppRole."""


class VaultPki(Vendor):
    """A PKI engine that signs by a role."""

    kind: ClassVar[str] = "vault"
    summary: ClassVar[str] = "The PKI engine of HashiCorp Vault or OpenBao, by a role."
    options_type: ClassVar[type[Part]] = VaultOptions
    secrets_type: ClassVar[type[Part]] = VaultSecrets
    decides_lifetime: ClassVar[bool] = False

    def __init__(self, vault: Vault, options: VaultOptions) -> None:
        self._vault = vault
        self._options = options

    @classmethod
    def check_terms(cls, options: VaultOptions, *, terms: Terms, network: Network) -> None:  # noqa: ARG003 - the Protocol's
        """Raise `Invalid` where no role is named, or a challenge is asked for."""
        check_named(terms, options.role, what="a role", option="role")

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        options: VaultOptions,
        *,
        secrets: VaultSecrets,
        identity: Identity,  # noqa: ARG003 - the Protocol's
        network: Network,
    ) -> AsyncIterator[Self]:
        """Log in."""
        async with (
            authority_api(network, options.url, trusted_ca=options.trusted_ca) as api,
            logged_in(api, options, secrets) as vault,
        ):
            yield cls(vault, options)

    async def advance(
        self,
        request: Request,
        *,
        state: bytes | None,
        resumed: bool,
        now: datetime,  # noqa: ARG002 - the Protocol's
    ) -> Progress:
        """Sign, or find what was signed. Raises `Refused` or `NotNow`."""
        if resumed and state is None:
            serials = await self._serials()
            if len(serials) > MOST_LOOKED_AT:
                text = f"It has issued {len(serials)} certificates: whether ours is among them is not looked for."
                return Pending(state=_ANEW, step="search", text=text)
            async for der in self._certificates(serials):
                if is_for(der, request.csr):
                    return Issued(chain=chain_of_pem([x509.to_pem([der]), await self._issuers()]))
        return await self._sign(request)

    async def revoke(
        self,
        certificate: bytes,
        *,
        issuer: bytes | None,  # noqa: ARG002 - the Protocol's
        reason: RevocationReason,  # noqa: ARG002 - Vault keeps none
        now: datetime,  # noqa: ARG002 - the Protocol's
    ) -> None:
        """Revoke; Vault keeps no reason, and revokes one that is revoked without a word."""
        serial = bytes.fromhex(serial_of(certificate)).hex(":")
        kept = await self._read(serial)
        if kept != certificate:
            raise Refused(
                f"{self._options.mount} has no certificate {serial}.",
                next_step="Revoke it where it was issued.",
            )
        await self._write("revoke", {"serial_number": serial})

    async def issued_since(self, since: datetime) -> AsyncGenerator[Listed]:
        """Yield what began to be valid since then, as far as the roles store what they sign."""
        serials = await self._serials()
        if len(serials) > MOST_LISTED:
            raise NotNow(
                f"{self._options.mount} has more than {MOST_LISTED} certificates.",
                next_step="Tidy it (`tidy_cert_store`), so that expired ones are forgotten.",
            )
        found = [
            Listed(certificate=der, issued_at=x509.read(der).not_before + BACKDATED)
            async for der in self._certificates(serials)
        ]
        for each in sorted(found, key=lambda each: each.issued_at):
            if each.issued_at >= since:
                yield each

    async def _sign(self, request: Request) -> Issued:
        role = request.terms.profile or self._options.role
        asked: dict[str, Any] = {
            "csr": pem_of(request.csr),
            "alt_names": ",".join(name for name in request.names if not is_address(name)),
            "ip_sans": ",".join(filter(is_address, request.names)),
            "ttl": f"{int(request.terms.lifetime.total_seconds())}s",
            "format": "pem",
        }
        if (name := common_name(request.names)) is not None:
            asked["common_name"] = name
        told = await self._write(f"sign/{role}", asked)
        texts = (told.get("certificate"), told.get("issuing_ca"), *(told.get("ca_chain") or ()))
        return Issued(chain=chain_of_pem(text for text in texts if isinstance(text, str)))

    async def _write(self, path: str, told: Mapping[str, Any]) -> Mapping[str, Any]:
        path = f"{self._options.mount}/{path}"
        try:
            with not_now():
                return await self._vault.write(path, told)
        except NotPermitted as error:
            raise _lacks(path, "update") from error

    async def _serials(self) -> Sequence[str]:
        path = f"{self._options.mount}/certs"
        try:
            with not_now():
                listed = await self._vault.list(path)
        except NotPermitted as error:
            raise _lacks(path, "list") from error
        return [each for each in (listed or {}).get("keys", ()) if isinstance(each, str)]

    async def _certificates(self, serials: Sequence[str]) -> AsyncGenerator[bytes]:
        for serial in serials:
            der = await self._read(serial)
            if der is not None:
                yield der

    async def _read(self, serial: str) -> bytes | None:
        with not_now():
            told = await self._vault.read(f"{self._options.mount}/cert/{serial}")
        try:
            return x509.from_pem(str((told or {}).get("certificate")))[0]
        except Invalid:
            return None

    async def _issuers(self) -> str:
        with not_now():
            told = await self._vault.read(f"{self._options.mount}/cert/ca_chain")
        return str((told or {}).get("certificate", ""))


def _lacks(path: str, capability: str) -> Refused:
    return Refused(
        f"Vault does not permit {path}.",
        next_step=f"Add to the policy of the login: {policy_line(path, capability)}",
    )
