"""The checks of depth `full` that say more than a hello: known weaknesses, and HSTS. At most fourteen connections in all."""

from collections.abc import Mapping, Sequence

from services.discovery.domain.sightings import Flaw, Hsts
from services.discovery.domain.targets import Asked
from services.discovery.scanner.flaws import Prober, sound, unchecked
from services.discovery.scanner.hello import Offer
from services.discovery.scanner.hsts import ask_for_hsts
from services.discovery.scanner.look import Asker
from services.discovery.scanner.numbers import SSL3, TLS10, TLS11, TLS12, TLS13
from services.discovery.scanner.parts import Part, side_by_side
from services.discovery.scanner.robot import robot, rsa_suites

OF_HELLOS = ("heartbleed", "ccs-injection", "ticketbleed")
ROBOT = "robot"
_OLD = (TLS12, TLS11, TLS10)


def checks(
    asker: Asker, asked: Asked, suites: Mapping[int, Sequence[int]], *, wants_client_certificate: bool
) -> Part[tuple[dict[str, Flaw], Hsts | None]]:
    """Return what came of each check, by its name, and of the question for HSTS; `suites` are by version."""
    hsts, found, oracle = yield from _three(
        ask_for_hsts(asked, wants_client_certificate=wants_client_certificate),
        _of_hellos(asker, asked, suites),
        _of_key_exchange(asker, asked, suites),
    )
    return {**found, ROBOT: oracle}, hsts


def _three(
    hsts: Part[Hsts | None], found: Part[dict[str, Flaw]], oracle: Part[Flaw]
) -> Part[tuple[Hsts | None, dict[str, Flaw], Flaw]]:
    """Run three parts side by side, each with a result of its own kind."""
    parts: list[Part[Hsts | dict[str, Flaw] | Flaw | None]] = [hsts, found, oracle]
    one, two, three = yield from side_by_side(parts)
    assert one is None or isinstance(one, Hsts)  # noqa: S101 - told to mypy, which sees only the list
    assert isinstance(two, dict)  # noqa: S101 - the same
    assert isinstance(three, Flaw)  # noqa: S101 - the same
    return one, two, three


def _of_hellos(asker: Asker, asked: Asked, suites: Mapping[int, Sequence[int]]) -> Part[dict[str, Flaw]]:
    version = next((each for each in _OLD if suites.get(each)), None)
    if version is None:
        return dict.fromkeys(OF_HELLOS, _without(suites))
    prober = Prober(asker, asked, Offer(version=version, suites=tuple(suites[version]), alpn=()))
    parts = [prober.heartbleed(), prober.ccs_injection(), prober.ticketbleed()]
    return dict(zip(OF_HELLOS, (yield from side_by_side(parts)), strict=True))


def _of_key_exchange(asker: Asker, asked: Asked, suites: Mapping[int, Sequence[int]]) -> Part[Flaw]:
    for version in _OLD:
        offered = rsa_suites(suites.get(version, ()))
        if offered:
            return (yield from robot(asker, asked, Offer(version=version, suites=offered, alpn=())))
    if rsa_suites(suites.get(SSL3, ())) or not suites:
        return _without({})
    return sound("no suite with RSA key exchange is offered")


def _without(suites: Mapping[int, Sequence[int]]) -> Flaw:
    """Return what is known where none of the versions is spoken by which it is asked."""
    if TLS13 in suites and SSL3 not in suites:
        return sound("of TLS 1.2 and older, nothing is spoken")
    return unchecked("only SSL 3.0 or 2.0 is spoken beside what has no such weakness")
