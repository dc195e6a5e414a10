"""How groups are named."""

import re

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.groups import GroupId, OpenGroups

GROUP: TypeAdapter[str] = TypeAdapter(GroupId)


@pytest.mark.parametrize("name", ["web", "Köln/web-1", "\U0001f333"])
def test_a_name_is_anything_that_can_be_seen(name: str):
    assert GROUP.validate_python(name) == name


# Those that some dialect of regular expressions takes for a space and another does not: a contract is read by all.
@pytest.mark.parametrize("hidden", [" ", "\t", "\x1c", "\x85", "\xa0", "\u2028", "\ufeff", "\x00", "\x96"])
def test_what_cannot_be_seen_is_no_part_of_a_name_in_any_dialect(hidden: str):
    with pytest.raises(ValidationError):
        GROUP.validate_python(f"we{hidden}b")
    assert not re.search(GROUP.json_schema()["pattern"], f"we{hidden}b")


def test_everybody_stands_alone_and_only_where_it_may():
    assert TypeAdapter(OpenGroups).validate_python(["web", "*"]) == ["web", "*"]
    for name in ("*", "we*b"):
        with pytest.raises(ValidationError):
            GROUP.validate_python(name)
