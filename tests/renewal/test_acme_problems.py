import pytest

from services.renewal.connectors import NotNow
from services.renewal.connectors.acme_session import ProblemDocument
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
