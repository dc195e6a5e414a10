"""All that is configured on a BIG-IP and has to do with certificates, before any of them is looked at."""

from collections import defaultdict
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.discovery.configuration.bigip.objects import Profile, Slot, by_path, slots
from services.discovery.connectors.bigip import objects
from services.discovery.connectors.bigip.objects import Certificate
from services.discovery.connectors.bigip.settings import BigIpSettings
from services.discovery.connectors.web import NotPermitted
from services.discovery.domain.holdings import Gap, Key
from shared.appliances.bigip import ROLE, Session
from shared.errors import NotFound

_VIRTUALS_PER_QUESTION = 100
"""Each comes with its profiles."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What is on the device."""

    certificates: dict[str, Certificate]
    """By path; of those that hold many, only the ones that a profile presents."""
    keys: dict[str, Key]
    slots: dict[str, list[Slot]]
    """By the path of the certificate."""
    named: frozenset[str]
    """What any profile or monitor names, also one that no virtual server uses."""
    used: frozenset[str]
    """What the profiles of virtual servers name: certificates, chains, and what clients are verified against."""
    gaps: tuple[Gap, ...]

    def is_used(self, path: str) -> bool | None:
        """Return whether a certificate is in use: unknown where something names it that a rule may choose."""
        if path in self.used:
            return True
        return None if path in self.named or self.gaps else False


@dataclass
class _Asking:
    """Asks for collections; what may not be read is remembered as a gap."""

    session: Session
    gaps: list[Gap] = field(default_factory=list)

    async def all(
        self, path: str, *, scope: str | None = None, **asked: Any
    ) -> list[tuple[str, dict[str, Any]]]:
        """Return the items of a collection that have a path, sorted by it."""
        found = await self.answer(self.session.all(path, **asked), path, scope=scope) or []
        items = {name: item for item in found if (name := objects.path_of(item))}
        if len(items) < len({str(item.get("fullPath")) for item in found}):
            self.gap(_short(path), "Some of its objects have no plain path.", "Rename them.")
        return sorted(items.items())

    async def answer(self, asked: Awaitable[Any], path: str, *, scope: str | None = None) -> Any:
        """Return an answer; None, and a gap, where it may not be had."""
        try:
            return await asked
        except NotPermitted as error:
            self.gap(_short(path) if scope is None else scope, error.detail, ROLE)
        except NotFound:
            pass  # the module is not there, or the version has no such objects
        return None

    def gap(self, scope: str, reason: str, next_step: str) -> None:
        self.gaps.append(Gap(scope=scope, reason=reason, next_step=next_step))


async def survey(session: Session, *, settings: BigIpSettings) -> Survey:
    """Ask for everything but the certificates themselves. Raises `Refused` and `Unavailable`."""
    asking = _Asking(session)
    certificates = await asking.all(objects.CERTIFICATES, scope="", select=objects.CERTIFICATE_FIELDS)
    keys = await asking.all(objects.KEYS, select=objects.KEY_FIELDS)
    profiles = [
        objects.profile(item, path=path, is_client=kind == objects.CLIENT_PROFILES)
        for kind in (objects.CLIENT_PROFILES, objects.SERVER_PROFILES)
        for path, item in await asking.all(kind, select=objects.PROFILE_FIELDS)
    ]
    virtuals = await asking.all(objects.VIRTUALS, per_question=_VIRTUALS_PER_QUESTION, is_expanded=True)
    addresses = await asking.all(objects.ADDRESSES, select="fullPath,address")
    monitors = await asking.all(objects.MONITORS, select="fullPath,cert")
    await _partitions(asking, settings=settings)
    by_certificate: dict[str, list[Slot]] = defaultdict(list)
    for slot in slots(
        [objects.virtual(item, path=path) for path, item in virtuals],
        profiles=by_path(profiles),
        addresses={path: str(item.get("address")) for path, item in addresses},
    ):
        by_certificate[slot.pair.certificate].append(slot)
    named = {name for profile in by_path(profiles).values() for name in _objects(profile)}
    named |= {name for _, item in monitors for name in objects.named_by_monitor(item)}
    known = [objects.certificate(item, path=path) for path, item in certificates]
    return Survey(
        certificates={each.path: each for each in known},
        keys={path: objects.key(item, path=path) for path, item in keys},
        slots=dict(by_certificate),
        named=frozenset(named),
        used=frozenset(
            name for found in by_certificate.values() for slot in found for name in _objects(slot.profile)
        ),
        gaps=tuple(asking.gaps),
    )


async def _partitions(asking: _Asking, *, settings: BigIpSettings) -> None:
    """Make gaps of the partitions that are there, and that the user does not see: the device passes over them in silence."""
    if settings.all_partitions:
        return
    session, before = asking.session, len(asking.gaps)
    partitions = await asking.answer(
        session.all(objects.PARTITIONS, select="name"), objects.PARTITIONS, scope=""
    )
    path = f"{objects.USERS}/{settings.username}"
    user = await asking.answer(session.get(path, select="partitionAccess"), path, scope="")
    if user is None or partitions is None:
        del asking.gaps[before:]
        asking.gap("", "The device does not tell which partitions the user may read.", _ALL)
        return
    for name in objects.denied_partitions(partitions, user):
        asking.gap(f"/{name}", f"The user has no role in the partition {name}.", _PARTITION)


_ALL = "Set `all_partitions` where the role of the user holds for all of them."
_PARTITION = "Give the user a role in all partitions."


def _objects(profile: Profile) -> Sequence[str]:
    pairs = profile.pairs or ()
    named = [name for pair in pairs for name in (pair.certificate, pair.chain)]
    return [name for name in (*named, profile.trusted_ca) if name]


def _short(path: str) -> str:
    return path.removeprefix("/mgmt/tm/")
