"""How each server is told that its files have changed: what tests its configuration, and what makes it read them again.

Where a configuration begins at another file than the product's package has, its own programs are told that file. What
only the service manager can do is asked of it, in the name that the package gives the service. A path comes from the
host that was read: it goes into a command only quoted.
"""

import posixpath
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared.events.discovery import ConfiguredUse


@dataclass(frozen=True, kw_only=True)
class Commands:
    """What is run on the host, in this order."""

    test: str | None
    reload: str


def commands(use: ConfiguredUse) -> Commands | None:
    """Return the commands of the server that uses a certificate, or None where none are known."""
    made = _PRODUCTS.get(use.product)
    return made(use.start or use.file) if made is not None else None


def _nginx(start: str) -> Commands:
    if posixpath.dirname(start) in ("/etc/nginx", "/usr/local/nginx/conf", "/usr/local/etc/nginx"):
        return Commands(test="nginx -t", reload="nginx -s reload")
    which = f"-c {shlex.quote(start)}"
    return Commands(test=f"nginx -t {which}", reload=f"nginx -s reload {which}")


def _apache(start: str) -> Commands:
    if start in ("/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf"):
        return Commands(test="apachectl configtest", reload="apachectl graceful")
    which = f"-f {shlex.quote(start)}"
    return Commands(test=f"apachectl {which} -t", reload=f"apachectl {which} -k graceful")


def _haproxy(start: str) -> Commands:
    return Commands(test=f"haproxy -c -f {shlex.quote(start)}", reload="systemctl reload haproxy")


def _postfix(start: str) -> Commands:
    folder = posixpath.dirname(start)
    which = "" if folder == "/etc/postfix" else f"-c {shlex.quote(folder)} "
    return Commands(test=f"postfix {which}check", reload=f"postfix {which}reload")


def _dovecot(start: str) -> Commands:
    which = "" if start == "/etc/dovecot/dovecot.conf" else f"-c {shlex.quote(start)} "
    return Commands(test=f"doveconf {which}-n", reload=f"doveadm {which}reload")


def _postgresql(start: str) -> Commands:
    # Debian has a service for each cluster, others one for each version whose folder is not the first's.
    debian = re.fullmatch(
        r"/etc/postgresql/(?P<version>[0-9.]+)/(?P<cluster>[\w.-]+)/postgresql\.conf", start
    )
    other = re.fullmatch(r"/var/lib/pgsql/(?P<version>[0-9.]+)/data/postgresql\.conf", start)
    service = "postgresql"
    if debian:
        service = f"postgresql@{debian['version']}-{debian['cluster']}"
    elif other:
        service = f"postgresql-{other['version']}"
    elif not start.startswith("/var/lib/pgsql/data/"):
        # No service manager need know it: the server itself says in this file which process it is.
        pid_file = shlex.quote(f"{posixpath.dirname(start)}/postmaster.pid")
        return Commands(test=None, reload=f'kill -HUP "$(head -n 1 {pid_file})"')
    return Commands(test=None, reload=f"systemctl reload {service}")


def _stunnel(_start: str) -> Commands:
    # Debian's package calls it by another name than all others.
    return Commands(test=None, reload="systemctl reload stunnel4 || systemctl reload stunnel")


def _caddy(start: str) -> Commands:
    test = f"caddy validate --adapter caddyfile --config {shlex.quote(start)}"
    if start == "/etc/caddy/Caddyfile":
        return Commands(test=test, reload="systemctl reload caddy")
    # Without --force it would leave certificates as they are, as its configuration is the same.
    reload = f"caddy reload --force --adapter caddyfile --config {shlex.quote(start)}"
    return Commands(test=test, reload=reload)


def _tomcat(start: str) -> Commands:
    # Nothing that every Tomcat lets be called from outside makes it read its certificates again.
    found = re.search(r"/(?P<name>tomcat[0-9]*)/conf/", start)
    return Commands(test=None, reload=f"systemctl restart {found['name'] if found else 'tomcat'}")


_PRODUCTS: Mapping[str, Callable[[str], Commands]] = {
    "nginx": _nginx,
    "apache": _apache,
    "haproxy": _haproxy,
    "postfix": _postfix,
    "dovecot": _dovecot,
    "postgresql": _postgresql,
    "stunnel": _stunnel,
    "caddy": _caddy,
    "tomcat": _tomcat,
}
