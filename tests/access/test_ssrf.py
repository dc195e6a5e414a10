"""Whatever address a user may name: none of them leads inside, and no connection is even begun."""

import re
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
from pydantic import BaseModel

from services.discovery.connectors.registry import KINDS, SECRET_STORES
from services.notifier.connectors.registry import CHANNELS
from services.provisioner.connectors.registry import TARGETS
from services.renewal.connectors.registry import AUTHORITIES
from shared.outbound import Policy
from tests.access.estate import Estate, running
from tests.conformance.authorities import ROWS
from tests.conformance.authorities.bench import Power

ADDRESS = re.compile(r"(^|_)(url|uri|host|server|endpoint|vault|authority|issuer)(_url|$)")
"""What a setting is called that says where to connect to."""
Json = dict[str, Any]


class Trap:
    """A listener on loopback that counts who comes."""

    def __init__(self) -> None:
        self.came = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.came += 1
                connection.close()

    def close(self) -> None:
        self._listener.close()


Attempt = Callable[[str, int], tuple[Json, Json]]
"""From a host and a port, settings that lead there and a credential."""


def by_url(field: str, credential: Json, **others: Any) -> Attempt:
    return lambda host, port: ({field: f"https://{host}:{port}", **others}, credential)


def by_host(credential: Json, **others: Any) -> Attempt:
    return lambda host, port: ({"host": host, "port": port, **others}, credential)


TOKEN, PASSWORD = {"token": "t" * 20}, {"password": "p"}
_UUID = "01890a5d-ac96-474b-bcce-b302099a8057"
AWS = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "s" * 40}
SOURCES: Mapping[tuple[str, str], Attempt] = {
    ("f5-bigip", "host"): by_host(PASSWORD, username="u"),
    ("citrix-adc", "host"): by_host(PASSWORD, username="u"),
    ("vault-pki", "url"): by_url("url", TOKEN),
    ("ejbca", "url"): by_url("url", TOKEN, authorities=["A"]),
    ("fortigate", "url"): by_url("url", TOKEN),
    ("pan-os", "url"): by_url("url", {"api_key": "k" * 20}),
    ("kubernetes", "server"): by_url("server", TOKEN, cluster="c"),
    ("azure-key-vault", "vault"): by_url("vault", {"client_secret": "s"}, tenant=_UUID, client_id=_UUID),
    ("aws", "endpoint_url"): by_url("endpoint_url", AWS, regions=["eu-central-1"]),
    ("step-ca", "host"): by_host(PASSWORD, name="n", username="u"),
}
STORES: Mapping[tuple[str, str], Attempt] = {
    ("vault-kv", "url"): by_url("url", TOKEN),
    ("aws-secrets-manager", "endpoint_url"): by_url("endpoint_url", AWS, region="eu-central-1"),
}
CHANNELS_TRIED: Mapping[tuple[str, str], Attempt] = {
    ("webhook", "url"): by_url("url", {"signing_secret": "whsec_" + "a" * 32}),
    ("email", "host"): by_host({}, **{"from": "a@b.test", "to": ["c@d.test"], "security": "starttls"}),
    ("snmp", "host"): by_host({"community": "c"}, version="2c"),
    ("servicenow-incident", "url"): by_url("url", PASSWORD, username="u"),
    ("servicenow-change", "url"): by_url("url", {"client_secret": "s"}, client_id="c"),
    ("servicenow-event", "url"): by_url("url", PASSWORD, username="u"),
    ("jira", "url"): by_url("url", TOKEN, project="OPS", username="u"),
    ("pagerduty", "url"): by_url("url", {"routing_key": "k" * 32}),
    ("opsgenie", "url"): by_url("url", {"api_key": "k"}),
    ("slack-bot", "url"): by_url("url", TOKEN, channel="C012AB3CD"),
    ("syslog", "host"): by_host({}),
    ("siem", "url"): by_url("url", {"credential": "c"}),
}
ACCOUNT = {"username": "u", "password": "p"}
TARGETS_TRIED: Mapping[tuple[str, str], Attempt] = {
    ("kubernetes-secret", "server"): by_url("server", TOKEN),
    ("kubernetes-ingress", "server"): by_url("server", TOKEN),
    ("kubernetes-gateway", "server"): by_url("server", TOKEN),
    ("aws-acm", "endpoint_url"): by_url("endpoint_url", AWS, region="eu-central-1"),
    ("aws-elbv2", "endpoint_url"): by_url("endpoint_url", AWS, region="eu-central-1"),
    ("aws-cloudfront", "endpoint_url"): by_url("endpoint_url", AWS, region="eu-central-1"),
    ("aws-secrets-manager", "endpoint_url"): by_url("endpoint_url", AWS, region="eu-central-1"),
    ("azure-key-vault", "vault"): by_url("vault", {"client_secret": "s"}, tenant=_UUID, client_id=_UUID),
    ("vault-kv", "url"): by_url("url", TOKEN),
    ("webhook", "url"): by_url("url", {"signing_secret": "whsec_" + "a" * 32}, key_delivery="tls"),
    ("f5-bigip", "url"): by_url("url", ACCOUNT),
    ("citrix-adc", "url"): by_url("url", ACCOUNT),
    ("pan-os", "url"): by_url("url", ACCOUNT),
    ("fortigate", "url"): by_url("url", TOKEN),
}
SECRET_ADDRESSES: Mapping[tuple[str, str], Attempt] = {
    (kind, "url"): lambda host, port: ({}, {"url": f"https://{host}:{port}/hook"})
    for kind in ("slack", "teams")
}
"""Of channels whose address is the secret."""
_BY_SSH = "SSH goes where the lists of the scanner let it, not by HTTP: tests/discovery/test_sources_api.py"
EXPLAINED = {
    **{
        (row.kind.kind, name): "asked when something is ordered: tests/conformance/authorities"
        for row in ROWS.values()
        for name in row.kind.options_type.model_fields
        if Power.STOP in row.powers and ADDRESS.search(name)
    },
    ("cmp", "url"): "asked when something is ordered, by the same client: tests/conformance/authorities",
    ("scep", "url"): "asked when something is ordered, by the same client: tests/conformance/authorities",
    ("linux-ssh", "host"): _BY_SSH,
    ("windows-ssh", "host"): _BY_SSH,
    ("adcs", "host"): _BY_SSH,
    ("azure-key-vault", "authority"): "asked when the vault wants a token, by the same client",
    (
        "google-certificate-manager",
        "token_uri",
    ): "needs a service account: tests/discovery/connectors/test_google.py",
    (
        "google-certificate-manager",
        "certificate_manager_url",
    ): "asked with the token of `token_uri`, by the same client",
    ("google-certificate-manager", "compute_url"): "asked with the token of `token_uri`, by the same client",
}


