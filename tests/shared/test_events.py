import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from shared.events import Event
from shared.events.discovery import CertificateFound, Place

NOW = datetime(2026, 11, 27, tzinfo=UTC)
CHAIN = [bytes(range(256)), b"\xfb\xff"]
"""Bytes whose base64 has the two signs by which its alphabets differ."""


def body(chain: list[str] | None = None) -> bytes:
    """Return the JSON of an event, with another chain where one is given."""
    place = Place(address="192.0.2.1", port=443)
    found = CertificateFound(place=place, fingerprint="f" * 64, chain=CHAIN, observed_at=NOW)
    document = json.loads(Event.of(found, source="discovery", now=NOW).to_bytes())
    if chain is not None:
        document["data"]["chain"] = chain
    return json.dumps(document).encode()


def test_bytes_are_base64_in_an_event_and_come_back_the_same():
    assert json.loads(body())["data"]["chain"][1] == "+/8="
    assert Event.parse(body(), CertificateFound).data.chain == CHAIN
    # As JSON that was read already is taken too.
    assert CertificateFound.model_validate(json.loads(body())["data"]).chain == CHAIN


@pytest.mark.parametrize("text", ["!!!!", "Y Q==", "YQ==\n", "a"])
def test_what_is_not_base64_is_refused(text: str):
    with pytest.raises(ValidationError):
        Event.parse(body([text]), CertificateFound)
