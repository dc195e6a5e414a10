"""Mail: what is sent, and what each of the server's answers means."""

import re
from email.message import EmailMessage
from typing import Any

import pytest

from services.notifier.connectors import Delivered, Later, Never, Progress, Sent
from services.notifier.connectors.email import Email, Options, Secrets
from services.notifier.connectors.mail import compose, page
from services.notifier.domain.alerts import Details
from services.notifier.domain.evidence import of_expiring
from services.notifier.domain.notices import Notice, Turn, headline
from shared.errors import Invalid
from tests.notifier.notices import notice
from tests.notifier.workshop import NOON, email_options, expiring, network
from tests.servers.smtp import Smtp

ALICE, BOB, CARLA = "alice@example.test", "bob@example.test", "carla@example.test"


def channel(server: Smtp, *, password: str | None = None, **options: Any) -> Email:
    """Return a channel to the server."""
    secrets = Secrets.model_validate({"password": password or server.password})
    parsed = Options.model_validate(email_options(server, **options))
    return Email.open(parsed, secrets=secrets, network=network())


async def send(to: Email, what: Notice, *, progress: Progress | None = None) -> Sent:
    """Send a notice at noon."""
    return await to.send(what, progress=progress or Progress(), now=NOON)


async def test_one_mail_goes_to_all_recipients(smtp: Smtp) -> None:
    sent = await send(channel(smtp, to=[ALICE, BOB]), notice())
    assert isinstance(sent, Delivered)
    (mail,) = smtp.inbox
    assert mail.sender == "everleaf@example.test"
    assert set(mail.recipients) == {ALICE, BOB}
    assert mail.message["Subject"] == "[Everleaf] CRITICAL: www.example.test expires in 3 days"
    assert mail.message["Auto-Submitted"] == "auto-generated"


async def test_the_mail_says_what_where_when_and_what_next_in_plain_text_and_in_html(smtp: Smtp) -> None:
    await send(channel(smtp), notice())
    message = smtp.inbox[0].message
    for kind in ("plain", "html"):
        body = message.get_body((kind,))
        assert isinstance(body, EmailMessage)
        text = body.get_content()
        for words in (
            "www.example.test",
            "2026-11-26 12:00 UTC",
            "192.0.2.7:443",
            "Renew it.",
            "portal.test",
        ):
            assert words in text


async def test_later_turns_thread_under_the_first(smtp: Smtp) -> None:
    to = channel(smtp)
    await send(to, notice())
    await send(to, notice(number=4, turn=Turn.RESOLVED, headline="it is over"))
    first, later = (mail.message for mail in smtp.inbox)
    assert later["References"] == later["In-Reply-To"] == first["Message-ID"]
    assert later["Message-ID"] != first["Message-ID"]
    assert later["Subject"] == "[Everleaf] RESOLVED: it is over"


def test_the_same_notice_is_the_same_mail_byte_for_byte() -> None:
    made = {bytes(compose(notice(), sender=ALICE, recipients=[BOB])) for _ in range(3)}
    assert len(made) == 1


async def test_a_refused_recipient_is_recorded_and_the_others_get_theirs(smtp: Smtp) -> None:
    smtp.refuse(BOB, "550 5.1.1 no such user")
    sent = await send(channel(smtp, to=[ALICE, BOB]), notice())
    assert isinstance(sent, Delivered)
    assert sent.progress.told == (ALICE,)
    assert "no such user" in sent.progress.refused[BOB]


async def test_only_those_who_are_to_wait_are_mailed_again(smtp: Smtp) -> None:
    smtp.refuse(BOB, "451 4.3.0 try later")
    smtp.refuse(CARLA, "550 5.1.1 no such user")
    to = channel(smtp, to=[ALICE, BOB, CARLA])
    sent = await send(to, notice())
    assert isinstance(sent, Later)
    assert sent.progress.told == (ALICE,)
    smtp.accept(BOB)
    smtp.accept(CARLA)
    again = await send(to, notice(), progress=sent.progress)
    assert isinstance(again, Delivered)
    assert [mail.recipients for mail in smtp.inbox] == [(ALICE,), (BOB,)]


