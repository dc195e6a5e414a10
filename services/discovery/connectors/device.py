"""What network devices with an HTTPS API have in common: where they are, and how what they hold is told in pages."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from services.discovery.connectors import Check
from services.discovery.connectors.web import NotPermitted
from services.discovery.domain.holdings import Gap, Use
from services.discovery.domain.targets import is_address
from shared import x509
from shared.errors import Invalid, NotFound

PER_PAGE = 100
MOST_CERTIFICATES = 5_000


def device_url(host: str, *, port: int) -> str:
    """Return where the web interface of a host is."""
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


class DeviceSettings(BaseModel):
    """Where a device's API is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(
        pattern=r"^https://[^\s/?#@\\]+/?$",
        max_length=260,
        description="The address of its web interface; a name or IP address, and a port if it is not 443.",
        examples=["https://fw-1.example.com"],
    )
    trusted_ca: str | None = Field(
        None, max_length=100_000, description="PEM of the CA of the web interface, where it is no public one."
    )

    @property
    def host(self) -> str:
        """The device's name: what holds the certificates."""
        return (urlsplit(self.url).hostname or "")[:253]

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its IP address, where that is what it is known by."""
        return (self.host,) if is_address(self.host) else ()


class Survey:
    """Asks for one part of a device after the other, and remembers what may not be read."""

    def __init__(self) -> None:
        self.gaps: list[Gap] = []

    async def ask(self, scope: str, question: Callable[[], Awaitable[Any]], *, nothing: Any) -> Any:
        """Return an answer; or, where there is no such thing or it may not be read, nothing, with a gap for the latter."""
        try:
            return await question()
        except NotFound:
            return nothing
        except NotPermitted as error:
            self.gaps.append(Gap(scope=scope, reason=error.detail, next_step=error.next_step))
            return nothing

    def hides_uses(self, scopes: Iterable[str]) -> bool:
        """Return whether something may be used there that was not seen."""
        return any(
            gap.scope == scope or gap.scope.startswith(f"{scope}/") for gap in self.gaps for scope in scopes
        )

    def checks(self) -> Sequence[Check]:
        """Say what may not be read, or that all may."""
        if not self.gaps:
            return [Check(name="rights", ok=True, text="All that is asked for may be read.")]
        return [Check(name=gap.scope, ok=False, text=f"{gap.reason} {gap.next_step}") for gap in self.gaps]


@dataclass(frozen=True, kw_only=True)
class Part:
    """The paths of one page, and its position."""

    paths: tuple[str, ...]
    position: str | None
    is_first: bool


def parts(paths: Iterable[str], *, after: str | None) -> Iterator[Part]:
    """Cut paths, in their order, into pages after a position; one at least, that may be empty."""
    rest = [path for path in sorted(paths) if after is None or path > after]
    for start in range(0, max(len(rest), 1), PER_PAGE):
        chosen = tuple(rest[start : start + PER_PAGE])
        is_last = start + PER_PAGE >= len(rest)
        yield Part(paths=chosen, position=None if is_last else chosen[-1], is_first=start == 0)


def too_many(count: int, *, most: int = MOST_CERTIFICATES) -> list[Gap]:
    """Return the gap of what is beyond so many."""
    if count <= most:
        return []
    reason = f"There are {count} certificates; {most} are read."
    return [Gap(scope="", reason=reason, next_step="Delete those that are not needed.")]


def chain_of(pem: str) -> tuple[bytes, ...]:
    """Return the certificates of a PEM text. Raises `Invalid` where there is none, or the first cannot be read."""
    chain = tuple(x509.from_pem(pem))
    x509.read(chain[0])
    return chain


def unreadable(path: str, error: Invalid) -> Gap:
    """Return the gap of a certificate that cannot be parsed."""
    return Gap(scope=path, reason=error.detail, next_step="Look at it on the device.")


def served_at(uses: Sequence[Use]) -> tuple[str, ...]:
    """Return the IP addresses that the listeners of these uses name."""
    named = (listener.address for use in uses for listener in use.listeners)
    return tuple(dict.fromkeys(address for address in named if address and is_address(address)))


def word(name: Any) -> str:
    """Return a name that a device says as one plain part of a path, cut to what a path may hold."""
    text = "".join(each if each.isprintable() else "?" for each in str(name))
    return text.replace("/", "%2F")[:200]
