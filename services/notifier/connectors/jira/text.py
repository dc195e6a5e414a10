"""A notice as the text of an issue: the Atlassian Document Format of the cloud, or plain text.

"Atlassian Document Format" of Atlassian's documentation: version 1; paragraphs and lists of text nodes, which show text as it
is, so that nothing in it can be markup.
"""

from typing import Any

from services.notifier.connectors.words import plain
from services.notifier.domain.notices import Fact, Notice

_MOST = 30_000
"""Characters: an issue takes 32,767 in a text."""


def document(notice: Notice) -> dict[str, Any]:
    """Return the notice in the Atlassian Document Format."""
    content = [_paragraph(notice.headline), {"type": "bulletList", "content": []}]
    content[1]["content"] = [_item(fact) for fact in notice.facts()]
    if notice.link:
        mark = {"type": "link", "attrs": {"href": notice.link}}
        text = {"type": "text", "text": "Open it in Everleaf", "marks": [mark]}
        content.append({"type": "paragraph", "content": [text]})
    content.append(_paragraph(identity(notice)))
    return {"type": "doc", "version": 1, "content": content}


def wiki(notice: Notice) -> str:
    """Return the notice for a data centre: as it is, in a block that shows no markup."""
    text = plain(notice).replace("{noformat}", "{ noformat }")
    return f"{{noformat}}\n{text[:_MOST]}{{noformat}}\n{identity(notice)}"


def identity(notice: Notice) -> str:
    """Return the line by which a turn that was told is found again."""
    return f"Everleaf notice {notice.id}"


def _item(fact: Fact) -> dict[str, Any]:
    label = {"type": "text", "text": f"{fact.label}: ", "marks": [{"type": "strong"}]}
    text = {"type": "text", "text": "; ".join(fact.texts)[:2000]}
    return {"type": "listItem", "content": [{"type": "paragraph", "content": [label, text]}]}


def _paragraph(text: str) -> dict[str, Any]:
    return {"type": "paragraph", "content": [{"type": "text", "text": text}]}
