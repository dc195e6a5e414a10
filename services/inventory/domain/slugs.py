"""Names that people choose and that stand in queries, addresses and other services."""

import re

from shared.errors import Fault, Invalid

LONGEST = 100
SLUG = r"^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$"
TAG = r"^[a-z0-9](?:[a-z0-9._:/-]*[a-z0-9])?$"
"""As a slug, and with `:` and `/` between: `env:prod`, `pci/in-scope`."""
FIELD = r"^[a-z][a-z0-9_-]*$"
"""No dot: it stands in queries as `field.NAME`."""


def slug_of(name: str) -> str:
    """Return the slug that a name suggests: `Payments & Billing` gives `payments-billing`; empty where none does."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:LONGEST].strip("-")


def tag(text: str) -> str:
    """Return a tag as it is kept. Raises `Invalid`."""
    written = text.strip().lower()
    if len(written) > LONGEST or not re.fullmatch(TAG, written):
        message = f"{text[:LONGEST]!r} is no tag."
        raise Invalid(
            message,
            next_step="Write lower-case letters, digits and . _ - : / between them, as env:prod.",
            faults=[Fault(pointer="/body", message=message)],
        )
    return written
