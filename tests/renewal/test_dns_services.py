"""dns-01 with every service that keeps zones: a real ACME server looks at what each of them gives."""

import asyncio
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.renewal.connectors import Challenge, NotNow, Pending
from services.renewal.connectors.acme import Acme, AcmeOptions
from services.renewal.connectors.dns.lookup import Lookup, LookupOptions
from services.renewal.connectors.dns.registry import open_records
from shared.errors import Invalid, Refused
from shared.outbound import Policy
from tests.builders import LOOPBACK
from tests.conformance.authorities.acme import AcmeBench, directory
from tests.conformance.authorities.bench import Bench, on_loopback
from tests.servers.acme_dns import AcmeDnsServer
from tests.servers.aws import Aws, shared_aws
from tests.servers.cloudflare import CloudflareServer
from tests.servers.name_server import NameServer, Texts, serving
from tests.servers.pebble import Pebble, PebbleOptions
from tests.servers.tls import LOOPBACK as HERE
from tests.servers.tls import CertificateAuthority

ZONE = "example.test"
TOKEN = "cloudflare-token-of-the-test"
SECRET = "secretaccesskeyoftheteststs"


@dataclass
class World:
    """One ACME server, and the name server it asks, which gives what the service of a test has."""

    pebble: Pebble
    names: NameServer
    sources: list[Texts] = field(default_factory=list)

    def bench(
        self, texts: Texts, dns: dict[str, Any], secret: str | None = None, **network: Any
    ) -> AcmeBench:
        self.sources[:] = [texts]
        lookup = {"resolver": self.names.address, "name_servers": [self.names.address]}
        return AcmeBench(
            kind=Acme,
            options={**directory(self.pebble), "dns": dns, "dns_lookup": lookup},
            secrets={"dns_secret": secret} if secret else {},
            challenge=Challenge.DNS_01,
            network=on_loopback(**network),
            left_over=lambda name: list(texts(f"_acme-challenge.{name}")),
            pebble=self.pebble,
        )


@pytest.fixture(scope="module")
def _world(tmp_path_factory: pytest.TempPathFactory, lab_ca: CertificateAuthority) -> Iterator[World]:
    sources: list[Texts] = []

    def texts(name: str) -> Sequence[str]:
        return [value for source in sources for value in source(name)]

    with serving(texts) as names:
        options = PebbleOptions(dns_server=names.address)
        pebble = Pebble(tmp_path_factory.mktemp("pebble"), options=options, ca=lab_ca)
        pebble.start()
        yield World(pebble, names, sources)
        pebble.close()


@pytest.fixture
def world(_world: World) -> World:
    """The one of this module, as it was at first."""
    _world.names.cnames.clear()
    _world.names.is_silent = False
    return _world


@pytest.fixture
def cloudflare(tmp_path: Path, lab_ca: CertificateAuthority) -> Iterator[CloudflareServer]:
    context = lab_ca.issue(*HERE).server_context(tmp_path / "cloudflare")
    server = CloudflareServer(token=TOKEN, zones=(ZONE, "other.test"), context=context)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def acme_dns() -> Iterator[AcmeDnsServer]:
    server = AcmeDnsServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def aws() -> Aws:
    aws = shared_aws()
    aws.reset()
    return aws


def at_cloudflare(server: CloudflareServer, ca: CertificateAuthority, **more: Any) -> dict[str, Any]:
    return {"kind": "cloudflare", "api_url": server.api_url, "ca_pem": ca.pem.decode(), **more}


async def issues(bench: Bench, *names: str) -> None:
    request = bench.request(*names)
    bench.check(request, await bench.issue(request))


async def test_cloudflare_shows_a_name_and_its_wildcard_and_keeps_nothing(
    world: World, cloudflare: CloudflareServer, lab_ca: CertificateAuthority
) -> None:
    bench = world.bench(cloudflare.texts, at_cloudflare(cloudflare, lab_ca), TOKEN)
    await issues(bench, "cf.example.test", "*.cf.example.test")
    assert sum(asked.method == "POST" for asked in cloudflare.asked) == 2
    assert not cloudflare.records


