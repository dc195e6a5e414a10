"""A notice in the words of channels that show plain text, and the subject that lists show."""

from services.notifier.domain.notices import Fact, Notice
from services.notifier.domain.text import clean


def plain(notice: Notice) -> str:
    """Return the notice as plain text."""
    parts = [notice.headline, "", *(_plain(fact) for fact in notice.facts())]
    if notice.link is not None:
        parts += ["", notice.link]
    return "\n".join(parts) + "\n"


def short(notice: Notice, *, most: int) -> str:
    """Return the notice as one line of at most so many characters."""
    return clean(notice.title, most=most)


def _plain(fact: Fact) -> str:
    if len(fact.texts) == 1:
        return f"{fact.label}: {fact.texts[0]}"
    return "\n".join([f"{fact.label}:", *(f"  - {text}" for text in fact.texts)])