def named_addresses() -> Iterator[tuple[str, str]]:
    """Yield kind and name of every setting that says where to connect to."""
    kinds: list[tuple[str, type[BaseModel]]] = [
        *((kind.kind, kind.settings_type) for kind in KINDS),
        *((kind.kind, kind.settings_type) for kind in SECRET_STORES),
        *((kind.kind, kind.options_type) for kind in CHANNELS),
        *((kind.kind, kind.options_type) for kind in AUTHORITIES),
        *((kind.kind, kind.options_type) for kind in TARGETS),
    ]
    for kind, model in kinds:
        yield from ((kind, name) for name in model.model_fields if ADDRESS.search(name))


def test_every_setting_that_names_an_address_is_tried_or_explained():
    tried = {*SOURCES, *STORES, *CHANNELS_TRIED, *TARGETS_TRIED}
    assert set(named_addresses()) == tried | EXPLAINED.keys()


@pytest.fixture(scope="module")
async def estate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Estate]:
    """The five services, which may reach what is public and nothing else."""
    async with running(tmp_path_factory.mktemp("outside"), outbound=Policy()) as opened:
        yield opened


@pytest.fixture(scope="module")
def trap() -> Iterator[Trap]:
    """One that nobody must fall into."""
    opened = Trap()
    yield opened
    opened.close()


async def ask(estate: Estate, service: str, what: str, body: Json, then: str) -> str:
    """Make something, have it tried, and return all that was answered."""
    resource = what.removeprefix("/v1/")
    permissions = [f"{resource}:write"]
    made = await estate.ask(service, "POST", what, permissions=permissions, body=body)
    if not made.is_success:
        return made.text
    tried = await estate.ask(service, "POST", f"{what}/{made.json()['id']}/{then}", permissions=permissions)
    return made.text + tried.text


HOSTS = ("127.0.0.1", "localhost", "169.254.169.254")
EVERY = [
    *(("discovery", "/v1/sources", "check", key, attempt) for key, attempt in SOURCES.items()),
    *(("discovery", "/v1/secret-stores", "check", key, attempt) for key, attempt in STORES.items()),
    *(("notifier", "/v1/channels", "test", key, attempt) for key, attempt in CHANNELS_TRIED.items()),
    *(("provisioner", "/v1/targets", "check", key, attempt) for key, attempt in TARGETS_TRIED.items()),
    *(("notifier", "/v1/channels", "test", key, attempt) for key, attempt in SECRET_ADDRESSES.items()),
]


@pytest.mark.parametrize(
    ("service", "path", "then", "key", "attempt"),
    EVERY,
    ids=[" ".join((each[1], *each[3])) for each in EVERY],
)
async def test_an_address_inside_is_not_connected_to(
    estate: Estate, trap: Trap, service: str, path: str, then: str, key: tuple[str, str], attempt: Attempt
):
    for number, host in enumerate(HOSTS):
        settings, credential = attempt(host, trap.port)
        body: Json = {"name": f"{key[0]} {key[1]} {number}", "kind": key[0]}
        if service == "discovery":
            body |= {"settings": settings, "credential": credential}
        elif service == "provisioner":
            body |= {"options": settings, "credential": credential}
        else:
            body |= {"options": settings, "secrets": credential}
        said = await ask(estate, service, path, body, then)
        assert "outbound policy" in said, f"{host}: {said}"
    assert trap.came == 0
