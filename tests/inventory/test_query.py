import string
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.inventory.domain.query import (
    CATALOGUE,
    And,
    Catalogue,
    Day,
    Field,
    FromNow,
    Moment,
    Node,
    Not,
    Operator,
    Or,
    Query,
    Term,
    Value,
    ValueKind,
    parse,
    terms,
    write,
)
from services.inventory.domain.query.parser import MAX_DEPTH, MAX_LENGTH, MAX_TERMS, MAX_VALUES
from shared.errors import Invalid, TooLarge


def term(field: str, operator: Operator = Operator.HAS, *values: Value) -> Term:
    return Term(field=field, operator=operator, values=values)


def test_a_query_is_a_tree_of_typed_terms():
    assert parse("expires < 30d and key.type = rsa and key.size < 2048 and not replacement").node == And(
        parts=(
            term("expires", Operator.LESS, FromNow(span=timedelta(days=30))),
            term("key.type", Operator.EQUAL, "rsa"),
            term("key.size", Operator.LESS, 2048),
            Not(part=term("replacement")),
        )
    )


def test_nothing_asks_for_everything():
    assert parse(" \t\n").node is None
    assert write(Query()) == ""


def test_and_binds_closer_than_or_and_not_closer_than_both():
    assert parse("not ca and current or wildcard") == parse("((not ca) and current) or wildcard")
    assert parse("not (ca and current)") != parse("not ca and current")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("EXPIRES<30D", "expires < 30d"),
        ("lifetime > 2w", "lifetime > 14d"),
        ("lifetime > 90m", "lifetime > 90m"),
        ("lifetime > 3600s", "lifetime > 1h"),
        ("seen > -12h", "seen > -12h"),
        ("expires < now", "expires < now"),
        ("expires < 0d", "expires < now"),
        ("expires = 2027-03-15", "expires = 2027-03-15"),
        ("expires < 2027-03-15T12:00:00+02:00", "expires < 2027-03-15T10:00:00Z"),
        ("expires < 2027-03-15t12:00", "expires < 2027-03-15T12:00:00Z"),
        ("fingerprint = AB:CD", "fingerprint = abcd"),
        ("serial = 00:0F", "serial = f"),
        ("serial = 00", "serial = 0"),
        ("name under *.Example.com", "name under example.com"),
        ("issuer = 'CN=My CA,O=Example'", 'issuer = "CN=My CA,O=Example"'),
        ('subject = "a \\"b\\" \\\\ c"', 'subject = "a \\"b\\" \\\\ c"'),
        ("key.type not in (rsa,'ecdsa')", "not key.type in (rsa, ecdsa)"),
        ("subject = 'not'", 'subject = "not"'),
        ("place.path = C:\\tls\\a.pem", "place.path = C:\\tls\\a.pem"),
        ("place.address = 2001:db8::1", "place.address = 2001:db8::1"),
        ("((ca)) AND (current)", "ca and current"),
        ("ca = TRUE", "ca = true"),
        ("urgency >= Warning", "urgency >= warning"),
    ],
)
def test_what_is_written_is_canonical_and_reads_the_same(text: str, canonical: str):
    assert write(parse(text)) == canonical
    assert parse(canonical) == parse(text)


