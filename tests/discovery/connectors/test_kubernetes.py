"""Clusters: what uses a secret, what may not be read, lists that expire, and every way to log in."""

import base64
import json
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.discovery.connectors.kubernetes import KubernetesCluster
from services.discovery.connectors.kubernetes.options import KubernetesSettings
from services.discovery.domain.holdings import Gap, Holding, Listener, Page
from shared.clouds import kubernetes as login
from shared.clouds.kubernetes import KubernetesCredential
from shared.errors import Invalid, Refused, Unavailable
from shared.x509 import fingerprint
from tests.discovery.workshops import Workshop, access_to
from tests.discovery.workshops.kubernetes import RESOURCES, TOKEN, USER, Cluster, tls_data, workshop
from tests.servers import tls
from tests.servers.api import Asked, Told
from tests.servers.kubernetes import KubernetesApi
from tests.servers.tls import LOOPBACK, CertificateAuthority, Issued

GATEWAY_API = "gateway.networking.k8s.io"
HOW_TO = Path(__file__).parents[3] / "docs" / "how-to" / "read-a-kubernetes-cluster.md"


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A cluster whose login may list everything everywhere."""
    async with workshop(tmp_path) as opened:
        assert isinstance(opened, Cluster)
        opened.server.allow(USER, *RESOURCES, "certificaterequests.cert-manager.io")
        yield opened


async def pages(
    cluster: Workshop,
    *,
    after: str | None = None,
    credential: dict[str, Any] | None = None,
    pod_account: bool = True,
    **settings: Any,
) -> list[Page]:
    given = dict(cluster.settings) | {"namespaces": None} | settings
    access = access_to(
        cluster,
        pod_account=pod_account,
        settings=KubernetesSettings.model_validate(given),
        credential=KubernetesCredential.model_validate(
            dict(cluster.credential) if credential is None else credential
        ),
    )
    async with KubernetesCluster.open(access) as source, aclosing(source.read(after=after)) as found:
        return [page async for page in found]


async def read(cluster: Workshop, **changes: Any) -> tuple[dict[str, Holding], list[Gap]]:
    found = await pages(cluster, **changes)
    holdings = {each.path: each for page in found for each in page.holdings}
    return holdings, [each for page in found for each in page.gaps]


def put_secret(cluster: Cluster, namespace: str, name: str, **changes: str) -> str:
    issued = cluster.authority.issue(f"{name}.test")
    data = {**tls_data(issued), **changes}
    cluster.server.put("secrets", namespace, name, type="kubernetes.io/tls", data=data)
    return issued.fingerprint


def put_ingress(cluster: Cluster, name: str = "site", **tls: Any) -> None:
    cluster.server.put(
        "ingresses.networking.k8s.io",
        "shop",
        name,
        spec={"tls": [{"hosts": ["Shop.Example.com"], "secretName": "front"} | tls]},
        status={"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}, {"hostname": "lb.example.net"}]}},
    )


def put_gateway(cluster: Cluster, *listeners: dict[str, Any], resolved: str | None = None) -> None:
    status: dict[str, Any] = {"addresses": [{"type": "IPAddress", "value": "203.0.113.9"}]}
    if resolved:
        conditions = [{"type": "ResolvedRefs", "status": resolved}]
        status["listeners"] = [{"name": each["name"], "conditions": conditions} for each in listeners]
    cluster.server.put(
        f"gateways.{GATEWAY_API}", "web", "edge", spec={"listeners": list(listeners)}, status=status
    )


def https_listener(**reference: str) -> dict[str, Any]:
    tls = {"mode": "Terminate", "certificateRefs": [{"name": "front", **reference}]}
    return {"name": "https", "port": 8443, "protocol": "HTTPS", "hostname": "*.Example.com", "tls": tls}


def put_certificate(cluster: Cluster, **status: Any) -> None:
    cluster.server.put(
        "certificates.cert-manager.io",
        "shop",
        "front-cert",
        spec={"secretName": "front", "dnsNames": ["Shop.example.com"]},
        status={"conditions": [{"type": "Ready", "status": "True"}], "revision": 2} | status,
    )


async def test_an_ingress_says_hosts_and_addresses_of_its_secret(cluster: Cluster):
    put_secret(cluster, "shop", "front")
    put_ingress(cluster)
    holdings, gaps = await read(cluster)
    held = holdings["secrets/shop/front"]
    assert gaps == []
    assert (held.address, held.format, held.in_use) == ("kubernetes:test", "kubernetes-secret", True)
    assert held.addresses == ("203.0.113.7",)
    (use,) = held.uses
    assert (use.product, use.file, use.server_names) == (
        "ingress",
        "ingresses/shop/site",
        ("shop.example.com",),
    )
    assert use.listeners == (
        Listener(port=443, address="203.0.113.7"),
        Listener(port=443, address="lb.example.net"),
    )


async def test_a_secret_that_nothing_names_may_be_used_all_the_same(cluster: Cluster):
    put_secret(cluster, "shop", "lonely")
    holdings, _ = await read(cluster)
    assert holdings["secrets/shop/lonely"].in_use is None


async def test_a_gateways_listener_says_name_and_port_and_passthrough_uses_nothing(cluster: Cluster):
    put_secret(cluster, "web", "front")
    through = {
        "name": "through",
        "port": 9443,
        "protocol": "TLS",
        "tls": {"mode": "Passthrough", "certificateRefs": None},
    }
    put_gateway(cluster, https_listener(), through)
    holdings, _ = await read(cluster)
    (use,) = holdings["secrets/web/front"].uses
    assert (use.product, use.file) == ("gateway", "gateways/web/edge/listeners/https")
    assert use.server_names == ("*.example.com",)
    assert use.listeners == (Listener(port=8443, address="203.0.113.9"),)


def put_grant(cluster: Cluster, *, namespace: str = "web", **to: str) -> None:
    spec = {
        "from": [{"group": GATEWAY_API, "kind": "Gateway", "namespace": namespace}],
        "to": [{"group": "", "kind": "Secret"} | to],
    }
    cluster.server.put(f"referencegrants.{GATEWAY_API}", "shop", "grant", spec=spec)


@pytest.mark.parametrize("to", [{}, {"name": "front"}])
async def test_a_reference_grant_lets_a_gateway_use_a_secret_of_another_namespace(
    cluster: Cluster, to: dict[str, str]
):
    put_secret(cluster, "shop", "front")
    put_gateway(cluster, https_listener(namespace="shop"))
    put_grant(cluster, **to)
    holdings, gaps = await read(cluster)
    assert [use.product for use in holdings["secrets/shop/front"].uses] == ["gateway"]
    assert gaps == []


@pytest.mark.parametrize(
    "grant", [None, {"name": "other"}, {"namespace": "elsewhere"}, {"kind": "ConfigMap"}]
)
async def test_without_a_reference_grant_it_is_told_and_is_no_use(
    cluster: Cluster, grant: dict[str, str] | None
):
    put_secret(cluster, "shop", "front")
    put_gateway(cluster, https_listener(namespace="shop"), resolved="True")
    if grant is not None:
        put_grant(cluster, **grant)
    holdings, (gap,) = await read(cluster)
    assert holdings["secrets/shop/front"].uses == ()
    assert (gap.scope, gap.is_absent) == ("secrets/shop/front", True)
    assert "ReferenceGrant" in gap.reason


@pytest.mark.parametrize(("resolved", "products"), [("True", ["gateway"]), ("False", []), (None, [])])
async def test_where_grants_may_not_be_read_the_controllers_word_counts(
    cluster: Cluster, resolved: str | None, products: list[str]
):
    put_secret(cluster, "shop", "front")
    put_gateway(cluster, https_listener(namespace="shop"), resolved=resolved)
    cluster.server.deny(USER, f"referencegrants.{GATEWAY_API}")
    holdings, gaps = await read(cluster)
    assert [use.product for use in holdings["secrets/shop/front"].uses] == products
    assert any(gap.scope == "referencegrants" for gap in gaps)


async def test_cert_manager_keeps_a_secret_and_does_not_serve_it(cluster: Cluster):
    put_secret(cluster, "shop", "front")
    put_certificate(cluster)
    holdings, gaps = await read(cluster)
    held = holdings["secrets/shop/front"]
    assert [(use.product, use.server_names, use.listeners) for use in held.uses] == [
        ("cert-manager", ("shop.example.com",), ())
    ]
    assert held.in_use is None
    assert gaps == []


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            {"conditions": [{"type": "Ready", "status": "False", "reason": "Failed", "message": "no quota"}]},
            "no quota",
        ),
        ({"lastFailureTime": "2026-11-01T00:00:00Z", "failedIssuanceAttempts": 4}, "4 times"),
    ],
)
async def test_what_cert_manager_could_not_issue_or_renew_is_told_and_hides_nothing(
    cluster: Cluster, status: dict[str, Any], words: str
):
    put_secret(cluster, "shop", "front")
    put_certificate(cluster, **status)
    holdings, (gap,) = await read(cluster)
    assert words in gap.reason
    assert (gap.scope, gap.is_absent) == ("certificates/shop/front-cert", True)
    assert "secrets/shop/front" in holdings


def put_request(cluster: Cluster, *, revision: int) -> str:
    issued = cluster.authority.issue(f"r{revision}.test")
    cluster.server.put(
        "certificaterequests.cert-manager.io",
        "shop",
        f"front-cert-{revision}",
        annotations={
            "cert-manager.io/certificate-name": "front-cert",
            "cert-manager.io/certificate-revision": str(revision),
        },
        status={"certificate": base64.b64encode(issued.chain_pem).decode()},
    )
    return issued.fingerprint


async def test_without_secrets_certificates_are_known_as_cert_manager_issued_them(cluster: Cluster):
    cluster.server.deny(USER, "secrets")
    put_secret(cluster, "shop", "front")
    put_certificate(cluster)
    put_ingress(cluster)
    put_ingress(cluster, "other", secretName="by-hand")
    fingerprints = [put_request(cluster, revision=number) for number in (1, 2, 3)]
    holdings, gaps = await read(cluster, read_secrets=False)
    (held,) = holdings.values()
    assert (held.path, held.format, held.key) == ("secrets/shop/front", "cert-manager", None)
    assert fingerprint(held.chain[0]) == fingerprints[1]
    assert held.in_use is True
    assert [(gap.scope, gap.is_absent) for gap in gaps] == [("secrets/shop/by-hand", False)]
    assert not [asked for asked in cluster.server.api.asked if "secrets" in asked.path]


async def test_only_tls_secrets_are_asked_for_and_always_in_parts(cluster: Cluster):
    put_secret(cluster, "shop", "front")
    cluster.server.put("secrets", "shop", "password", type="Opaque", data={"tls.crt": "c2VjcmV0"})
    holdings, _ = await read(cluster)
    assert set(holdings) == {"secrets/shop/front"}
    asked = [each for each in cluster.server.api.asked if each.path.endswith("/secrets")]
    assert asked
    assert {each.query["fieldSelector"] for each in asked} == {"type=kubernetes.io/tls"}
    assert all(0 < int(each.query["limit"]) <= 100 for each in asked)


async def test_a_server_that_gives_other_secrets_all_the_same_is_not_listened_to(cluster: Cluster):
    cluster.server.put(
        "secrets", "shop", "password", type="Opaque", data=tls_data(cluster.authority.issue("a.test"))
    )

    def without_selector(asked: Asked, told: Told) -> Told:
        if asked.path.endswith("/secrets"):
            object_ = {"metadata": {"name": "password", "namespace": "shop"}, "type": "Opaque", "data": {}}
            return Told(document={"metadata": {}, "items": [object_]})
        return told

    cluster.server.api.twist = without_selector
    assert await read(cluster) == ({}, [])


@pytest.mark.parametrize("gives_token", [True, False])
async def test_a_list_that_expires_in_the_middle_loses_nothing_and_repeats_nothing(
    cluster: Cluster, *, gives_token: bool
):
    put = cluster.put(230)
    cluster.server.gives_token_when_expired = gives_token

    def expire(asked: Asked, told: Told) -> Told:
        if asked.path.endswith("/secrets") and told.status == 200 and "continue" not in asked.query:
            cluster.server.compact()
        return told

    if gives_token:
        cluster.server.api.twist = expire
    else:  # only the first list expires: the next one is read to its end
        expired: list[Asked] = []

        def expire_once(asked: Asked, told: Told) -> Told:
            if asked.path.endswith("/secrets") and not expired:
                expired.append(asked)
                cluster.server.compact()
            return told

        cluster.server.api.twist = expire_once
    found = [each.path for page in await pages(cluster) for each in page.holdings]
    assert sorted(found) == sorted(put)
    assert any(each.query.get("continue") for each in cluster.server.api.asked)


@pytest.mark.parametrize("gives_token", [True, False])
async def test_reading_goes_on_though_the_list_expired_while_nobody_read(
    cluster: Cluster, *, gives_token: bool
):
    put = cluster.put(230)
    first, second, *_ = await pages(cluster)
    cluster.server.compact()
    cluster.server.gives_token_when_expired = gives_token
    rest = [each.path for page in await pages(cluster, after=second.position) for each in page.holdings]
    assert sorted(rest) == sorted(set(put) - {each.path for each in (*first.holdings, *second.holdings)})


async def test_lists_that_expire_for_ever_end_the_run(cluster: Cluster):
    cluster.put(120)

    def expired(asked: Asked, told: Told) -> Told:
        return Told(status=410, document={"kind": "Status"}) if asked.path.endswith("/secrets") else told

    cluster.server.api.twist = expired
    with pytest.raises(Unavailable, match="again and again"):
        await pages(cluster)


async def test_secrets_that_are_too_large_together_are_read_in_smaller_parts(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
):
    put = cluster.put(60)
    monkeypatch.setattr("shared.web.MOST_BYTES", 40_000)
    holdings, gaps = await read(cluster)
    assert holdings.keys() == put.keys()
    assert gaps == []


async def test_resources_that_are_not_installed_are_no_gap_even_without_rights(cluster: Cluster):
    put_secret(cluster, "shop", "front")
    cluster.server.crds.clear()
    for resource in RESOURCES[2:]:
        cluster.server.deny(USER, resource)
    holdings, gaps = await read(cluster)
    assert (set(holdings), gaps) == ({"secrets/shop/front"}, [])


async def test_an_older_gateway_api_is_read_too(cluster: Cluster):
    put_secret(cluster, "web", "front")
    put_gateway(cluster, https_listener())
    cluster.server.gateway_versions = ("v1beta1",)
    holdings, _ = await read(cluster)
    assert holdings["secrets/web/front"].in_use is True


async def test_a_denied_list_names_verb_resource_and_namespace(cluster: Cluster):
    put_secret(cluster, "shop", "front")
    cluster.server.deny(USER, "ingresses.networking.k8s.io")
    cluster.server.deny(USER, "ingresses.networking.k8s.io", namespace="web")
    _, gaps = await read(cluster, namespaces=["web", "shop"])
    (gap,) = gaps
    assert gap.scope == "ingresses/web"
    assert gap.reason.startswith("list ingresses.networking.k8s.io in web is denied.")
    assert USER in gap.reason


@pytest.mark.parametrize("namespaces", [None, ["shop"]])
async def test_a_secret_that_is_named_and_not_there_is_told(cluster: Cluster, namespaces: list[str] | None):
    cluster.put(101)
    put_ingress(cluster, secretName="tls-0000-not")
    put_ingress(cluster, "second", secretName="zzz")
    _, gaps = await read(cluster, namespaces=namespaces)
    assert sorted((gap.scope, gap.is_absent) for gap in gaps) == [
        ("secrets/shop/tls-0000-not", True),
        ("secrets/shop/zzz", True),
    ]


async def test_a_secret_of_a_namespace_that_is_not_read_is_a_gap(cluster: Cluster):
    put_gateway(cluster, https_listener(namespace="shop"), resolved="True")
    _, (gap,) = await read(cluster, namespaces=["web"])
    assert (gap.scope, gap.is_absent) == ("secrets/shop/front", False)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "crt", ["%%%", b64("hello"), b64("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")]
)
async def test_a_certificate_that_cannot_be_read_is_a_gap_of_its_own(cluster: Cluster, crt: str):
    put_secret(cluster, "shop", "broken", **{"tls.crt": crt})
    put_secret(cluster, "shop", "good")
    holdings, (gap,) = await read(cluster)
    assert set(holdings) == {"secrets/shop/good"}
    assert (gap.scope, gap.is_absent) == ("secrets/shop/broken", False)


async def test_a_key_is_matched_and_goes_nowhere(cluster: Cluster):
    other = cluster.authority.issue("other.test")
    put_secret(cluster, "shop", "good")
    put_secret(cluster, "shop", "mixed", **{"tls.key": base64.b64encode(other.key_pem).decode()})
    put_secret(cluster, "shop", "odd", **{"tls.key": b64("no key")})
    holdings, _ = await read(cluster)
    keys = {path: each.key for path, each in holdings.items()}
    assert {path: key and key.is_match for path, key in keys.items()} == {
        "secrets/shop/good": True,
        "secrets/shop/mixed": False,
        "secrets/shop/odd": None,
    }
    told = repr(holdings)
    assert "PRIVATE KEY" not in told
    assert b64("no key") not in told


async def test_objects_that_are_not_as_the_api_defines_them_are_gaps(cluster: Cluster):
    put_secret(cluster, "shop", "good")

    def odd(asked: Asked, told: Told) -> Told:
        if asked.path.endswith("/ingresses"):
            spec = {"tls": [{"hosts": ["a\x00b"], "secretName": "good"}]}
            items = [
                {"metadata": {"name": "c", "namespace": "b"}, "spec": spec},
                {"metadata": {"name": "a", "namespace": "b"}, "spec": {"tls": "x"}},
                7,
                {"metadata": None},
            ]
            return Told(document={"metadata": {}, "items": items})
        return told

    cluster.server.api.twist = odd
    holdings, gaps = await read(cluster)
    assert set(holdings) == {"secrets/shop/good"}
    assert [gap.scope for gap in gaps] == ["ingresses/b/c", "ingresses/b/a", "ingresses", "ingresses"]


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"items": 7},
        {"metadata": {"continue": 'x"\\'}, "items": []},
        {"metadata": {"continue": "x" * 5000}, "items": []},
        {"metadata": 1, "items": []},
    ],
)
async def test_an_answer_that_is_no_list_is_no_usable_answer(cluster: Cluster, document: object):
    cluster.server.api.twist = lambda asked, told: (
        Told(document=document) if "secrets" in asked.path else told
    )
    with pytest.raises(Unavailable, match="no list of objects"):
        await pages(cluster)


async def test_a_client_certificate_logs_in_and_leaves_no_file(cluster: Cluster, tmp_path: Path):
    put_secret(cluster, "shop", "front")
    context = cluster.authority.issue(*LOOPBACK).server_context(tmp_path / "mtls")
    context.load_verify_locations(cadata=cluster.authority.pem.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    server = KubernetesApi(context=context)
    server.allow("reader", *RESOURCES)
    server.put(
        "secrets", "shop", "front", type="kubernetes.io/tls", data=tls_data(cluster.authority.issue("f.test"))
    )
    client = client_certificate(cluster.authority, "reader")
    credential = {"client_certificate": client.chain_pem.decode(), "client_key": client.key_pem.decode()}
    server.api.start()
    try:
        holdings, _ = await read(cluster, server=server.api.url, credential=credential)
        with pytest.raises(Invalid, match="cannot be used with this key"):
            await read(
                cluster,
                server=server.api.url,
                credential=credential | {"client_key": cluster.authority.issue("x").key_pem.decode()},
            )
    finally:
        server.api.stop()
    assert set(holdings) == {"secrets/shop/front"}
    assert not [name for name in map(_target, Path("/proc/self/fd").iterdir()) if "memfd:everleaf" in name]


def client_certificate(authority: CertificateAuthority, name: str) -> Issued:
    key, now = tls.new_key(), datetime.now(UTC)
    builder = tls._builder(
        subject=tls._name(name), key=key, start=now - timedelta(hours=1), end=now + timedelta(days=1)
    )
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    return Issued(certificate=authority._sign(builder.add_extension(usage, critical=False)), key=key)


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


def kubeconfig(cluster: Cluster, *, user: dict[str, Any] | None = None, **of_cluster: Any) -> str:
    ca = base64.b64encode(cluster.authority.pem).decode()
    told = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "main",
        "contexts": [
            {"name": "main", "context": {"cluster": "c", "user": "u"}},
            {"name": "plugin", "context": {"cluster": "c", "user": "p"}},
        ],
        "clusters": [
            {
                "name": "c",
                "cluster": {"server": cluster.server.api.url, "certificate-authority-data": ca} | of_cluster,
            }
        ],
        "users": [
            {"name": "u", "user": {"token": TOKEN} if user is None else user},
            {"name": "p", "user": {"exec": {"command": "aws"}}},
        ],
    }
    return yaml.safe_dump(told)


async def by_kubeconfig(cluster: Cluster, text: str, **settings: Any) -> dict[str, Holding]:
    changes = {"server": None, "trusted_ca": None, **settings}
    return (await read(cluster, credential={"kubeconfig": text}, **changes))[0]


async def test_a_kubeconfig_logs_in(cluster: Cluster):
    put_secret(cluster, "shop", "front")
    assert set(await by_kubeconfig(cluster, kubeconfig(cluster))) == {"secrets/shop/front"}
    with pytest.raises(Invalid, match="`exec`, which runs a program"):
        await by_kubeconfig(cluster, kubeconfig(cluster), context="plugin")


@pytest.mark.parametrize(
    ("user", "of_cluster", "words"),
    [
        ({"auth-provider": {"name": "gcp"}}, {}, "runs a program"),
        ({"tokenFile": "/etc/passwd"}, {}, "names a file"),
        ({"client-certificate": "/a", "client-key": "/b"}, {}, "names a file"),
        (None, {"certificate-authority": "/etc/ssl/ca.pem"}, "names a file"),
        (None, {"insecure-skip-tls-verify": True}, "not verified"),
        (None, {"proxy-url": "http://proxy"}, "proxy-url"),
        (None, {"server": "http://plain.example"}, "https"),
        ({"token": "two\nlines"}, {}, "printable"),
        ({"username": "a", "password": "b"}, {}, "username"),
        ({}, {}, "neither a token nor"),
    ],
)
async def test_a_kubeconfig_that_would_run_or_open_something_is_refused(
    cluster: Cluster, user: dict[str, Any] | None, of_cluster: dict[str, Any], words: str
):
    with pytest.raises(Invalid, match=words):
        await by_kubeconfig(cluster, kubeconfig(cluster, user=user, **of_cluster))


@pytest.mark.parametrize(
    "text", ["{", "- a", "users: 7", "!!python/object/apply:os.system [id]", "users:\n- hunter2: [\n"]
)
def test_what_is_no_kubeconfig_is_refused_without_being_quoted(text: str):
    with pytest.raises(ValueError, match="kubeconfig") as refused:
        KubernetesCredential.model_validate({"kubeconfig": text})
    said = str([each["msg"] for each in refused.value.errors()])  # type: ignore[attr-defined]  # pydantic's
    assert "hunter2" not in said
    assert "os.system" not in said


@pytest.mark.parametrize(
    "credential",
    [{"token": "a b"}, {"token": "x", "kubeconfig": "kind: Config"}, {"client_key": "x"}, {"password": "x"}],
)
def test_a_credential_is_one_whole_thing(credential: dict[str, str]):
    with pytest.raises(ValueError, match=r"token|belong together|permitted"):
        KubernetesCredential.model_validate(credential)


async def test_in_the_cluster_the_pods_token_is_read_again_where_it_was_refused(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    account = tmp_path / "serviceaccount"
    account.mkdir()
    (account / "ca.crt").write_bytes(cluster.authority.pem)
    (account / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setattr(login, "SERVICE_ACCOUNT", account)
    monkeypatch.setattr(login, "IN_CLUSTER", cluster.server.api.url)
    put = cluster.put(120)

    def rotate(asked: Asked, told: Told) -> Told:
        if asked.path.endswith("/secrets") and asked.bearer == TOKEN:
            (account / "token").write_text("eyJhbGciOiJSUzI1NiJ9.next.c2ln")
            cluster.server.tokens = {"eyJhbGciOiJSUzI1NiJ9.next.c2ln": USER}
        return told

    cluster.server.api.twist = rotate
    given: dict[str, Any] = {"credential": {}, "server": None, "trusted_ca": None, "in_cluster": True}
    holdings, _ = await read(cluster, **given)
    assert holdings.keys() == put.keys()
    with pytest.raises(Invalid, match="is the credential"):
        await read(cluster, **{**given, "credential": {"token": TOKEN}})
    with pytest.raises(Invalid, match="EVERLEAF_DISCOVERY_POD_ACCOUNT"):
        await read(cluster, **given, pod_account=False)
    (account / "token").unlink()
    with pytest.raises(Invalid, match="in a pod"):
        await read(cluster, **given)


async def test_without_in_cluster_the_pods_account_is_never_used(cluster: Cluster):
    with pytest.raises(Invalid, match="no credential"):
        await read(cluster, credential={})


async def test_a_refused_token_is_asked_with_once(cluster: Cluster):
    with pytest.raises(Refused):
        await pages(cluster, credential={"token": "nobody"})
    assert len(cluster.server.api.asked) == 1


async def test_only_the_clusters_own_ca_is_trusted(cluster: Cluster):
    other = CertificateAuthority("other").pem.decode()
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await read(cluster, trusted_ca=other)


def roles() -> list[set[tuple[str, str, str]]]:
    """What the roles in the how-to allow: group, resource and verb."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", HOW_TO.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [
        {
            (group, resource, verb)
            for rule in yaml.safe_load(block)["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }
        for block in blocks
    ]


@pytest.mark.parametrize(("number", "settings"), [(0, {}), (1, {"read_secrets": False})])
async def test_the_role_of_the_how_to_is_exactly_what_is_asked(
    cluster: Cluster, number: int, settings: dict[str, Any]
):
    put_secret(cluster, "shop", "front")
    put_gateway(cluster, https_listener(namespace="shop"))
    await read(cluster, **settings)
    given = dict(cluster.settings) | {"namespaces": None} | settings
    async with KubernetesCluster.open(
        access_to(cluster, settings=KubernetesSettings.model_validate(given))
    ) as source:
        checks = await source.check()
    assert [check.text for check in checks if not check.ok] == []
    asked = set()
    for each in cluster.server.api.asked:
        assert each.method == "GET"
        if found := re.fullmatch(r"/(?:api|apis/(?P<group>[^/]+))/v[^/]+/(?P<resource>[a-z]+)", each.path):
            verb = "watch" if each.query.get("watch") else "list"
            asked.add((found["group"] or "", found["resource"], verb))
        else:
            assert each.path in ("/apis", "/version")
    assert asked == roles()[number]


async def test_texts_of_a_login_hold_no_secret(cluster: Cluster):
    settings = KubernetesSettings.model_validate(dict(cluster.settings))
    told = repr(login.login_of(settings, KubernetesCredential.model_validate({"token": TOKEN})))
    assert TOKEN not in told
    assert TOKEN not in json.dumps(settings.model_dump())
