"""What the authorities of vendors have in common: an API that is trusted by some roots, and chains that end at some."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from services.renewal.connectors import Identity, Part, Terms
from services.renewal.connectors.chains import roots_of
from shared.errors import Invalid


def _fits_a_header(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("it is none that fits in a header")
    return secret


HeaderSecret = Annotated[SecretStr, Field(min_length=1, max_length=20_000), AfterValidator(_fits_a_header)]
"""One that is sent in a header."""


class VendorOptions(Part):
    """Whom to trust: the API by its TLS certificate, and what it issues by the end of the chain."""

    trusted_ca: str | None = Field(
        None, max_length=100_000, description="PEM that is trusted beside the public roots."
    )
    root_pem: str | None = Field(
        None, max_length=200_000, description="Take only certificates whose chain ends at one of these roots."
    )


class Vendor:
    """An authority that needs nothing of its own kept with us."""

    @classmethod
    def found(cls, options: VendorOptions, *, secrets: Part, name: str, now: datetime) -> Identity:  # noqa: ARG003 - the Protocol's
        """Take the roots up. Raises `Invalid` where they are not PEM."""
        return Identity(private=b"", roots=roots_of(options.root_pem))


def take_no_challenge(terms: Terms) -> None:
    """Raise `Invalid` where a profile asks for a challenge that this kind of authority does not make."""
    if terms.challenge is not None:
        raise Invalid("This kind of authority makes no challenges.", next_step="Leave `challenge` out.")


def check_named(terms: Terms, fallback: str | None, *, what: str, option: str) -> None:
    """Raise `Invalid` where neither the profile nor an option names what the authority issues by."""
    take_no_challenge(terms)
    if (terms.profile or fallback) is None:
        raise Invalid(
            f"This authority issues by {what}.",
            next_step=f"Name it in the profile, or in `options.{option}` of the authority.",
        )
