"""No secret comes back: not in a field of a contract, an answer, an event or, in clear, a database."""

import json
import re
from collections.abc import Iterator

import httpx
import sqlalchemy as sa

from shared.store.plumbing import OUTBOX
from tests.access.contracts import ROUTES, Route, fields
from tests.access.estate import OURS, Estate
from tests.access.made import kept
from tests.access.makers import MAKERS, maker

SECRET = re.compile(
    r"private|passw|passphrase|secret|token|credential|api_?key|pkcs12|p12|pfx|bearer|cookie|signing",
    re.IGNORECASE,
)
SHOWN = {
    "access_token": "a token, given for a credential to whom it belongs",
    "token_type": "the word Bearer",
    "token": "opens what waits for one binding; shown once, when it is made",
    "private_key": "fetched once, by who has the token of its binding",
    "sealed_private_key": "the same, to a public key that was sent",
    "api_keys": "ids and dates of keys; the key is shown once, when it is made",
    "credential": "in a list of kinds: the JSON Schema of what is taken, without a value",
    "secrets": "the same",
    "credential_from": "where a credential lies, and not the credential",
    "secret_store": "the name of a store",
}
"""Names in answers that look like a secret's, and why they are none."""
PLANTED = (
    "correct horse",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAAAA",
    "BEGIN PRIVATE",
    "BEGIN OPENSSH PRIVATE",
)
"""What makers send as credentials."""
CHANGES: dict[str, dict[str, object]] = {
    "discovery PUT /v1/sources/{source_id}/credential": {"credential": {"password": "correct horse 2"}},
    "discovery PUT /v1/secret-stores/{store_id}/credential": {
        "credential": {"role_id": "role", "secret_id": "correct horse 2"}
    },
    "renewal PUT /v1/authorities/{authority_id}/secrets": {"secrets": {}},
    "provisioner PATCH /v1/targets/{target_id}": {"credential": {"password": "correct horse 2"}},
    "notifier PATCH /v1/channels/{channel_id}": {"secrets": {"signing_secret": PLANTED[1]}},
}
"""Routes by which something gets another secret."""
API_KEY = re.compile(r"evl_[0-9a-f]{48}")


def answered(route: Route) -> Iterator[str]:
    """Yield the dotted paths of all fields that a route's answers may hold."""
    for code, answer in route.operation["responses"].items():
        if code < "300":
            for content in answer.get("content", {}).values():
                yield from fields(content.get("schema", {}), route.document, at="")


def test_no_answer_has_a_field_for_a_secret():
    looking: dict[str, set[str]] = {}
    shown: set[str] = set()
    for route in ROUTES:
        for path in answered(route):
            name = path.rsplit(".", 1)[-1].rstrip("[]")
            if name in SHOWN:
                shown.add(name)
            elif SECRET.search(name):
                looking.setdefault(name, set()).add(str(route))
    assert looking == {}, "Do not show it, or say above why it is no secret."
    assert shown == SHOWN.keys(), "no longer shown"


def test_only_one_answer_holds_an_api_key():
    holding = {str(route) for route in ROUTES for path in answered(route) if path == ".key"}
    public = {"notifier POST /v1/audit-keys"}
    assert holding == {"inventory POST /v1/principals/{principal_id}/api-keys", *public}


async def test_what_was_sent_as_a_secret_never_comes_back_and_is_nowhere_in_clear(estate: Estate):
    made = {make: dict((await kept(estate, make, OURS)).ids) for make in dict.fromkeys(MAKERS.values())}
    answers: dict[str, str] = {}
    for route in ROUTES:
        make = maker(route)
        if str(route) in CHANGES and make is not None:
            answer = await estate.send(route, made[make], body=CHANGES[str(route)])
            assert answer.is_success, answer.text
            answers[str(route)] = answer.text
    assert answers.keys() == CHANGES.keys()
    for route in ROUTES:
        make = maker(route)
        ids = made[make] if make is not None else {}
        goes_out = route.path in ("/v1/host-keys", "/v1/reports")  # asks what is not here
        if route.method == "GET" and route.permission and set(route.ids) <= ids.keys() and not goes_out:
            answer = await estate.send(route, ids)
            assert answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR, answer.text
            answers[str(route)] = answer.text
    assert len(answers) > len(ROUTES) / 3
    for service in estate.services.values():
        async with service.database.read() as session:
            bodies = (await session.scalars(sa.select(OUTBOX.c.body))).all()
        answers[f"events of {service.name}"] = b"\n".join(bodies).decode()
    told = {name for name, text in answers.items() if _planted(text)}
    assert told == set()

    # Nor does a database hold one in clear, not even for a moment.
    files = [path for path in estate.data_dir.glob("*.db*") if path.suffix != ".db-shm"]
    assert len(files) >= len(estate.services)
    held = {path.name for path in files if _planted(path.read_bytes().decode("latin-1"))}
    assert held == set()


def _planted(text: str) -> bool:
    return any(secret in text or json.dumps(secret)[1:-1] in text for secret in PLANTED) or bool(
        API_KEY.search(text)
    )
