"""What an ACME authority is told: where it is, and by what means control of names is shown to it."""

import binascii
import ssl
from functools import lru_cache

from pydantic import Field, SecretStr

from services.renewal.connectors import Part
from services.renewal.connectors.acme.jose import unbase64url
from services.renewal.connectors.dns.lookup import LookupOptions
from services.renewal.connectors.dns.registry import DnsOptions
from shared.errors import Invalid
from shared.x509 import from_pem


class ExternalAccount(Part):
    """The account with the authority that ours is bound to (RFC 8555 §7.3.4); its secret is `hmac`."""

    key_id: str = Field(min_length=1, max_length=500)


class AcmeOptions(Part):
    """Where the authority is, and what it wants to know."""

    directory_url: str = Field(
        pattern=r"^https://[^\s]+$",
        max_length=2000,
        examples=["https://acme-v02.api.letsencrypt.org/directory"],
    )
    ca_pem: str | None = Field(
        None, max_length=200_000, description="Trust the directory's TLS certificate by these roots too."
    )
    root_pem: str | None = Field(
        None, max_length=200_000, description="Take only certificates whose chain ends at one of these roots."
    )
    preferred_root: str | None = Field(
        None,
        min_length=1,
        max_length=500,
        description="Where several chains are offered, take the one to this root: its common name, its subject, or its SHA-256.",
        examples=["ISRG Root X1"],
    )
    profile_is_preferred: bool = Field(
        False, description="Order without the profile, where the authority does not offer it."
    )
    contacts: list[str] = Field([], max_length=20, examples=[["mailto:pki@example.com"]])
    external_account: ExternalAccount | None = None
    dns: DnsOptions | None = Field(None, description="For dns-01; its secret is `dns_secret`.")
    dns_lookup: LookupOptions = Field(
        LookupOptions(), description="How delegated names are followed, and records looked for."
    )


class AcmeSecrets(Part):
    """What is never shown."""

    hmac: SecretStr | None = Field(None, description="base64url, for `external_account`.")
    dns_secret: SecretStr | None = Field(
        None,
        description="Of `dns`: the TSIG key in base64, the secret access key, the token or the password.",
    )


def trust(options: AcmeOptions) -> ssl.SSLContext:
    """Return what the directory's TLS is verified with. Raises `Invalid`."""
    return _trusting(options.ca_pem)


@lru_cache(maxsize=64)
def _trusting(ca_pem: str | None) -> ssl.SSLContext:
    """Return one context for each text, into which nothing more is loaded: making one costs more than an order does."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if ca_pem is not None:
            context.load_verify_locations(cadata=ca_pem)
    except (ssl.SSLError, ValueError) as error:
        raise Invalid("ca_pem holds no PEM certificate.", next_step="Send the whole PEM text.") from error
    return context


def roots(options: AcmeOptions) -> tuple[bytes, ...]:
    """Return the roots that chains have to end at, in DER. Raises `Invalid`."""
    if options.root_pem is None:
        return ()
    try:
        return tuple(from_pem(options.root_pem))
    except Invalid as error:
        raise Invalid("root_pem holds no PEM certificate.", next_step="Send the whole PEM text.") from error


def mac_key(options: AcmeOptions, secrets: AcmeSecrets) -> bytes | None:
    """Return the key that binds the external account. Raises `Invalid`."""
    if (options.external_account is None) is not (secrets.hmac is None):
        raise Invalid(
            "`external_account` and the secret `hmac` go together.", next_step="Send both, or neither."
        )
    if secrets.hmac is None:
        return None
    try:
        return unbase64url(secrets.hmac.get_secret_value().rstrip("="))
    except (ValueError, binascii.Error):
        raise Invalid("The secret `hmac` is not base64url.", next_step="Send it as given.") from None


def dns_secret(options: AcmeOptions, secrets: AcmeSecrets) -> str | None:
    """Return the secret of `dns`. Raises `Invalid`."""
    needs = options.dns is not None and options.dns.needs_secret
    has = secrets.dns_secret is not None
    if (needs and not has) or (has and options.dns is None):
        raise Invalid("`dns` and the secret `dns_secret` go together.", next_step="Send both, or neither.")
    return secrets.dns_secret.get_secret_value() if secrets.dns_secret is not None else None
