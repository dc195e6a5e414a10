"""The certificate that a ticket is about, as a configuration item: found by its fingerprint, made where there is none.

The class `cmdb_ci_certificate` comes with the application Certificate Inventory and Management; an instance without it
answers that there is no such table, and the ticket is then about no item.
"""

from datetime import UTC
from typing import Any

from services.notifier.connectors import Never
from services.notifier.connectors.servicenow.instance import Session
from services.notifier.connectors.web import NotTaken
from services.notifier.domain.notices import Notice

TABLE = "cmdb_ci_certificate"


async def item_of(notice: Notice, session: Session) -> str | None:
    """Return the item of the certificate that is in trouble, brought up to date; None where there is none to be had."""
    if notice.fingerprint is None or not notice.details.names:
        return None
    try:
        found = await session.first(TABLE, f"fingerprint={notice.fingerprint}", fields=["sys_id"])
        if found is None:
            found = await session.create(TABLE, _values(notice))
        else:
            await session.change(TABLE, found["sys_id"], _values(notice))
    except NotTaken as error:
        if isinstance(error.sent, Never):
            return None
        raise
    return str(found["sys_id"])


def _values(notice: Notice) -> dict[str, str]:
    details = notice.details
    values: dict[str, Any] = {
        "name": details.names[0],
        "fingerprint": notice.fingerprint,
        "fingerprint_algorithm": "SHA256",
        "subject_common_name": details.names[0],
        "subject_alternative_name": ", ".join(details.names),
        "issuer_distinguished_name": details.issuer,
        "valid_to": f"{details.not_after.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if details.not_after else None,
        "discovery_source": "Everleaf",
    }
    return {name: value for name, value in values.items() if value}
