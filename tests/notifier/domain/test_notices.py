"""The words of a notice."""

from datetime import timedelta

import pytest

from services.notifier.domain.alerts import Details
from services.notifier.domain.evidence import display_name, place_text
from services.notifier.domain.notices import MOST_PLACES, Turn, headline, resolved_headline
from shared.events.discovery import Place
from shared.events.notifier import Severity
from tests.notifier.notices import notice
from tests.notifier.workshop import NOON


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(days=3), "expires in 3 days"),
        (timedelta(minutes=61), "expires in 1 hour"),
        (timedelta(), "expired less than a minute ago"),
        (-timedelta(days=2), "expired 2 days ago"),
    ],
)
def test_a_headline_says_how_long_is_left(left: timedelta, words: str) -> None:
    details = Details(not_after=NOON + left)
    assert headline("expiring", name="a.test", details=details, now=NOON) == f"a.test {words}"


@pytest.mark.parametrize(
    ("problem", "details", "words"),
    [
        ("stale", Details(place_count=1), "a.test: 1 place still serves the old certificate"),
        ("stale", Details(place_count=2), "a.test: 2 places still serve the old certificate"),
        ("renewal-failed", Details(attempt=2), "a.test could not be renewed (attempt 2)"),
        (
            "deployment-failed",
            Details(attempt=1, target="web-1"),
            "a.test could not be put in place on web-1 (attempt 1)",
        ),
        ("channel-dead", Details(), "The channel a.test does not deliver"),
    ],
)
def test_every_problem_has_its_words(problem: str, details: Details, words: str) -> None:
    assert headline(problem, name="a.test", details=details, now=NOON) == words


def test_a_resolution_says_what_was_seen() -> None:
    assert (
        resolved_headline("expiring", name="a.test") == "a.test: the new certificate was seen at every place"
    )
    assert resolved_headline("channel-dead", name="mail") == "The channel mail delivers again"


def test_a_title_begins_with_the_severity_or_with_what_it_is() -> None:
    assert notice(severity=Severity.ERROR).title.startswith("[Everleaf] ERROR: ")
    assert notice(turn=Turn.RESOLVED).title.startswith("[Everleaf] RESOLVED: ")
    assert notice(turn=Turn.TEST).title.startswith("[Everleaf] TEST: ")


def test_a_resolution_asks_nobody_to_do_anything() -> None:
    labels = [fact.label for fact in notice(turn=Turn.RESOLVED).facts()]
    assert "What to do" not in labels
    assert "What to do" in [fact.label for fact in notice().facts()]


def test_many_places_are_counted_and_not_all_listed() -> None:
    places = tuple(f"192.0.2.{number}:443" for number in range(200))
    (listed,) = [
        fact.texts
        for fact in notice(details=Details(places=places, place_count=4000)).facts()
        if fact.label == "Places"
    ]
    assert len(listed) == MOST_PLACES + 1
    assert listed[-1] == f"… and {4000 - MOST_PLACES} more"


@pytest.mark.parametrize(
    ("names", "otherwise", "name"),
    [
        (["*.a.test", "www.a.test"], None, "www.a.test"),
        (["*.a.test"], "CN=x", "*.a.test"),
        ([], "CN=x", "CN=x"),
        ([], None, None),
    ],
)
def test_a_certificate_is_called_by_its_first_plain_name(
    names: list[str], otherwise: str | None, name: str | None
) -> None:
    assert display_name(names, otherwise=otherwise) == name


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (Place(address="192.0.2.1", port=443, server_name="a.test"), "192.0.2.1:443 as a.test"),
        (Place(address="2001:db8::1", port=25, starttls="smtp"), "[2001:db8::1]:25 (smtp)"),
        (Place(kind="store", address="web-1", path="/etc/tls/a.pem"), "web-1: /etc/tls/a.pem"),
    ],
)
def test_a_place_is_written_for_people(place: Place, words: str) -> None:
    assert place_text(place) == words
