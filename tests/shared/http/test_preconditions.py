import pytest

from shared import errors
from shared.http import (
    check_if_match,
    etag,
)


@pytest.mark.parametrize("header", [None, "*", '"3"', '"2", "3"'])
def test_a_present_version_may_be_changed(header: str | None):
    check_if_match(header, version=3)


@pytest.mark.parametrize("header", ['"2"', "3", 'W/"3"', '""', "rubbish", '"2", "4"'])
def test_another_version_is_stale(header: str):
    with pytest.raises(errors.Stale):
        check_if_match(header, version=3)
    assert etag(3) == '"3"'
