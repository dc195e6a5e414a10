"""What edits and rules make of a certificate, without any database."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inventory.domain.assignments import Assignment, assign
from services.inventory.domain.edits import MOST_TAGS, Changes, Standing, edit
from services.inventory.domain.fields import Definition, FieldKind, Value, shown, value
from services.inventory.domain.slugs import slug_of, tag
from services.inventory.domain.teams import is_circle
from services.inventory.domain.unowned import Queue, Telling, judge
from shared.errors import Invalid
from tests.inventory.ledger import DAY, HOUR, NOON

BY = "person:ada"
NAMES = st.frozensets(st.sampled_from(["a", "b", "c"]))
RULED = Standing(owner="web", set_by="rule:1")
CHOSEN = Standing(owner="web", set_by=BY)


@given(NAMES, NAMES, NAMES)
def test_an_edit_done_twice_is_done_once(
    before: frozenset[str], more: frozenset[str], less: frozenset[str]
) -> None:
    changes = Changes(sets_owner=True, owner="pay", add_tags=more - less, remove_tags=less)
    first = edit(Standing(tags=before), changes, by=BY)
    again = edit(first.standing, changes, by=BY)
    assert not again.is_changed
    assert again.standing == first.standing
    assert first.standing.tags == (before | more) - less


def test_a_person_who_confirms_what_a_rule_has_said_makes_it_their_own() -> None:
    outcome = edit(RULED, Changes(sets_owner=True, owner="web"), by=BY)
    assert outcome.is_changed
    assert outcome.standing == CHOSEN


def test_no_owner_is_nobodys_choice() -> None:
    assert edit(CHOSEN, Changes(sets_owner=True), by=BY).standing == Standing()


def test_what_is_not_named_stays() -> None:
    before = Standing(owner="web", set_by=BY, fields={"a": Value(text="1"), "b": Value(text="2")})
    after = edit(before, Changes(set_fields={"a": None, "c": Value(text="3")}), by="person:eve").standing
    assert (after.owner, after.set_by) == ("web", BY)
    assert after.fields == {"b": Value(text="2"), "c": Value(text="3")}


def test_more_tags_than_a_certificate_may_have_are_refused_and_nothing_is_changed() -> None:
    full = Standing(tags=frozenset(map(str, range(MOST_TAGS))))
    outcome = edit(full, Changes(sets_owner=True, owner="web", add_tags=frozenset({"one"})), by=BY)
    assert (outcome.is_changed, outcome.standing) == (False, full)
    assert outcome.reason == f"it would have more than {MOST_TAGS} tags"


def rule(
    name: str, owner: str | None = None, *, tags: str = "", groups: str = "", overrides: bool = False
) -> Assignment:
    return Assignment(
        id=name,
        owner=owner,
        add_tags=frozenset(tags.split()),
        add_groups=frozenset(groups.split()),
        is_overriding=overrides,
    )


def test_the_first_rule_with_an_owner_decides_and_all_add_tags_and_groups() -> None:
    after = assign(
        Standing(tags=frozenset({"kept"})),
        [rule("0", tags="x", groups="g"), rule("1", "web", tags="y"), rule("2", "pay", groups="h")],
    )
    assert (after.owner, after.set_by) == ("web", "rule:1")
    assert after.tags == frozenset({"kept", "x", "y"})
    assert after.groups == frozenset({"g", "h"})


@pytest.mark.parametrize(
    ("before", "overrides", "owner"),
    [
        (Standing(), False, "pay"),
        (RULED, False, "pay"),
        (CHOSEN, False, "web"),
        (CHOSEN, True, "pay"),
    ],
)
def test_a_rule_changes_what_a_person_has_set_only_where_it_says_so(
    before: Standing, overrides: bool, owner: str
) -> None:
    assert assign(before, [rule("2", "pay", overrides=overrides)]).owner == owner


def test_a_later_overriding_rule_does_not_pass_an_earlier_one_that_matches_too() -> None:
    assert assign(CHOSEN, [rule("1", "pay"), rule("2", "ops", overrides=True)]) == CHOSEN


@given(
    NAMES, st.lists(st.sampled_from([rule("1", "web", tags="a"), rule("2", "pay", groups="g"), rule("3")]))
)
def test_rules_that_are_asked_twice_say_the_same(tags: frozenset[str], matching: list[Assignment]) -> None:
    once = assign(Standing(tags=tags), matching)
    assert assign(once, matching) == once


def test_rules_never_give_more_tags_than_there_may_be() -> None:
    full = Standing(tags=frozenset(f"t{number}" for number in range(MOST_TAGS - 1)))
    assert len(assign(full, [rule("1", tags="x y z")]).tags) == MOST_TAGS


# Fields


@pytest.mark.parametrize(
    ("kind", "raw", "kept"),
    [
        (FieldKind.TEXT, " 4711 ", Value(text="4711")),
        (FieldKind.NUMBER, 3, Value(text="3", number=3.0)),
        (FieldKind.NUMBER, 2.5, Value(text="2.5", number=2.5)),
        (FieldKind.DATE, "2027-03-15", Value(text="2027-03-15")),
        (FieldKind.CHOICE, "prod", Value(text="prod")),
        (FieldKind.BOOLEAN, True, Value(text="true")),
    ],
)
def test_a_value_is_kept_as_its_kind_writes_it(kind: FieldKind, raw: str, kept: Value) -> None:
    field = Definition(name="f", kind=kind, choices=("prod", "test"))
    assert value(field, raw) == kept
    assert value(field, shown(kind, kept)) == kept


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (FieldKind.TEXT, ""),
        (FieldKind.TEXT, "x" * 501),
        (FieldKind.TEXT, "a\x00b"),
        (FieldKind.TEXT, 5),
        (FieldKind.NUMBER, "5"),
        (FieldKind.NUMBER, True),
        (FieldKind.NUMBER, float("nan")),
        (FieldKind.NUMBER, 10**400),
        (FieldKind.DATE, "15.3.2027"),
        (FieldKind.CHOICE, "other"),
        (FieldKind.BOOLEAN, "true"),
        (FieldKind.BOOLEAN, 1),
    ],
)
def test_a_value_of_another_kind_is_refused_with_the_field_and_what_it_takes(
    kind: FieldKind, raw: str
) -> None:
    with pytest.raises(Invalid, match="The field f takes ") as refused:
        value(Definition(name="f", kind=kind, choices=("prod", "test")), raw)
    assert refused.value.faults[0].pointer == "/body/set_fields/f"


# Names


def test_slugs_are_made_of_names() -> None:
    assert slug_of("Payments & Billing (EU)") == "payments-billing-eu"
    assert slug_of("支払い") == ""


@pytest.mark.parametrize("text", ["", "-a", "a b", "a,b", "ä", "a" * 101])
def test_what_is_no_tag_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="is no tag"):
        tag(text)


def test_tags_are_lower_case() -> None:
    assert tag(" Env:Prod ") == "env:prod"


def test_nobody_stands_in_for_oneself_in_the_end() -> None:
    deputies = {"b": "c", "c": "a", "x": None}
    assert is_circle("a", "b", deputies=deputies)
    assert is_circle("q", "b", deputies={"b": "c", "c": "b"})
    assert not is_circle("a", "x", deputies=deputies)
    assert not is_circle("d", "c", deputies=deputies)


# The queue


def look(queue: Queue, count: int, hours: float) -> tuple[Queue, Telling]:
    return judge(queue, count=count, now=NOON + hours * HOUR, patience=DAY, again_after=DAY)


def test_what_nobody_owns_is_told_once_after_a_while_and_once_that_it_is_over() -> None:
    queue, telling = look(Queue(), 3, 0)
    assert (queue.since, telling) == (NOON, Telling.NOTHING)
    told = []
    for hours, count in ((23, 3), (24, 4), (25, 4), (30, 9), (48, 9), (49, 9), (90, 9), (91, 0), (92, 0)):
        queue, telling = look(queue, count, hours)
        told.append((hours, telling.value))
    assert [each for each in told if each[1] != "nothing"] == [(24, "began"), (48, "began"), (91, "ended")]


def test_what_is_over_before_it_was_told_is_not_told() -> None:
    queue, _ = look(Queue(), 1, 0)
    assert look(queue, 0, 30) == (Queue(), Telling.NOTHING)
    assert look(Queue(), 1, 40)[0].since == NOON + timedelta(hours=40)
