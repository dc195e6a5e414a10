"""The policies and timelines that come with the program: TOML files in the package."""

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources

from services.inventory.domain import assessment
from services.inventory.domain.assessment.policies import Document
from services.inventory.domain.assessment.quantum import Timeline

_HERE = resources.files(assessment)


def documents() -> Mapping[str, Document]:
    """Return the policies, by their ids."""
    files = sorted((_HERE / "policies").iterdir(), key=lambda each: each.name)
    return {
        file.name.removesuffix(".toml"): Document.model_validate(
            tomllib.loads(file.read_text(encoding="utf-8"))
        )
        for file in files
        if file.name.endswith(".toml")
    }


def timelines() -> Sequence[Timeline]:
    """Return the days on which classical algorithms end, by who says so."""
    text = (_HERE / "timelines.toml").read_text(encoding="utf-8")
    return [Timeline.model_validate(each) for each in tomllib.loads(text)["timelines"]]