async def test_a_token_for_one_zone_need_not_list_zones(
    world: World, cloudflare: CloudflareServer, lab_ca: CertificateAuthority
) -> None:
    zone_id = next(key for key, name in cloudflare.zones.items() if name == ZONE)
    bench = world.bench(cloudflare.texts, at_cloudflare(cloudflare, lab_ca, zone_id=zone_id), TOKEN)
    await issues(bench, "zone.example.test")
    assert not any(asked.path.endswith("/zones") for asked in cloudflare.asked)


async def test_cloudflare_that_refuses_the_token_says_what_it_needs_and_never_the_token(
    world: World, cloudflare: CloudflareServer, lab_ca: CertificateAuthority
) -> None:
    bench = world.bench(cloudflare.texts, at_cloudflare(cloudflare, lab_ca), "wrong-token")
    with pytest.raises(Refused, match="403") as caught:
        await bench.issue(bench.request("wrong.example.test"))
    assert "Zone:DNS:Edit" in caught.value.next_step
    assert "wrong-token" not in str(caught.value)


async def test_a_zone_that_cloudflare_does_not_have_is_refused(
    world: World, cloudflare: CloudflareServer, lab_ca: CertificateAuthority
) -> None:
    cloudflare.zones.clear()
    bench = world.bench(cloudflare.texts, at_cloudflare(cloudflare, lab_ca), TOKEN)
    with pytest.raises(Refused, match=r"no zone of _acme-challenge\.none\.example\.test"):
        await bench.issue(bench.request("none.example.test"))


async def test_cloudflare_that_is_asked_too_often_is_asked_again_when_it_says(
    world: World, cloudflare: CloudflareServer, lab_ca: CertificateAuthority
) -> None:
    cloudflare.busy = 100
    bench = world.bench(cloudflare.texts, at_cloudflare(cloudflare, lab_ca), TOKEN)
    with pytest.raises(NotNow, match="429") as caught:
        await bench.issue(bench.request("busy.example.test"))
    assert caught.value.retry_after == timedelta(seconds=7)


def registered(server: AcmeDnsServer) -> tuple[dict[str, Any], str]:
    made = server.register()
    dns = {
        "kind": "acme-dns",
        "url": server.url,
        "fulldomain": made.fulldomain,
        "subdomain": made.subdomain,
        "username": made.username,
    }
    return dns, made.password


async def test_acme_dns_shows_a_name_that_is_delegated_to_it(world: World, acme_dns: AcmeDnsServer) -> None:
    dns, password = registered(acme_dns)
    world.names.cnames["_acme-challenge.ad.example.test"] = "alias.example.test"
    world.names.cnames["alias.example.test"] = dns["fulldomain"]
    bench = world.bench(acme_dns.texts, dns, password)
    await issues(bench, "ad.example.test", "*.ad.example.test")
    assert len(acme_dns.texts(dns["fulldomain"])) == 2


async def test_a_name_that_does_not_lead_to_the_registration_is_refused(
    world: World, acme_dns: AcmeDnsServer
) -> None:
    dns, password = registered(acme_dns)
    bench = world.bench(acme_dns.texts, dns, password)
    with pytest.raises(Refused, match="is not the name of the acme-dns registration") as caught:
        await bench.issue(bench.request("ad.example.test"))
    assert dns["fulldomain"] in caught.value.next_step


async def test_acme_dns_that_takes_the_login_no_more_is_refused(
    world: World, acme_dns: AcmeDnsServer
) -> None:
    dns, _ = registered(acme_dns)
    world.names.cnames["_acme-challenge.ad.example.test"] = dns["fulldomain"]
    bench = world.bench(acme_dns.texts, dns, "x" * 40)
    with pytest.raises(Refused, match="401, forbidden"):
        await bench.issue(bench.request("ad.example.test"))


