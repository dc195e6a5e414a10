from datetime import UTC, datetime

import pytest

from services.inventory.domain.query import Order, Position, counted, cursor, parse_order, position
from services.inventory.domain.query.orders import MOST_COUNTED
from shared.errors import Invalid

AT = datetime(2026, 3, 3, 12, 0, 0, 1, tzinfo=UTC)


def test_a_minus_turns_an_order_round():
    assert parse_order("EXPIRES") == Order(field="expires")
    assert str(parse_order("-key.size")) == "-key.size"


@pytest.mark.parametrize("text", ["", "-", "--expires", "names", "place.port", "expires desc"])
def test_what_cannot_be_sorted_by_is_refused_with_what_can(text: str):
    with pytest.raises(Invalid) as raised:
        parse_order(text)
    assert "key.size" in raised.value.next_step


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("expires", AT),
        ("key.size", 2048),
        ("subject", "CN=é"),
        ("subject", ""),
        ("seen", None),
        ("expires", None),
    ],
)
def test_a_page_begins_where_the_one_before_has_ended(field: str, value: str | int | datetime | None):
    order, at = Order(field=field, is_descending=True), Position(id="id", value=value)
    assert position(cursor(order, at), order) == at


def test_the_first_page_has_no_position():
    assert position(None, Order(field="seen")) is None


@pytest.mark.parametrize(
    "parts",
    [
        ["id"],
        ["expires", "id"],
        ["-expires", "id", "soon"],
        ["-expires", "id", "2026-03-03T12:00:00"],
        ["-expires", "id", "2026-03-03T12:00:00+02:00"],
        ["-expires", "id\x00"],
        ["-expires", "\ud800"],
        ["-expires", "id", AT.isoformat(), "more"],
    ],
)
def test_a_cursor_of_another_list_is_refused(parts: list[str]):
    with pytest.raises(Invalid, match="cursor"):
        position(parts, Order(field="expires", is_descending=True))


@pytest.mark.parametrize("number", ["-1", "2147483648", "9" * 5000, "x", ""])
def test_no_number_goes_to_the_database_that_it_does_not_take(number: str):
    with pytest.raises(Invalid, match="cursor"):
        position(["key.size", "id", number], Order(field="key.size"))


def test_facets_count_by_each_field_once():
    assert [field.name for field in counted("issuer, KEY.type,issuer")] == ["issuer", "key.type"]


@pytest.mark.parametrize(
    "text", ["", "expires", "issuer,", ",".join(f"a{n}" for n in range(MOST_COUNTED + 1))]
)
def test_what_facets_cannot_count_by_is_refused_with_what_they_can(text: str):
    with pytest.raises(Invalid) as raised:
        counted(text)
    assert "key.type" in raised.value.next_step
