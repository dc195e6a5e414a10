"""Who is told by which rule, and when."""

from datetime import timedelta
from typing import Any

import pytest

from services.notifier.domain.facts import Facts
from services.notifier.domain.plans import Plan
from services.notifier.domain.routing import (
    Concern,
    Gathering,
    Reachable,
    Routing,
    Telling,
    first_level,
    matching,
    tellings,
)
from shared.events.inventory import Contact, Owner
from shared.events.notifier import Severity
from tests.notifier.workshop import NOON

NIGHT = NOON + timedelta(hours=10)
OWNER = Owner(
    id="payments",
    name="Payments",
    contacts=[Contact(kind="email", value="pay@example.test"), Contact(kind="phone", value="+49 30 1")],
    deputies=[Contact(kind="email", value="platform@example.test")],
)
FACTS = Facts(names=("pay.shop.example.test",), issuer="CN=R11,O=Let's Encrypt", owner=OWNER)


def rule(
    min_severity: Severity = Severity.WARNING,
    *problems: str,
    channels: frozenset[str] | None = None,
    groups: frozenset[str] = frozenset(),
    identity: str = "rule",
    **plan: Any,
) -> Routing:
    """Return a rule."""
    return Routing(
        id=identity,
        min_severity=min_severity,
        problems=frozenset(problems),
        channels=channels,
        groups=groups,
        plan=Plan.model_validate(plan),
    )


def told(
    rules: list[Routing],
    *,
    enabled: dict[str, Reachable],
    groups: frozenset[str] = frozenset(),
    facts: Facts = FACTS,
    severity: Severity = Severity.ERROR,
    at_night: bool = False,
) -> dict[str, Telling]:
    """Return what is told of an expiring certificate."""
    concern = Concern(problem="expiring", severity=severity, groups=groups, facts=facts)
    steps = [(each, first_level(each)) for each in matching(rules, concern)]
    return tellings(steps, concern, enabled=enabled, now=NIGHT if at_night else NOON)


ANY = Reachable(groups=frozenset())
MAIL = Reachable(
    groups=frozenset(), reaches="email", gathering=Gathering(burst=20, window=timedelta(minutes=1))
)


@pytest.mark.parametrize(
    ("rules", "channels"),
    [
        ([], []),
        ([rule()], ["a", "b"]),
        ([rule(Severity.CRITICAL)], []),
        ([rule(Severity.ERROR, channels=frozenset({"b"}))], ["b"]),
        ([rule(Severity.INFO, "stale")], []),
        ([rule(Severity.INFO, "stale", "expiring", channels=frozenset({"a", "gone"}))], ["a"]),
        ([rule(Severity.CRITICAL), rule(channels=frozenset({"a"}))], ["a"]),
    ],
)
def test_an_alert_goes_to_the_channels_that_some_rule_names(
    rules: list[Routing], channels: list[str]
) -> None:
    assert list(told(rules, enabled={"a": ANY, "b": ANY})) == channels


IN_WEB, IN_MAIL = frozenset({"web"}), frozenset({"mail"})
GROUPED = {"all": ANY, "web": Reachable(groups=IN_WEB), "mail": Reachable(groups=IN_MAIL)}


@pytest.mark.parametrize(
    ("rules", "groups", "channels"),
    [
        ([rule()], frozenset(), ["all"]),
        ([rule()], IN_WEB, ["all", "web"]),
        ([rule()], IN_WEB | IN_MAIL, ["all", "web", "mail"]),
        ([rule(channels=frozenset({"mail"}))], IN_WEB, []),
        ([rule(groups=IN_MAIL)], IN_WEB, []),
        ([rule(groups=IN_MAIL)], frozenset(), []),
        ([rule(groups=IN_MAIL)], IN_MAIL, ["mail"]),
        ([rule(groups=IN_MAIL, channels=frozenset({"all"}))], IN_MAIL, ["all"]),
        ([rule(groups=IN_MAIL)], IN_WEB | IN_MAIL, ["mail"]),
    ],
)
def test_channels_and_rules_that_are_in_groups_hear_of_nothing_in_others(
    rules: list[Routing], groups: frozenset[str], channels: list[str]
) -> None:
    assert list(told(rules, groups=groups, enabled=GROUPED)) == channels


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({}, True),
        ({"names": ["*.shop.example.test"]}, True),
        ({"names": ["PAY.shop.example.test"]}, True),
        ({"names": ["shop.example.test", "*.other.test"]}, False),
        ({"issuers": ["*let's encrypt*"]}, True),
        ({"issuers": ["*DigiCert*"]}, False),
        ({"owners": ["payments"]}, True),
        ({"owners": ["platform"]}, False),
        ({"owners": ["Payments"], "names": ["*.other.test"]}, False),
    ],
)
def test_a_rule_is_for_the_lineages_that_fit_all_that_it_asks(match: dict[str, Any], fits: bool) -> None:
    assert bool(told([rule(match=match)], enabled={"a": ANY})) is fits


