"""Amazon Route 53: public hosted zones, by its API of 2013-04-01.

Its records are changed as whole sets. So that two orders for one name do not undo each other, a set is taken out
exactly as it was read and made anew in the same batch: where it was changed meanwhile, the batch fails, and is made again.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Literal, NoReturn

import anyio.to_thread
import httpx
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from pydantic import Field

from services.renewal.connectors import Network, NotNow
from services.renewal.connectors.dns import DnsPart
from services.renewal.connectors.web import ANSWER_WITHIN, CONNECT_WITHIN, not_now
from shared.aws.errors import error_of
from shared.aws.transport import Calls, Sender, client_of, isolated_session
from shared.errors import Refused
from shared.outbound import guarded_client
from shared.web import trusting

CALLS: Calls = {
    "route53": {
        "list_hosted_zones_by_name": "route53:ListHostedZonesByName",
        "list_resource_record_sets": "route53:ListResourceRecordSets",
        "change_resource_record_sets": "route53:ChangeResourceRecordSets",
    }
}
TTL = 60
TRIES = 5
_REGION = "us-east-1"
"""Where Route 53 is signed for, wherever it is asked (Route 53 endpoints, in the AWS general reference)."""
_CHANGED = "InvalidChangeBatch"
_BUSY = "PriorRequestNotComplete"


class Route53Options(DnsPart):
    """An access key; the secret access key is the secret."""

    kind: Literal["route53"]
    access_key_id: str = Field(
        min_length=16, max_length=128, pattern=r"^\w+$", examples=["AKIAIOSFODNN7EXAMPLE"]
    )
    hosted_zone_id: str | None = Field(
        None,
        pattern=r"^[A-Z0-9]{1,32}$",
        description="Of the one zone, for a key that may not list zones.",
        examples=["Z0123456789ABCDEFGHIJ"],
    )
    api_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#@]+$",
        max_length=500,
        description="In place of AWS's own address: a private endpoint.",
    )
    ca_pem: str | None = Field(None, max_length=20_000, description="Trust `api_url` by these roots too.")


class _Changed(Exception):
    """The set was not as we had read it."""


class Route53:
    """The hosted zones that an access key may change."""

    def __init__(self, client: Any, *, zone_id: str | None) -> None:
        """`client` is botocore's."""
        self._client = client
        self._zone_id = zone_id
        self._zones: dict[str, str] = {}

    async def add(self, name: str, value: str) -> None:
        """Add a value to the name's TXT records. Raises `Refused` or `NotNow`."""
        await self._change(name, value, is_wanted=True)

    async def remove(self, name: str, value: str) -> None:
        """Take the value out of the name's TXT records, if it is there. Raises `Refused` or `NotNow`."""
        await self._change(name, value, is_wanted=False)

    async def _change(self, name: str, value: str, *, is_wanted: bool) -> None:
        zone, quoted = await self._zone_of(name), f'"{value}"'
        for _ in range(TRIES):
            old = await self._record_set(zone, name)
            values = [each["Value"] for each in old["ResourceRecords"]] if old else []
            if (quoted in values) is is_wanted:
                return
            others = [each for each in values if each != quoted]
            try:
                await self._replace(zone, old, _set_of(name, [*others, quoted] if is_wanted else others))
            except _Changed:
                continue
            return
        raise NotNow(f"Route 53's records of {name} are changed by somebody all the time.")

    async def _replace(self, zone: str, old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        changes = [{"Action": "DELETE", "ResourceRecordSet": old}] if old else []
        if new["ResourceRecords"]:
            changes.append({"Action": "CREATE", "ResourceRecordSet": new})
        await self._ask("change_resource_record_sets", HostedZoneId=zone, ChangeBatch={"Changes": changes})

    async def _record_set(self, zone: str, name: str) -> dict[str, Any] | None:
        asked = {"StartRecordName": name, "StartRecordType": "TXT", "MaxItems": "1"}
        found = await self._ask("list_resource_record_sets", HostedZoneId=zone, **asked)
        for each in found["ResourceRecordSets"]:
            if each["Type"] == "TXT" and each["Name"].lower() == name.lower() and "ResourceRecords" in each:
                return dict(each)
        return None

    async def _zone_of(self, name: str) -> str:
        """Return the id of the public zone that is nearest above a name."""
        if self._zone_id is not None:
            return self._zone_id
        labels = name.rstrip(".").split(".")
        for start in range(len(labels) - 1):
            zone = ".".join(labels[start:]) + "."
            if zone not in self._zones:
                self._zones[zone] = await self._zone_named(zone)
            if self._zones[zone]:
                return self._zones[zone]
        raise Refused(
            f"Route 53 has no public hosted zone of {name} that the key may see.",
            next_step="Allow route53:ListHostedZonesByName, or set `hosted_zone_id`.",
        )

    async def _zone_named(self, zone: str) -> str:
        found = await self._ask("list_hosted_zones_by_name", DNSName=zone, MaxItems="100")
        for each in found["HostedZones"]:
            if each["Name"] == zone and not each.get("Config", {}).get("PrivateZone"):
                return str(each["Id"]).rpartition("/")[2]
        return ""

    async def _ask(self, call: str, **parameters: Any) -> dict[str, Any]:
        """Ask. Raises `_Changed`, `Refused` or `NotNow`."""
        action = CALLS["route53"][call]
        try:
            with not_now():
                ask = partial(getattr(self._client, call), **parameters)
                answer: dict[str, Any] = await anyio.to_thread.run_sync(ask)
        except ClientError as error:
            _raise_meaning(error, action=action)
        except (BotoCoreError, ResponseParserError) as error:
            raise NotNow(f"{action} cannot be asked ({type(error).__name__}).") from error
        return answer


def _raise_meaning(error: ClientError, *, action: str) -> NoReturn:
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code == _CHANGED:
        raise _Changed from error
    if code == _BUSY:
        raise NotNow(f"{action}: Route 53 is busy with a change of before.") from error
    with not_now():
        raise error_of(error.response, action=action, where="Route 53")


def _set_of(name: str, values: Sequence[str]) -> dict[str, Any]:
    records = [{"Value": value} for value in values]
    return {"Name": name, "Type": "TXT", "TTL": TTL, "ResourceRecords": records}


@asynccontextmanager
async def open_route53(options: Route53Options, *, secret: str, network: Network) -> AsyncIterator[Route53]:
    """Make a client; nothing is asked yet."""
    http = guarded_client(network.policy, tls=trusting(options.ca_pem) if options.ca_pem else network.tls)
    http.timeout = httpx.Timeout(ANSWER_WITHIN, connect=CONNECT_WITHIN)
    make = partial(
        client_of,
        isolated_session(),
        "route53",
        region=_REGION,
        keys={"aws_access_key_id": options.access_key_id, "aws_secret_access_key": secret},
        endpoint_url=options.api_url,
        sender=Sender(http, seconds=ANSWER_WITHIN),
        calls=CALLS,
    )
    async with http:
        yield Route53(await anyio.to_thread.run_sync(make), zone_id=options.hosted_zone_id)