async def test_all_recipients_refused_is_never(smtp: Smtp) -> None:
    smtp.refuse(ALICE, "550 5.1.1 no such user")
    smtp.refuse(BOB, "553 5.1.3 bad address")
    sent = await send(channel(smtp, to=[ALICE, BOB]), notice())
    assert isinstance(sent, Never)
    assert smtp.inbox == []


async def test_a_wrong_password_is_later_and_is_not_repeated_in_the_reason(smtp: Smtp) -> None:
    sent = await send(channel(smtp, password="open sesame"), notice())
    assert isinstance(sent, Later)
    assert "not accepted (535)" in sent.reason
    assert "sesame" not in sent.reason
    assert smtp.inbox == []


async def test_nobody_listening_is_later(smtp: Smtp) -> None:
    to = channel(smtp)
    smtp.stop()
    sent = await send(to, notice())
    assert isinstance(sent, Later)
    assert "refused" in sent.reason.lower()


async def test_tls_from_the_first_byte_with_a_server_that_does_not_speak_it_is_later(smtp: Smtp) -> None:
    sent = await send(channel(smtp, security="tls"), notice())
    assert isinstance(sent, Later)


@pytest.mark.parametrize(
    "name",
    [
        "evil.test\r\nBcc: thief@evil.test",
        "evil.test\nSubject: all is well",
        "evil.test\u2028Bcc: thief@evil.test",
        "\u202egnp.exe",
        "x\x00\x1b[2Jy",
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "lone surrogate \ud800",
        "a" * 5000,
    ],
)
async def test_hostile_names_break_neither_headers_nor_html(smtp: Smtp, name: str) -> None:
    evidence = of_expiring(
        expiring(names=[name], subject_name=name, issuer_name=name).model_copy(update={"names": [name]}),
        told_at=NOON,
    )
    assert evidence is not None
    words = headline("expiring", name=evidence.name or "", details=evidence.details, now=NOON)
    sent = await send(channel(smtp), notice(headline=words, details=evidence.details))
    assert isinstance(sent, Delivered)
    message = smtp.inbox[0].message
    assert message["Bcc"] is None
    assert message.get_all("Subject") == [message["Subject"]]
    assert smtp.inbox[0].recipients == ("operators@example.test",)
    body = message.get_body(("html",))
    assert isinstance(body, EmailMessage)
    assert not {"<script", "<img", "\u202e"} & set(re.findall("<[a-z]+|\u202e", body.get_content()))


def test_a_link_cannot_leave_its_attribute() -> None:
    assert '"onclick' not in page(notice(link='https://x/"onclick="alert(1)'))


def test_no_detail_is_shown_that_is_not_there() -> None:
    message = compose(notice(details=Details()), sender=ALICE, recipients=[BOB])
    body = message.get_body(("plain",))
    assert isinstance(body, EmailMessage)
    assert "Target" not in body.get_content()


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": []},
        {"to": ["not an address"]},
        {"to": ["a@b.test\r\nBcc: c@d.test"]},
        {"from": "a@b.test>\nX: y"},
        {"security": "none"},
        {"port": 70000},
        {"host": "mail.test\r\nEHLO"},
        {"verify": False},
    ],
)
def test_options_that_cannot_work_are_refused(smtp: Smtp, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Options.model_validate({**email_options(smtp), **wrong})


def test_a_user_name_without_a_password_is_refused(smtp: Smtp) -> None:
    options = Options.model_validate(email_options(smtp))
    with pytest.raises(Invalid, match="come together"):
        Email.open(options, secrets=Secrets(), network=network())


def test_a_ca_that_is_not_pem_is_refused(smtp: Smtp) -> None:
    options = Options.model_validate(email_options(smtp, ca_pem="nonsense"))
    with pytest.raises(Invalid, match="ca_pem"):
        Email.open(options, secrets=Secrets.model_validate({"password": "x"}), network=network())
