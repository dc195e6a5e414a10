"""Every way of looking."""

from services.discovery.connectors import Prober, Source
from services.discovery.connectors.linux import LinuxHost
from services.discovery.connectors.network import Network
from shared.errors import Invalid

PROBERS: tuple[type[Prober], ...] = (Network,)
SOURCES: tuple[type[Source], ...] = (LinuxHost,)


def source_kind(name: str) -> type[Source]:
    """Return the kind of source of this name. Raises `Invalid` where there is none."""
    for kind in SOURCES:
        if kind.kind == name:
            return kind
    known = ", ".join(kind.kind for kind in SOURCES)
    raise Invalid(f"There is no kind of source named {name!r}.", next_step=f"Choose one of {known}.")
