"""Configured against served: what is asked for, and what is found when the answers differ."""

from services.discovery.domain.comparisons import Configured, Finding, compare, questions
from services.discovery.domain.holdings import Key, Listener, Use
from services.discovery.domain.targets import Asked


def slot(*names: str, fingerprint: str | None = "f1", product: str = "nginx", **rest) -> Configured:
    listener = Listener(port=443, address=rest.pop("address", None))
    use = Use(
        product=product,
        file="/f",
        listeners=(listener,),
        server_names=names,
        certificate="/c.pem",
        is_by_certificate=product == "haproxy",
    )
    return Configured(use=use, fingerprint=fingerprint, **rest)


def findings(one: Configured, *served: str, asked: bool = True) -> list[tuple[Finding, ...]]:
    where = (one.use.listeners[0], None)
    return [row.findings for row in compare([one], asked=[where] if asked else [], served={where: served})]


def test_a_listener_on_every_address_is_asked_on_this_host_for_each_of_its_names():
    assert list(questions([slot("a.test", "*.b.test")])) == [
        Asked(address="127.0.0.1", port=443, server_name="a.test"),
        Asked(address="127.0.0.1", port=443, server_name="any.b.test"),
    ]


def test_no_question_is_made_of_a_regular_expression_nor_of_a_name_where_an_address_belongs():
    assert questions([slot("~^www"), slot(address="host.example.org")]) == {}


def test_where_two_kinds_of_key_are_configured_each_is_asked_for():
    asked = questions([slot(key_type="rsa"), slot(key_type="ecdsa")])
    assert [one.key_type for one in asked] == [None, "ecdsa", "rsa"]
    assert len(set(asked.values())) == 1


def test_haproxy_is_asked_for_the_names_in_its_certificates():
    asked = questions([slot(product="haproxy", names=("192.0.2.1", "a.test"))])
    assert [one.server_name for one in asked] == ["a.test"]


def test_a_certificate_that_is_among_those_served_is_as_it_should_be():
    assert findings(slot(), "f0", "f1") == [()]


def test_another_certificate_on_the_wire_than_in_the_file_is_a_forgotten_reload():
    assert findings(slot(), "f0") == [(Finding.NOT_SERVED,)]


def test_silence_is_a_finding_only_where_somebody_was_asked():
    assert findings(slot()) == [(Finding.NO_ANSWER,)]
    assert findings(slot(), asked=False) == [()]


def test_an_unreadable_file_is_not_also_called_not_served():
    assert findings(slot(fingerprint=None), "f0") == [(Finding.UNREADABLE,)]


def test_a_key_is_found_where_it_is_exposed_or_another_ones():
    exposed = slot(key=Key(path="/k", is_exposed=True, is_replaceable=True, is_match=False))
    assert findings(exposed, "f1") == [(Finding.KEY_EXPOSED, Finding.KEY_REPLACEABLE, Finding.KEY_MISMATCH)]
    unknown = slot(key=Key(path="/k"))
    assert findings(unknown, "f1") == [()]
