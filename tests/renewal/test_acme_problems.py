from datetime import timedelta

import pytest

from services.renewal.connectors import NotNow
from services.renewal.connectors.acme.problems import ProblemDocument
from shared.errors import Refused

PREFIX = "urn:ietf:params:acme:error:"
FINAL = ["badCSR", "malformed", "rejectedIdentifier", "unsupportedIdentifier"]


@pytest.mark.parametrize("kind", ["unauthorized", "caa", "dns", "connection", "incorrectResponse", "tls"])
def test_a_challenge_that_failed_is_tried_again_with_a_new_order(kind: str) -> None:
    error = ProblemDocument(type=PREFIX + kind).lost()
    assert isinstance(error, NotNow)
    assert error.starts_over


@pytest.mark.parametrize("kind", FINAL)
def test_what_asking_again_does_not_change_is_final(kind: str) -> None:
    problem = ProblemDocument(type=PREFIX + kind)
    assert isinstance(problem.lost(), Refused)
    assert isinstance(problem.error(), Refused)


def test_one_name_that_is_refused_refuses_them_all() -> None:
    part = ProblemDocument(type=PREFIX + "rejectedIdentifier")
    assert isinstance(ProblemDocument(type=PREFIX + "compound", subproblems=[part]).error(), Refused)


def test_an_account_that_may_not_is_final_and_a_caa_record_is_not() -> None:
    assert isinstance(ProblemDocument(type=PREFIX + "unauthorized").error(), Refused)
    assert isinstance(ProblemDocument(type=PREFIX + "caa").error(), NotNow)


def test_a_limit_is_waited_for_as_long_as_the_authority_says_or_an_hour() -> None:
    problem = ProblemDocument(type=PREFIX + "rateLimited", detail="too many certificates")
    for asked, kept in ((timedelta(hours=30), timedelta(hours=30)), (None, timedelta(hours=1))):
        error = problem.error(retry_after=asked)
        assert isinstance(error, NotNow)
        assert error.retry_after == kept
        assert not error.starts_over
        assert "raise the limit" in error.next_step


def test_terms_that_a_person_has_to_agree_to_say_where() -> None:
    where = "https://ca.example.test/terms"
    error = ProblemDocument(type=PREFIX + "userActionRequired", instance=where).error()
    assert isinstance(error, Refused)
    assert where in error.next_step


@pytest.mark.parametrize(
    ("kind", "advice"), [("caa", "CAA"), ("dns", "DNS records"), ("connection", "port 80")]
)
def test_each_problem_of_a_name_says_what_to_do_and_which_name(kind: str, advice: str) -> None:
    part = {"type": PREFIX + kind, "detail": "why", "identifier": {"type": "dns", "value": "b.example.test"}}
    problem = ProblemDocument.model_validate({"type": PREFIX + "compound", "subproblems": [part]})
    error = problem.lost()
    assert advice in error.next_step
    assert f"b.example.test: {kind} (why)" in error.detail