@pytest.mark.parametrize("kind", ["acme-dns", "cloudflare", "route53", "rfc2136"])
async def test_no_service_is_asked_where_the_policy_does_not_let_us(kind: str) -> None:
    url = "https://127.0.0.1:9"
    given: dict[str, dict[str, Any]] = {
        "acme-dns": {"url": url, "fulldomain": "x.test", "subdomain": "x", "username": "u"},
        "cloudflare": {"api_url": url},
        "route53": {"api_url": url, "access_key_id": "AKIAIOSFODNN7EXAMPLE"},
        "rfc2136": {"server": "127.0.0.1", "port": 9, "zone": "x.test", "key_name": "k"},
    }
    options = AcmeOptions.model_validate({"directory_url": url, "dns": {"kind": kind, **given[kind]}}).dns
    assert options is not None
    closed = replace(on_loopback(), policy=Policy())
    async with open_records(options, secret="c2VjcmV0", network=closed) as records:
        with pytest.raises(NotNow, match="outbound policy"):
            await records.add("x.test.", "v" * 43)


class HostedZones:
    """The zones of an account at AWS, as its name servers give them."""

    def __init__(self, aws: Aws) -> None:
        self.client = aws.client("route53", "us-east-1")
        self.ids = {name: self._made(name) for name in (ZONE, f"sub.{ZONE}")}

    def _made(self, name: str) -> str:
        zone = self.client.create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]
        return str(zone["Id"])

    def texts(self, name: str) -> list[str]:
        return [
            record["Value"].strip('"')
            for zone in self.ids.values()
            for found in self.client.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
            if found["Type"] == "TXT" and found["Name"] == f"{name}."
            for record in found["ResourceRecords"]
        ]

    def put(self, zone: str, name: str, *values: str) -> None:
        record_set = {
            "Name": name,
            "Type": "TXT",
            "TTL": 300,
            "ResourceRecords": [{"Value": f'"{value}"'} for value in values],
        }
        change = {"Action": "UPSERT", "ResourceRecordSet": record_set}
        self.client.change_resource_record_sets(
            HostedZoneId=self.ids[zone], ChangeBatch={"Changes": [change]}
        )


def at_aws(aws: Aws) -> dict[str, Any]:
    return {"kind": "route53", "access_key_id": "AKIAIOSFODNN7EXAMPLE", "api_url": aws.url}


async def test_route_53_shows_names_in_the_nearest_zone_beside_what_is_there(world: World, aws: Aws) -> None:
    zones = await asyncio.to_thread(HostedZones, aws)
    kept = "_acme-challenge.www.sub.example.test"
    await asyncio.to_thread(zones.put, f"sub.{ZONE}", kept, "somebody else's")
    bench = world.bench(zones.texts, at_aws(aws), SECRET)
    await issues(bench, "www.sub.example.test", "shop.example.test")
    assert await asyncio.to_thread(zones.texts, kept) == ["somebody else's"]
    assert not await asyncio.to_thread(zones.texts, "_acme-challenge.shop.example.test")


async def test_route_53_without_the_zone_or_the_right_is_refused(world: World, aws: Aws) -> None:
    bench = world.bench(lambda _name: [], at_aws(aws), SECRET)
    with pytest.raises(Refused, match="no public hosted zone"):
        await bench.issue(bench.request("none.example.test"))
    await asyncio.to_thread(
        aws.fail, "route53:GET /2013-04-01/hostedzonesbyname", code="AccessDenied", status=403, times=1
    )
    with pytest.raises(Refused, match="ListHostedZonesByName in Route 53 is denied") as caught:
        await bench.issue(bench.request("none.example.test"))
    assert "Allow route53:ListHostedZonesByName" in caught.value.next_step


class Program:
    """A program as an operator may write one: it keeps records as files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "update-dns"
        self.records = folder / "records"
        self.records.mkdir()
        self.path.write_text(f"""#!/bin/sh
