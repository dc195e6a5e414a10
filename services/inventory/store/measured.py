"""What inventory tells Prometheus of its state: the figures of the dashboard, of everything."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.inventory.store.summaries import summary
from shared.store.measured import Family, Reading

CERTIFICATES = Family(
    "everleaf_certificates", "Certificates that are known, in use, or in use and nobody's.", ("which",)
)
URGENCY = Family(
    "everleaf_certificates_urgency", "Certificates in use, by how urgent they are.", ("urgency",)
)
EXPIRING = Family(
    "everleaf_certificates_expiring",
    "Certificates in use that end within so many days, by whether anything renews them by itself.",
    ("within_days", "renewed"),
)
REPLACEMENTS = Family(
    "everleaf_replacements", "Replaced certificates, by whether every place has the new one.", ("state",)
)
PLACES = Family("everleaf_places", "Places that are known, and those that are not seen any more.", ("which",))


async def measured(session: AsyncSession, now: datetime) -> list[Reading]:
    """Read the dashboard's figures."""
    found = await summary(session, scope=None, today=now.date())
    readings = [
        CERTIFICATES.of("known", value=found.certificates),
        CERTIFICATES.of("current", value=found.current),
        CERTIFICATES.of("unowned", value=found.unowned),
        PLACES.of("known", value=found.places),
        PLACES.of("lost", value=found.places_lost),
        *(URGENCY.of(urgency, value=count) for urgency, count in found.by_urgency.items()),
        *(REPLACEMENTS.of(state, value=count) for state, count in found.replacements.items()),
    ]
    for window in found.windows:
        days, by_itself = str(window.days), window.certificates - window.by_hand
        readings += [
            EXPIRING.of(days, "by_hand", value=window.by_hand),
            EXPIRING.of(days, "by_itself", value=by_itself),
        ]
    return readings
