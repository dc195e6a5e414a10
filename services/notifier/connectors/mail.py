"""A notice as a mail: headers that thread and don't invite automatic answers, plain text, and the same as HTML."""

from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from html import escape

from services.notifier.connectors import Letter
from services.notifier.connectors.words import plain
from services.notifier.domain.notices import Fact, Notice, Turn
from services.notifier.domain.text import clean
from shared.events.notifier import Severity

_MOST_SUBJECT = 200
_COLOURS = {
    Severity.INFO: "#1f6feb",
    Severity.WARNING: "#9a6700",
    Severity.ERROR: "#bc4c00",
    Severity.CRITICAL: "#cf222e",
}
_OVER = "#1a7f37"


def compose(notice: Notice, *, sender: str, recipients: Sequence[str]) -> EmailMessage:
    """Return the mail; the same notice makes the same mail at every try.

    The Message-ID names alert and turn; later turns refer to the first, so that mail programs show
    one thread for each alert (RFC 5322 §3.6.4). `Auto-Submitted` is RFC 3834 §5.
    """
    message = EmailMessage(policy=SMTP)
    message["Subject"] = clean(notice.title, most=_MOST_SUBJECT)
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Date"] = notice.at
    domain = sender.partition("@")[2]
    message["Message-ID"] = _message_id(notice, number=notice.number, domain=domain)
    if notice.number > 1:
        first = _message_id(notice, number=1, domain=domain)
        message["In-Reply-To"] = first
        message["References"] = first
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(plain(notice))
    message.add_alternative(page(notice), subtype="html")
    # MIME boundaries are random by default: a second try would be another mail byte for byte.
    message.set_boundary(f"everleaf-{notice.alert_id}-{notice.number}")
    return message


def enclose(letter: Letter, *, sender: str, recipients: Sequence[str]) -> EmailMessage:
    """Return a mail with a file; the same letter makes the same mail at every try."""
    message = EmailMessage(policy=SMTP)
    message["Subject"] = clean(letter.subject, most=_MOST_SUBJECT)
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Date"] = letter.at
    message["Message-ID"] = f"<{letter.id}@{sender.partition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(letter.text)
    kind, _, subtype = letter.media_type.partition(";")[0].partition("/")
    # A page or a table as well is sent as bytes: line ends are as they were made.
    message.add_attachment(letter.content, maintype=kind, subtype=subtype, filename=letter.name)
    message.set_boundary(f"everleaf-{letter.id}")
    return message


def _message_id(notice: Notice, *, number: int, domain: str) -> str:
    return f"<{notice.alert_id}.{number}@{domain}>"


def page(notice: Notice) -> str:
    """Return the notice as HTML: no scripts, no pictures, nothing loaded from elsewhere."""
    colour = _OVER if notice.turn is Turn.RESOLVED else _COLOURS[notice.severity]
    rows = "".join(_row(fact) for fact in notice.facts())
    link = f'<p><a href="{escape(notice.link)}">Open it in Everleaf</a></p>' if notice.link else ""
    return (
        '<!DOCTYPE html><html lang="en"><body style="font:15px/1.5 sans-serif;color:#1f2328">'
        f'<p style="border-left:5px solid {colour};padding-left:10px">'
        f'<strong style="color:{colour}">{escape(notice.title)}</strong></p>'
        f"<table>{rows}</table>{link}</body></html>"
    )


def _row(fact: Fact) -> str:
    texts = "<br>".join(escape(text) for text in fact.texts)
    label = f'<th style="text-align:left;vertical-align:top;padding:2px 12px 2px 0">{escape(fact.label)}</th>'
    return f"<tr>{label}<td>{texts}</td></tr>"
