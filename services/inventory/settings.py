"""What the inventory can be told."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from services.inventory.domain.sign_in import RightsRule
from services.inventory.domain.thresholds import Limit
from shared.events.inventory import Urgency
from shared.settings import CommaList, ServiceSettings

_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1)}
_SETTABLE = tuple(urgency for urgency in Urgency if urgency is not Urgency.EXPIRED)


class InventorySettings(ServiceSettings):
    """The section `inventory`; durations are seconds."""

    thresholds: CommaList = Field([])
    """Remaining life at which a certificate is told to expire, as `renew=33%,warning=30d,error=15%,critical=36h`;
    days and hours count where they are shorter than the usual share of the lifetime."""
    stale_after: float = Field(86400, gt=0, le=366 * 86400)
    """After this long without a look the places of a replaced certificate are told to be stale."""
    token_lifetime: float = Field(300, ge=60, le=3600)
    """How long a token lasts that was given for an API key or a session; a change of rights ends it before."""
    reevaluate_after: float = Field(900, ge=1, le=86400)
    """After this long groups by rule are gone through again whose rule speaks of time, as `expires < 30d`."""
    unowned_after: float = Field(86400, ge=0, le=366 * 86400)
    """After this long it is told that certificates in use have no owner; where there are no teams it is not."""

    trust_store: Path | None = None
    """A PEM file of the roots that make a certificate a public one; by default Mozilla's, as `certifi` brings them."""
    trust_own: Path | None = None
    """A PEM file of the organisation's own roots: chains that lead to one of them are trusted, and not public."""
    lint: bool = True
    """Whether certificates are linted."""
    ask_revocation: bool = True
    """Whether OCSP responders and CRLs that certificates in use name are asked; `EVERLEAF_OUTBOUND_ALLOW` holds for that."""
    revocation_within: float = Field(86400, ge=3600, le=7 * 86400)
    """A revocation is noticed after this long at most, and earlier where the authority's word ends earlier."""
    fetch_issuers: bool = False
    """Whether an issuer that nobody here knows is fetched from where the certificate says it is (AIA)."""

    oidc_issuer: str | None = Field(None, max_length=500)
    """The OpenID provider that people sign in at, as it names itself: `https://login.example.com`."""
    oidc_client_id: str | None = Field(None, max_length=200)
    """What this platform is registered as there."""
    oidc_client_secret: SecretStr | None = None
    """The secret that goes with it; best given as `…_SECRET_FILE`."""
    oidc_redirect_uri: str | None = Field(None, max_length=500)
    """`https://everleaf.example.com/inventory/v1/login/callback`, registered there letter by letter."""
    oidc_scopes: str = Field("openid profile email", max_length=500)
    """What is asked for there; `openid` must be among it."""
    oidc_claim: str = Field("groups", max_length=100)
    """The claim of the ID token that rights are made from: a name or a list of names."""
    oidc_rights: CommaList = Field([])
    """What the claim's values let people do, as `pki-admins=admin@*,web-team=operator+approver@web`:
    the roles, and the groups they hold for (`*` is everything). The first that fits counts."""
    oidc_tls_ca: Path | None = None
    """A PEM file: the provider's certificate is verified against this CA instead of the public ones."""
    session_lifetime: float = Field(28800, ge=300, le=604800)
    """How long somebody stays signed in; what changes at the provider counts from the next sign-in."""

    @field_validator("oidc_rights")
    @classmethod
    def _are_rights(cls, value: list[str]) -> list[str]:
        for text in value:
            RightsRule.parse(text)
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        needed = {
            name: getattr(self, name)
            for name in ("oidc_issuer", "oidc_client_id", "oidc_client_secret", "oidc_redirect_uri")
        }
        absent = [name for name, value in needed.items() if not value]
        if absent and len(absent) < len(needed):
            msg = f"{', '.join(absent)} must be set too"
            raise ValueError(msg)
        for name in ("oidc_issuer", "oidc_redirect_uri"):
            if needed[name] and not needed[name].startswith("https://"):
                msg = f"{name} must begin with https://"
                raise ValueError(msg)
        if needed["oidc_issuer"] and "openid" not in self.oidc_scopes.split():
            msg = "oidc_scopes must have openid among them"
            raise ValueError(msg)
        return self

    def rights_rules(self) -> tuple[RightsRule, ...]:
        """Return what the provider's word lets people do."""
        return tuple(RightsRule.parse(text) for text in self.oidc_rights)

    @field_validator("thresholds")
    @classmethod
    def _are_limits(cls, value: list[str]) -> list[str]:
        names = [_limit(text)[0] for text in value]
        if len(names) != len(set(names)):
            msg = "a threshold is given twice"
            raise ValueError(msg)
        return value

    def limits(self) -> Mapping[Urgency, Limit]:
        """Return the operator's own thresholds."""
        return dict(_limit(text) for text in self.thresholds)


def _limit(text: str) -> tuple[Urgency, Limit]:
    name, _, amount = (part.strip() for part in text.partition("="))
    if name not in _SETTABLE:
        msg = f"{name!r} is not a threshold; there are {', '.join(_SETTABLE)}"
        raise ValueError(msg)
    return Urgency(name), _amount(amount)


def _amount(text: str) -> Limit:
    number, unit = _number(text[:-1]), text[-1:]
    if unit == "%" and number is not None and 0.1 <= number < 100:  # noqa: PLR2004 - per cent
        return Limit(share=number / 100)
    if unit in _UNITS and number is not None and 0 < number <= 10000:  # noqa: PLR2004 - longer than any certificate should live
        return Limit(span=number * _UNITS[unit])
    msg = f"{text!r} is neither a share like 33% (at least 0.1 %) nor a span like 30d or 12h"
    raise ValueError(msg)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
