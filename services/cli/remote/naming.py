"""What people call things, and what the contracts call them."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer

from everleaf import Client, NotFound
from everleaf.contracts import inventory
from shared.errors import Invalid

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SOME = 5

Lineage = Annotated[
    str, typer.Argument(metavar="CERTIFICATE", help="A name it is for, its fingerprint, or its lineage's id.")
]


def lineage_of(client: Client, text: str) -> str:
    """Return the lineage of the one certificate that is meant. Raises `Invalid` where none or several are."""
    if _FINGERPRINT.fullmatch(text.lower()):
        return client.call(inventory.get_certificate(text.lower()))["lineage_id"]
    if _ID.fullmatch(text):
        try:
            return client.call(inventory.get_lineage(text))["id"]
        except NotFound:
            return text  # an order's lineage is known to renewal before its certificate is found
    return _the_one(client, text, "lineage_id")


def fingerprint_of(client: Client, text: str) -> str:
    """Return the fingerprint of the one certificate that is meant. Raises `Invalid` where none or several are."""
    is_one = _FINGERPRINT.fullmatch(text.lower())
    return text.lower() if is_one else _the_one(client, text, "fingerprint")


def _the_one(client: Client, text: str, field: Literal["lineage_id", "fingerprint"]) -> str:
    """Return this field of what is current for a name, where that has one value only."""
    named = client.each(inventory.list_certificates(query=f"name = {in_quotes(text)} and current"))
    values = list(dict.fromkeys(each[field] for each in named))
    if len(values) == 1:
        return values[0]
    if not values:
        raise Invalid(
            f"No current certificate is for {text}.", next_step="Look for it: everleaf certs -q 'name ~ …'"
        )
    raise Invalid(
        f"There are {len(values)} for {text}: {', '.join(values[:_SOME])}.", next_step="Name one of these."
    )


def in_quotes(text: str) -> str:
    """Return a value as the query language reads it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def name(certificate: Mapping[str, Any]) -> str:
    """Return what a certificate is for, in short."""
    names = certificate["names"]
    more = f" +{len(names) - 1}" if len(names) > 1 else ""
    return f"{names[0]}{more}" if names else str(certificate.get("subject") or "-")


def short(field: str) -> Any:
    """Return a column with the beginning of a fingerprint or digest."""
    return lambda document: (document.get(field) or "")[:16]