def test_what_is_not_known_of_a_lineage_fits_nothing_that_is_asked() -> None:
    asking = [rule(match={"owners": ["*"]}), rule(match={"names": ["*"]})]
    assert told(asking, enabled={"a": ANY}, facts=Facts()) == {}


@pytest.mark.parametrize(
    ("address", "facts", "addressed", "is_own"),
    [
        ("channel", FACTS, set(), True),
        ("owner", FACTS, {"pay@example.test"}, False),
        ("deputy", FACTS, {"platform@example.test"}, False),
        ("owner", Facts(), set(), True),
        ("deputy", Facts(owner=Owner(id="x", name="X")), set(), True),
    ],
)
def test_an_owner_is_reached_by_mail_and_where_nobody_is_known_the_channel_s_own_recipients_are(
    address: str, facts: Facts, addressed: set[str], is_own: bool
) -> None:
    found = told([rule(address=address)], enabled={"mail": MAIL, "hook": ANY}, facts=facts)
    assert (set(found["mail"].addressed), found["mail"].is_own) == (addressed, is_own)
    assert (set(found["hook"].addressed), found["hook"].is_own) == (set(), True), "a hook cannot be addressed"


def test_what_two_rules_send_through_one_channel_is_told_once_to_all_that_either_names() -> None:
    found = told([rule(address="owner"), rule()], enabled={"mail": MAIL})["mail"]
    assert found.is_own
    assert found.addressed == {"pay@example.test"}


@pytest.mark.parametrize(("severity", "waits"), [(Severity.ERROR, True), (Severity.CRITICAL, False)])
def test_what_is_not_urgent_waits_for_business_hours(severity: Severity, waits: bool) -> None:
    at_work = rule(hours={"zone": "UTC"})
    found = told([at_work], enabled={"a": ANY}, severity=severity, at_night=True)["a"]
    assert found.at == (NIGHT + timedelta(hours=10) if waits else NIGHT)


def test_the_earliest_of_several_rules_decides_and_a_digest_is_one_only_where_all_say_so() -> None:
    daily, now = rule(digest_every="P1D"), rule(identity="other")
    alone = told([daily], enabled={"mail": MAIL, "hook": ANY})
    assert alone["mail"].digest_every == timedelta(days=1)
    assert alone["mail"].at == NOON + timedelta(hours=12)
    assert alone["hook"].digest_every is None, "machines want each"
    assert told([daily, now], enabled={"mail": MAIL})["mail"] == Telling(at=NOON)


def test_a_rule_with_thresholds_tells_of_expiring_ones_when_one_is_crossed_and_only_then() -> None:
    ladder = rule(Severity.INFO, thresholds=["30d"])
    concern = Concern(problem="expiring", severity=Severity.CRITICAL, groups=frozenset(), facts=FACTS)
    assert matching([ladder], concern) == []
    assert matching([ladder], concern, crossed={"rule"}) == [ladder]
    stale = Concern(problem="stale", severity=Severity.ERROR, groups=frozenset(), facts=FACTS)
    assert matching([ladder], stale) == [ladder]


@pytest.mark.parametrize(
    ("is_automated", "is_late", "problem", "is_told"),
    [
        (True, False, "expiring", False),
        (True, True, "expiring", True),
        (False, False, "expiring", True),
        (True, False, "renewal-failed", True),
    ],
)
def test_what_renewal_does_by_itself_and_in_time_is_told_nobody(
    is_automated: bool, is_late: bool, problem: str, is_told: bool
) -> None:
    facts = FACTS.model_copy(update={"is_automated": is_automated})
    concern = Concern(
        problem=problem, severity=Severity.ERROR, groups=frozenset(), facts=facts, is_late=is_late
    )
    assert bool(matching([rule(is_quiet_while_automated=True)], concern)) is is_told


@pytest.mark.parametrize(
    "wrong",
    [
        {"thresholds": ["soon"]},
        {"thresholds": ["30d", "30d"]},
        {"escalation": [{"after": "PT4H"}, {"after": "PT1H"}]},
        {"repeat_every": "PT1S"},
        {"hours": {"zone": "Nowhere"}},
        {"colour": "red"},
        {"match": {"serial": ["1"]}},
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Plan.model_validate(wrong)
