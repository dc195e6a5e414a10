"""What a gap hides, and what may be called lost all the same."""

from services.discovery.domain.holdings import Gap, is_hidden


def gap(scope: str, *, is_absent: bool = False) -> Gap:
    return Gap(scope=scope, reason="", next_step="", is_absent=is_absent)


def test_a_gap_hides_what_lies_under_it_and_nothing_beside():
    gaps = [gap("/etc/tls")]
    assert is_hidden("/etc/tls/a.pem", is_used=False, gaps=gaps)
    assert is_hidden("/etc/tls", is_used=False, gaps=gaps)
    assert not is_hidden("/etc/tls2/a.pem", is_used=False, gaps=gaps)


def test_a_gap_of_everything_hides_everything():
    assert is_hidden("/a.pem", is_used=False, gaps=[gap("")])


def test_a_used_certificate_may_be_hidden_by_any_gap_as_the_configuration_that_names_it_may():
    assert is_hidden("/srv/a.pem", is_used=True, gaps=[gap("/etc/nginx/closed.conf")])
    assert not is_hidden("/srv/a.pem", is_used=False, gaps=[gap("/etc/nginx/closed.conf")])


def test_what_is_known_to_be_absent_hides_nothing():
    absent = [gap("/srv/a.pem", is_absent=True)]
    assert not is_hidden("/srv/a.pem", is_used=True, gaps=absent)
