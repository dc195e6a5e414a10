"""How nginx is told to be thousands of servers."""

from collections.abc import Mapping
from pathlib import Path

from bench.scan.certificates import DH
from bench.scan.plan import PORT
from bench.scan.profiles import HTTP, PROFILES, Profile

STATUS = "127.9.0.1"
"""Where it counts its connections."""
WORKERS = 2
SPARE = 6_000
"""Connections of one worker beside the sockets it listens on."""
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def configuration(kinds: Mapping[str, str], *, folder: Path, certificates: Path) -> str:
    """Return an `nginx.conf` for the addresses that nginx serves."""
    blocks = [
        _tls_block(profile, addresses, certificates)
        for name, profile in PROFILES.items()
        if (addresses := _having(kinds, name))
    ]
    if plain := _having(kinds, HTTP):
        blocks.append(_block([f"listen {address}:{PORT};" for address in plain]))
    blocks.append(f"server {{ listen {STATUS}:{PORT}; location = / {{ stub_status; }} }}")
    return "\n".join([*_preamble(folder, listening=len(kinds)), *blocks, "}"])


def _having(kinds: Mapping[str, str], kind: str) -> list[str]:
    return [address for address, each in kinds.items() if each == kind]


def _preamble(folder: Path, *, listening: int) -> list[str]:
    paths = " ".join(f"{name}_temp_path {folder}/temporary;" for name in TEMPORARY)
    return [
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log crit; worker_processes {WORKERS};",
        f"events {{ worker_connections {listening + SPARE}; multi_accept on; accept_mutex off; }}",
        f"http {{ access_log off; server_tokens off; ssl_session_cache none; {paths}",
        "keepalive_timeout 5; client_header_timeout 5;",
    ]


def _tls_block(profile: Profile, addresses: list[str], certificates: Path) -> str:
    lines = [f"listen {address}:{PORT} ssl backlog=4096;" for address in addresses]
    for name in profile.certificates:
        lines.append(f"ssl_certificate {certificates}/{name}.pem;")
        lines.append(f"ssl_certificate_key {certificates}/{name}.key;")
    lines.append(f"ssl_protocols {' '.join(profile.versions)}; ssl_ciphers {profile.suites};")
    if profile.groups:
        lines.append(f"ssl_ecdh_curve {':'.join(profile.groups)};")
    if profile.needs_dh:
        lines.append(f"ssl_dhparam {certificates}/{DH};")
    return _block(lines)


def _block(lines: list[str]) -> str:
    return "\n".join(["server {", *lines, "return 200 ok; }"])