[ "$EVERLEAF_DNS_SECRET" = "{SECRET}" ] || {{ echo "the secret $EVERLEAF_DNS_SECRET is wrong" >&2; exit 3; }}
[ -z "$HOME" ] || exit 4
case "$1" in
present) touch -- "{self.records}/$2=$3" ;;
cleanup) rm -f -- "{self.records}/$2=$3" ;;
esac
""")
        self.path.chmod(stat.S_IRWXU)

    def texts(self, name: str) -> list[str]:
        return [each.name.partition("=")[2] for each in self.records.glob(f"{name}.=*")]

    def options(self) -> dict[str, Any]:
        return {"kind": "command", "program": self.path.name}


@pytest.fixture
def update_dns(tmp_path: Path) -> Program:
    return Program(tmp_path)


async def test_a_program_of_the_operators_shows_names(world: World, update_dns: Program) -> None:
    bench = world.bench(update_dns.texts, update_dns.options(), SECRET, commands=update_dns.path.parent)
    await issues(bench, "run.example.test", "*.run.example.test")
    assert not list(update_dns.records.iterdir())


async def test_a_program_that_no_operator_has_named_is_not_run(world: World, update_dns: Program) -> None:
    bench = world.bench(update_dns.texts, update_dns.options(), SECRET)
    options, terms = AcmeOptions.model_validate(bench.options), bench.request("run.example.test").terms
    other = {**bench.options, "dns": {"kind": "command", "program": "another"}}
    for given, network in (
        (options, bench.network),
        (AcmeOptions.model_validate(other), replace(bench.network, commands=update_dns.path.parent)),
    ):
        with pytest.raises(Invalid, match=r"[Pp]rogram"):
            Acme.check_terms(given, terms=terms, network=network)
    with pytest.raises(Invalid, match="Programs are not run here") as caught:
        await bench.issue(bench.request("run.example.test"))
    assert "EVERLEAF_RENEWAL_COMMANDS" in caught.value.next_step


async def test_a_program_that_fails_says_why_without_its_secret(world: World, update_dns: Program) -> None:
    bench = world.bench(update_dns.texts, update_dns.options(), "hunter2", commands=update_dns.path.parent)
    with pytest.raises(NotNow, match="ended with 3: the secret … is wrong"):
        await bench.issue(bench.request("run.example.test"))


class Slow:
    """A zone whose servers give a record when they are asked for it often enough."""

    def __init__(self, after: int) -> None:
        self.left = after
        self.values: set[str] = set()

    def texts(self, name: str) -> list[str]:
        if not name.startswith("_acme-challenge.slow"):
            return []
        self.left -= 1
        return sorted(self.values) if self.left < 0 else []


@pytest.fixture
def slow(world: World, update_dns: Program, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], AcmeBench]:
    """Benches whose records take a while to be seen."""

    def made(after: int) -> AcmeBench:
        zone = Slow(after)

        async def run(_self: object, verb: str, _name: str, value: str) -> None:
            (zone.values.add if verb == "present" else zone.values.discard)(value)

        monkeypatch.setattr("services.renewal.connectors.dns.command.Command._run", run)
        return world.bench(
            zone.texts, {"kind": "command", "program": update_dns.path.name}, commands=update_dns.path.parent
        )

    return made


async def test_the_authority_is_told_when_every_server_gives_the_record(
    slow: Callable[[int], AcmeBench],
) -> None:
    await issues(slow(3), "slow.example.test")


async def test_a_record_that_is_never_seen_is_given_up_and_the_order_begins_anew(
    slow: Callable[[int], AcmeBench],
) -> None:
    bench = slow(1000)
    with pytest.raises(NotNow, match="do not give it") as caught:
        await patiently(bench)
    assert caught.value.starts_over
    assert not bench.left_over("slow.example.test")


async def patiently(bench: Bench) -> None:
    """Go on with an order, where ten minutes pass as soon as there is something to wait for."""
    request, state, ahead = bench.request("slow.example.test"), None, timedelta()
    async with bench.opened() as authority:
        for _ in range(20):
            told = await authority.advance(request, state=state, resumed=False, now=datetime.now(UTC) + ahead)
            bench.keep(told)
            state = told.state
            ahead = timedelta(minutes=10) if told.retry_after else ahead


def lookup(names: NameServer, *, allow: Sequence[str] = LOOPBACK, **options: Any) -> Lookup:
    given = LookupOptions.model_validate({"resolver": names.address, **options})
    return Lookup(given, own=None, policy=Policy(allow=allow), port=names.port)


async def given(looking: Lookup, name: str, value: str) -> bool:
    now = datetime.now(UTC)
    return await looking.is_given(name, value, since=now, now=now)


async def test_the_servers_of_a_zone_are_found_and_all_of_them_asked(world: World) -> None:
    world.sources[:] = [lambda name: ["there"] if name == "_acme-challenge.x.example.test" else []]
    assert await given(lookup(world.names), "_acme-challenge.x.example.test.", "there")
    assert not await given(lookup(world.names), "_acme-challenge.x.example.test.", "else")
    assert ("example.test", "NS") in world.names.asked


async def test_servers_that_say_nothing_do_not_count_and_one_has_to_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.renewal.connectors.dns.servers.TIMEOUT", 0.5)
    world.sources[:] = [lambda _name: ["there"]]
    silent = "127.0.0.1:1"
    mixed = lookup(world.names, name_servers=[silent, world.names.address])
    assert await given(mixed, "x.example.test.", "there")
    assert not await given(lookup(world.names, name_servers=[silent]), "x.example.test.", "there")


async def test_servers_where_the_policy_does_not_let_us_look_are_not_asked(world: World) -> None:
    with pytest.raises(NotNow, match="outbound policy"):
        await given(lookup(world.names, allow=()), "x.example.test.", "there")
    with pytest.raises(NotNow, match="outbound policy"):
        await lookup(world.names, allow=()).target("x.example.test.")


async def test_a_wait_takes_the_place_of_looking(world: World) -> None:
    looking, now = lookup(world.names, wait=60), datetime.now(UTC)
    early, late = now + timedelta(seconds=59), now + timedelta(seconds=60)
    assert not await looking.is_given("x.example.test.", "v", since=now, now=early)
    assert await looking.is_given("x.example.test.", "v", since=now, now=late)


async def test_names_that_lead_in_circles_are_tried_again_later_and_may_be_left_alone(world: World) -> None:
    world.names.cnames |= {"a.example.test": "b.example.test", "b.example.test": "a.example.test"}
    with pytest.raises(NotNow, match="come to no end"):
        await lookup(world.names).target("a.example.test.")
    assert await lookup(world.names, follow=False).target("a.example.test.") == "a.example.test."


async def test_a_resolver_that_says_nothing_is_asked_again_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.renewal.connectors.dns.lookup.LIFETIME", 0.2)
    world.names.is_silent = True
    with pytest.raises(NotNow, match="cannot be looked up") as caught:
        await lookup(world.names).target("x.example.test.")
    assert "dns_lookup.resolver" in caught.value.next_step


async def test_an_update_goes_where_the_name_is_delegated_to(world: World, update_dns: Program) -> None:
    """The zone of the name itself is not touched, and the challenge is taken away where it was put."""
    world.names.cnames["_acme-challenge.far.example.test"] = "far.validation.test"
    bench = world.bench(update_dns.texts, update_dns.options(), SECRET, commands=update_dns.path.parent)
    await issues(bench, "far.example.test")
    assert ("far.validation.test", "TXT") in world.names.asked
    assert not list(update_dns.records.iterdir())


async def test_a_record_is_taken_away_where_it_was_put_though_its_name_leads_elsewhere_since(
    world: World, update_dns: Program
) -> None:
    name = "_acme-challenge.moved.example.test"
    world.names.cnames[name] = "first.validation.test"
    bench = world.bench(update_dns.texts, update_dns.options(), SECRET, commands=update_dns.path.parent)
    request, state = bench.request("moved.example.test"), None
    while not update_dns.texts("first.validation.test"):
        async with bench.opened() as authority:
            told = await bench.step(authority, request, state, resumed=False)
        assert isinstance(told, Pending)
        bench.keep(told)
        state = told.state
    world.names.cnames[name] = "second.validation.test"
    with pytest.raises(NotNow):
        await bench.issue(request, state)
    assert not list(update_dns.records.iterdir())