@pytest.mark.parametrize(
    ("text", "column", "found", "expected"),
    [
        ("expires <", 10, "the end of the query", "an instant: 30d from now"),
        ("expires < 30x", 11, "`30x`", "an instant"),
        ("expires < 2027-02-30", 11, "`2027-02-30`", "an instant"),
        ("expires < 9999-12-31", 11, "`9999-12-31`", "an instant"),
        ("expires < 99999d", 11, "`99999d`", "an instant"),
        ("expires = 30d", 11, "`30d`", "a whole day"),
        ("lifetime < -3d", 12, "`-3d`", "a length of time"),
        ("key.size < abc", 12, "`abc`", "a whole number"),
        ("key.size < 2147483648", 12, "`2147483648`", "a whole number"),
        ("ca = yes", 6, "`yes`", "`true` or `false`"),
        ("ca < true", 4, "`<`", "one of the operators that `ca` takes: = !="),
        ("urgency = soon", 11, "`soon`", "one of: renew, warning, error, critical, expired"),
        ("urgency ~ err", 9, "`~`", "one of the operators that `urgency` takes"),
        ("colour = red", 1, "`colour`", "a field"),
        ("ca and", 7, "the end of the query", "a field, `not` or `(`"),
        ("or ca", 1, "`or`", "a field, `not` or `(`"),
        ("(ca", 4, "the end of the query", "`and`, `or` or `)`"),
        ("ca)", 3, "`)`", "`and`, `or` or the end of the query"),
        ("ca current", 4, "`current`", "an operator"),
        ("(ca) current", 6, "`current`", "`and`, `or` or the end of the query"),
        ("subject = CN=a", 13, "`=`", "a value with spaces or signs in it stands in quotes"),
        ("(issuer ~ House CA)", 17, "`CA`", "a value with spaces or signs in it stands in quotes"),
        ("key.type in rsa", 13, "`rsa`", "`(` before the values"),
        ("key.type in (rsa", 17, "the end of the query", "`,` or `)`"),
        ("key.type in ()", 14, "`)`", "a text"),
        ("subject = in", 11, "`in`", "in quotes"),
        ('subject = "abc', 11, "a quote that is never closed", 'another " after the text'),
        ("subject = a\x00b", 12, "the character U+0000", "text that can be read"),
        ("subject = '\ud800'", 12, "the character U+D800", "text that can be read"),
        ("ca § current", 4, "`§`", "an operator"),
    ],
)
def test_an_error_says_the_column_what_is_there_and_what_should_be(
    text: str, column: int, found: str, expected: str
):
    with pytest.raises(Invalid) as raised:
        parse(text)
    [fault] = raised.value.faults
    assert fault.column == column
    assert fault.pointer == "/query/query"
    assert f"found {found}, expected {expected}" in raised.value.detail or (
        f"found {found}" in raised.value.detail and expected in raised.value.detail
    )
    assert f"Column {column} of the query" in raised.value.detail
    assert "/v1/query-fields" in raised.value.next_step


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("key.sze < 3", "`key.size`"),
        ("expire < 3d", "`expires`"),
        ("port = 443", "`place.port`"),
        ("urgency = eror", "`error`"),
        ("key.size == 2048", "`=`"),
        ("key.size <> 2048", "`!=`"),
        ("ca && current", "`and`"),
        ("!ca", "`not`"),
    ],
)
def test_an_error_says_what_may_have_been_meant(text: str, meant: str):
    with pytest.raises(Invalid, match=rf"Did you mean {meant}"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("ca or " * MAX_LENGTH, MAX_LENGTH + 1),
        ("(" * (MAX_DEPTH + 1) + "ca" + ")" * (MAX_DEPTH + 1), MAX_DEPTH + 1),
        ("not " * (MAX_DEPTH + 1) + "ca", MAX_DEPTH * 4 + 1),
        (" or ".join(["ca"] * (MAX_TERMS + 1)), MAX_TERMS * 6 + 1),
        (f"key.size in ({','.join(['1'] * (MAX_VALUES + 1))})", 14 + MAX_VALUES * 2),
    ],
)
def test_what_is_too_large_is_refused_where_it_becomes_so(text: str, column: int):
    with pytest.raises(TooLarge) as raised:
        parse(text)
    assert raised.value.faults[0].column == column


def test_the_terms_of_a_query_come_from_left_to_right():
    query = parse("expires < 3d and (place.port = 443 or not ca)")
    assert [each.field for each in terms(query)] == ["expires", "place.port", "ca"]
    assert list(terms(Query())) == []


