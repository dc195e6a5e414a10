"""What on a Windows host uses a certificate of its stores: IIS, all that http.sys serves, Remote Desktop and SQL Server."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.discovery.domain.holdings import Gap, Listener, Use
from services.discovery.domain.targets import is_address
from shared.appliances.powershell import objects

_ENDPOINT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*):(?P<port>\d{1,5})(:(?P<name>[^:]*))?")
_HASH = re.compile(r"[0-9A-F]{40}")
_LAST_PORT = 65535
_IIS = "4dc3e181-e14b-4a21-b022-59fc669b0914"
_APPLICATIONS = {
    _IIS: "iis",
    "afebb9ad-9b97-4a91-9ab5-daf4d59122f6": "winrm",
    "ba195980-cd49-458b-9e23-c84ee0adcd75": "sstp",
    "5d89a20c-beab-4389-9447-324788eb944a": "ad-fs",
}
"""Who owns a binding of http.sys, by the application ids that Microsoft gives out."""
_CENTRAL = 2
"""The flag of an IIS binding whose certificate is a file of the central certificate store."""
_EVERYWHERE = ("", "*", "0.0.0.0", "::")  # noqa: S104 - what is read, not what is bound


def store_path(store: Any, thumbprint: Any) -> str | None:
    """Return the path of a certificate in a store of the machine; None where that is no thumbprint."""
    text = str(thumbprint or "").replace(" ", "").upper()
    name = str(store or "My")
    name = "My" if name.upper() == "MY" else name  # Windows does not tell them apart, paths do
    return f"LocalMachine/{name}/{text}" if _HASH.fullmatch(text) and name.isprintable() else None


def uses_of(told: Mapping[str, Any]) -> Mapping[str, Sequence[Use]]:
    """Return what uses each certificate, by its path."""
    found: dict[str, list[Use]] = defaultdict(list)
    iis = list(_iis(told))
    known = {(use.certificate, listener.port) for use in iis for listener in use.listeners}
    http = [
        use
        for use in _http(told)
        if not (use.product == "iis" and (use.certificate, use.listeners[0].port) in known)
    ]
    for use in (*iis, *http, *_rdp(told), *_sql(told)):
        found[use.certificate].append(use)
    return found


def central_store(told: Mapping[str, Any]) -> Iterator[Gap]:
    """Yield the gap of certificates that IIS takes from files on a share, by the name that is asked for."""
    names = [str(each.get("Binding")) for each in objects(told.get("Iis")) if _flags(each) & _CENTRAL]
    if names or any(each.get("Kind") == "SslCcsBindingInfo" for each in objects(told.get("Http"))):
        yield Gap(
            scope="CentralCertificateStore",
            reason=f"IIS serves certificates of its central certificate store ({', '.join(names[:5]) or 'https'}).",
            next_step="Read the share that holds its files.",
        )


def _iis(told: Mapping[str, Any]) -> Iterator[Use]:
    by_endpoint = {str(each.get("Endpoint")): each for each in objects(told.get("Http"))}
    for each in objects(told.get("Iis")):
        written = _ENDPOINT.fullmatch(str(each.get("Binding", "")))
        listener = _listener(written)
        if written is None or listener is None or _flags(each) & _CENTRAL:
            continue
        name = (written["name"] or "").lower()
        held = each if each.get("Hash") else by_endpoint.get(_endpoint(listener), {})
        path = store_path(held.get("Store"), held.get("Hash"))
        if path:
            yield Use(
                product="iis",
                file=f"iis/{str(each.get('Site') or '')[:200]}",
                listeners=(listener,),
                server_names=(name,) if name else (),
                certificate=path,
                is_default=not name,
            )


def _http(told: Mapping[str, Any]) -> Iterator[Use]:
    for each in objects(told.get("Http")):
        endpoint = str(each.get("Endpoint", ""))[:300]
        written = _ENDPOINT.fullmatch(endpoint)
        listener, path = _listener(written), store_path(each.get("Store"), each.get("Hash"))
        if written is None or listener is None or path is None:
            continue
        by_name = each.get("Kind") == "SslSniBindingInfo"
        yield Use(
            product=_APPLICATIONS.get(str(each.get("Application")).lower(), "http.sys"),
            file=f"http.sys/{endpoint}",
            listeners=(Listener(port=listener.port),) if by_name else (listener,),
            server_names=(written["host"].lower(),) if by_name else (),
            certificate=path,
            is_default=not by_name,
        )


def _rdp(told: Mapping[str, Any]) -> Iterator[Use]:
    for each in objects(told.get("Rdp")):
        port = _port(each.get("Port"))
        for store in ("My", "Remote Desktop"):  # where it is looked for, whichever holds it
            path = store_path(store, each.get("Hash"))
            if path and port:
                file = f"rdp/{str(each.get('Name') or '')[:100]}"
                listeners = (Listener(port=port, starttls="rdp"),)
                yield Use(product="rdp", file=file, listeners=listeners, certificate=path)


def _sql(told: Mapping[str, Any]) -> Iterator[Use]:
    for each in objects(told.get("Sql")):
        path, port = store_path("My", each.get("Hash")), _port(each.get("Port"))
        if path:
            file = f"sql-server/{str(each.get('Instance') or '')[:100]}"
            listeners = (Listener(port=port, starttls="mssql"),) if port else ()
            yield Use(product="sql-server", file=file, listeners=listeners, certificate=path)


def _listener(written: re.Match[str] | None) -> Listener | None:
    """Return where a binding listens; None where that is no port."""
    port = _port(written["port"]) if written else None
    if written is None or port is None:
        return None
    host = written["host"].strip("[]")
    return Listener(port=port, address=host if host not in _EVERYWHERE and is_address(host) else None)


def _endpoint(listener: Listener) -> str:
    """Return what http.sys calls a listener."""
    address = listener.address or _EVERYWHERE[2]
    return f"[{address}]:{listener.port}" if ":" in address else f"{address}:{listener.port}"


def _port(value: Any) -> int | None:
    """Return a port; of SQL Server's list of them, the first."""
    text = str(value).partition(",")[0].strip()
    return int(text) if text.isdecimal() and 0 < int(text) <= _LAST_PORT else None


def _flags(binding: Mapping[str, Any]) -> int:
    flags = binding.get("Flags")
    return flags if isinstance(flags, int) else 0
