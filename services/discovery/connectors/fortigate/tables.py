"""The tables of a FortiGate's configuration that name certificates, after Fortinet's CLI reference (FortiOS 7.x)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.discovery.connectors.device import word
from services.discovery.domain.holdings import Listener, Use
from services.discovery.domain.targets import is_address

Row = Mapping[str, Any]
_PRODUCT = "fortigate"
_LAST_PORT = 65535
_CAPTIVE_PORTAL = 1003
"""Where users authenticate over HTTPS, unless `auth-ports` says otherwise."""


def _nowhere(_row: Row) -> tuple[Listener, ...]:
    """What is not served by listening: tunnels, and certificates that sign others."""
    return ()


def _virtual_server(row: Row) -> tuple[Listener, ...]:
    address = str(row.get("extip", "")).partition("-")[0]
    return _listening(row.get("extport"), address=address if is_address(address) else None)


def _ssl_vpn(row: Row) -> tuple[Listener, ...]:
    return _listening(row.get("port", 443))


def _admin(row: Row) -> tuple[Listener, ...]:
    return _listening(row.get("admin-sport", 443))


def _authentication(row: Row) -> tuple[Listener, ...]:
    ports = [
        each for each in row.get("auth-ports") or () if isinstance(each, dict) and each.get("type") == "https"
    ]
    return tuple(found for each in ports for found in _listening(each.get("port"))) or _listening(
        _CAPTIVE_PORTAL
    )


def _push(row: Row) -> tuple[Listener, ...]:
    return _listening(row.get("server-port", 4433))


def _listening(port: Any, *, address: str | None = None) -> tuple[Listener, ...]:
    """Return a listener; of a range of ports, its first."""
    text = str(port).partition("-")[0]
    if not text.isdecimal() or not 0 < int(text) <= _LAST_PORT:
        return ()
    return (Listener(port=int(text), address=address),)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table below `/api/v2/cmdb/`, the fields in it that name certificates, and those that say where they are served."""

    path: str
    certificates: tuple[str, ...]
    beside: tuple[str, ...] = ()
    listeners: Callable[[Row], tuple[Listener, ...]] = _nowhere
    is_global: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        """What is asked for, and nothing else: pre-shared keys and passwords stay where they are."""
        return ("name", "status", *self.certificates, *self.beside)


TABLES: tuple[Table, ...] = (
    Table(
        path="system/global",
        certificates=("admin-server-cert", "user-server-cert", "wifi-certificate", "wifi-ca-certificate"),
        beside=("admin-sport",),
        listeners=_admin,
        is_global=True,
    ),
    Table(
        path="system/ftm-push",
        certificates=("server-cert",),
        beside=("server-port",),
        listeners=_push,
        is_global=True,
    ),
    Table(path="system/csf", certificates=("certificate",), is_global=True),
    Table(
        path="firewall/vip",
        certificates=("ssl-certificate",),
        beside=("extip", "extport"),
        listeners=_virtual_server,
    ),
    Table(
        path="firewall/vip6",
        certificates=("ssl-certificate",),
        beside=("extip", "extport"),
        listeners=_virtual_server,
    ),
    Table(path="vpn.ssl/settings", certificates=("servercert",), beside=("port",), listeners=_ssl_vpn),
    Table(path="vpn.ipsec/phase1-interface", certificates=("certificate",)),
    Table(path="vpn.ipsec/phase1", certificates=("certificate",)),
    Table(path="firewall/ssl-ssh-profile", certificates=("server-cert", "caname", "untrusted-caname")),
    Table(
        path="user/setting",
        certificates=("auth-cert", "auth-ca-cert"),
        beside=("auth-ports",),
        listeners=_authentication,
    ),
    Table(path="user/saml", certificates=("cert", "idp-cert")),
)


def uses_in(table: Table, rows: Sequence[Row], *, at: str) -> Iterator[Use]:
    """Yield what a table uses, with the paths that its certificates have where they are not those of all VDOMs."""
    for row in rows:
        if row.get("status") == "disable":
            continue
        file = "/".join(filter(None, (at, table.path, word(row.get("name") or ""))))
        for field in table.certificates:
            listeners = table.listeners(row) if field == table.certificates[0] else ()
            for name in _names(row.get(field)):
                yield Use(product=_PRODUCT, file=file, listeners=listeners, certificate=f"{at}/{word(name)}")


def _names(value: Any) -> Iterator[str]:
    """Yield the names in a field, which is a text or, in newer versions, a list of objects with names."""
    for each in value if isinstance(value, list) else [value]:
        name = each.get("name") if isinstance(each, dict) else each
        if isinstance(name, str) and name:
            yield name