def test_a_family_of_fields_takes_any_name_below_it():
    custom = Field(name="custom.*", kind=ValueKind.TEXT, about="A field of one's own.")
    query = parse("custom.cost_centre = 4711", Catalogue([*CATALOGUE.fields, custom]))
    assert query.node == term("custom.cost_centre", Operator.EQUAL, "4711")
    with pytest.raises(Invalid):
        parse("custom. = 4711", Catalogue([custom]))


def test_every_field_says_what_it_is_and_can_be_asked():
    for field in CATALOGUE.fields:
        assert field.about.endswith((".", "…"))
        assert parse(field.name).node == term(field.name)
        assert (field.kind is ValueKind.CHOICE) == bool(field.choices)


# Whatever can be asked is written and read again

_SPANS = st.builds(
    lambda count, unit: count * unit,
    st.integers(0, 36_525),
    st.sampled_from([timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)]),
)
_DAYS = st.builds(lambda on: Day(on=on), st.dates(date(1900, 1, 1), date(8999, 12, 31)))
_MOMENTS = st.builds(
    lambda at: Moment(at=at.replace(tzinfo=UTC)),
    st.datetimes(datetime(1900, 1, 1), datetime(8999, 12, 31)),
)
_FROM_NOW = st.builds(lambda span, sign: FromNow(span=sign * span), _SPANS, st.sampled_from([1, -1]))
_TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=12) | st.text(
    string.ascii_letters + " .*-\"'\\(),=", max_size=12
)


def _values(field: Field, operator: Operator) -> st.SearchStrategy[Any]:
    if field.kind is ValueKind.TEXT:
        tidied = _TEXTS.map(field.tidy)
        return tidied.map(lambda text: text.lstrip("*.")) if operator is Operator.UNDER else tidied
    if field.kind is ValueKind.INSTANT:
        return _DAYS if operator in (Operator.EQUAL, Operator.UNEQUAL) else _DAYS | _MOMENTS | _FROM_NOW
    of_kind: dict[ValueKind, st.SearchStrategy[Any]] = {
        ValueKind.NUMBER: st.integers(0, 2**31 - 1),
        ValueKind.BOOLEAN: st.booleans(),
        ValueKind.SPAN: _SPANS,
        ValueKind.CHOICE: st.sampled_from(list(field.choices) or [""]),
    }
    return of_kind[field.kind]


def _terms(field: Field, operator: Operator) -> st.SearchStrategy[Term]:
    def made(values: Iterable[Value]) -> Term:
        return term(field.name, operator, *values)

    sizes = {Operator.HAS: (0, 0), Operator.IN: (1, 3)}
    least, most = sizes.get(operator, (1, 1))
    return st.lists(_values(field, operator), min_size=least, max_size=most).map(made)


_TERMS = st.sampled_from(
    [(field, operator) for field in CATALOGUE.fields for operator in field.operators]
).flatmap(lambda asked: _terms(*asked))
_NODES = st.recursive(
    _TERMS,
    lambda inner: (
        st.builds(lambda part: Not(part=part), inner)
        | st.lists(inner, min_size=2, max_size=3).map(lambda parts: And(parts=tuple(parts)))
        | st.lists(inner, min_size=2, max_size=3).map(lambda parts: Or(parts=tuple(parts)))
    ),
    max_leaves=8,
)


@settings(max_examples=50)
@given(_NODES)
def test_every_query_reads_as_it_was_written(node: Node):
    query = Query(node=node)
    assert parse(write(query)) == query


@given(st.text(max_size=60) | st.text("ca expires<>=!~()',\"30d and or not in.*key", max_size=60))
def test_any_text_is_a_query_or_an_error_with_a_column_in_it(text: str):
    try:
        query = parse(text)
    except Invalid as error:
        column = error.faults[0].column
        assert column is not None
        assert 1 <= column <= len(text) + 1
    else:
        assert parse(write(query)) == query
