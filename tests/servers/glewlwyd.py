"""A real OpenID provider (Glewlwyd) over TLS on loopback, and a browser that signs people in at it."""

import gzip
import json
import re
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.servers.processes import MissingServer, Process, free_port, program
from tests.servers.tls import CertificateAuthority, Issued, new_key

PACKAGE = "glewlwyd"
_TABLES = Path("/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3")
_SAMPLE = Path("/usr/share/doc/glewlwyd/glewlwyd.conf.sample.gz")
_PAGES = Path("/usr/share/glewlwyd/webapp")
_PAGES_CONFIG = Path("/usr/share/glewlwyd/templates/config.json")
_ADMIN = {"username": "admin", "password": "password"}  # as the package makes it


class Glewlwyd:
    """One provider; `register` a client and `add_person`s, then sign them in."""

    def __init__(self, directory: Path, *, ca: CertificateAuthority) -> None:
        self.port = free_port()
        self.url = f"https://localhost:{self.port}"
        self.issuer = f"{self.url}/api/oidc"
        self.tls = ca.client_context()
        self._directory = directory
        self._ca = ca
        self._process: Process | None = None

    def start(self) -> None:
        """Start it, and make its OpenID plugin."""
        self._write()
        args: list[str | Path] = [program("glewlwyd", package=PACKAGE)]
        config = self._directory / "glewlwyd.conf"
        self._process = Process([*args, f"--config-file={config}"], log=self._directory / "out.log")
        self._process.wait_port(self.port)
        self._admin("POST", "mod/plugin", self._plugin())

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def register(self, client_id: str, *, secret: str, redirect_uri: str) -> None:
        """Make a confidential client that may use codes."""
        body = {
            "client_id": client_id,
            "name": client_id,
            "client_secret": secret,
            "confidential": True,
            "enabled": True,
            "redirect_uri": [redirect_uri],
            "authorization_type": ["code"],
            "token_endpoint_auth_method": ["client_secret_basic"],
            "scope": [],
        }
        self._admin("POST", "client", body)

    def add_person(self, name: str, *, groups: Sequence[str]) -> None:
        """Make somebody who may sign in, with a password that is their name twice."""
        body = {
            "username": name,
            "name": name.title(),
            "password": name * 2,
            "scope": ["openid", "g_profile"],
            "groups": list(groups),
            "enabled": True,
        }
        self._admin("POST", "user", body)

    def sign_in(self, name: str, *, at: str, client_id: str) -> str:
        """Do what a person does in a browser that was sent to `at`: log in, agree, and be sent back.

        Returns the address that the provider sends the browser to.
        """
        with self._browser({"username": name, "password": name * 2}) as browser:
            browser.put(f"auth/grant/{client_id}", json={"scope": "openid"}).raise_for_status()
            answer = browser.get(f"{at}&g_continue")
            assert answer.status_code == httpx.codes.FOUND, answer.text
            return answer.headers["location"]

    @contextmanager
    def _browser(self, password: dict[str, str]) -> Iterator[httpx.Client]:
        """Open one that is logged in."""
        base = f"{self.url}/api/"
        with httpx.Client(base_url=base, verify=self.tls, trust_env=False) as browser:
            answer = browser.post("auth/", json=password).raise_for_status()
            # Python's cookie jar keeps no cookie for the domain `localhost`.
            browser.headers["Cookie"] = answer.headers["set-cookie"].split(";")[0]
            yield browser

    def _admin(self, method: str, path: str, body: Any) -> None:
        with self._browser(_ADMIN) as browser:
            answer = browser.request(method, path, json=body)
            assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"

    def _write(self) -> None:
        for path in (_TABLES, _SAMPLE, _PAGES, _PAGES_CONFIG):
            if not path.exists():
                raise MissingServer(f"{path} is missing: install the package {PACKAGE}.")
        self._directory.mkdir(parents=True, exist_ok=True)
        database = self._directory / "glewlwyd.db"
        with sqlite3.connect(database) as tables:
            tables.executescript(_TABLES.read_text())
            (text,) = tables.execute("SELECT gumi_parameters FROM g_user_module_instance").fetchone()
            parameters = json.loads(text)
            parameters["data-format"]["groups"] = {"multiple": True, "read": True, "write": True}
            tables.execute("UPDATE g_user_module_instance SET gumi_parameters = ?", (json.dumps(parameters),))
        tables.close()
        certificate, key = self._ca.issue("localhost").write(self._directory / "tls")
        authority = self._directory / "ca.pem"
        authority.write_bytes(self._ca.pem)
        settings = {
            "port": str(self.port),
            "bind_address": '"127.0.0.1"',
            "external_url": f'"{self.url}"',
            "use_secure_connection": "true",
            "secure_connection_key_file": f'"{key}"',
            "secure_connection_pem_file": f'"{certificate}"',
            "secure_connection_ca_file": f'"{authority}"',
            "static_files_path": f'"{self._pages()}/"',
            "log_mode": '"file"',
            "log_file": f'"{self._directory / "glewlwyd.log"}"',
        }
        text = gzip.decompress(_SAMPLE.read_bytes()).decode()
        for name, value in settings.items():
            text, found = re.subn(rf"(?m)^#?{name} *=.*$", f"{name}={value}", text)
            assert found == 1, name
        text = text.replace("/var/cache/glewlwyd/glewlwyd.db", str(database))
        (self._directory / "glewlwyd.conf").write_text(text)

    def _pages(self) -> Path:
        """Return the provider's own pages: the package has them without the configuration that they read.

        They are a copy, since no link out of the folder is followed.
        """
        pages = self._directory / "pages"
        shutil.copytree(_PAGES, pages, ignore=shutil.ignore_patterns("config.json"))
        shutil.copy(_PAGES_CONFIG, pages / "config.json")
        return pages

    def _plugin(self) -> dict[str, Any]:
        key = Issued(certificate=self._ca.certificate, key=new_key("rsa"))
        public = key.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        claim = {"name": "groups", "user-property": "groups", "type": "string", "mandatory": True}
        return {
            "module": "oidc",
            "name": "oidc",
            "display_name": "OpenID Connect",
            "parameters": {
                "iss": self.issuer,
                "jwt-type": "rsa",
                "jwt-key-size": "256",
                "key": key.key_pem.decode(),
                "cert": public.decode(),
                "access-token-duration": 3600,
                "refresh-token-duration": 3600,
                "code-duration": 600,
                "refresh-token-rolling": False,
                "allow-non-oidc": False,
                "auth-type-code-enabled": True,
                "auth-type-code-revoke-replayed": True,
                "auth-type-token-enabled": False,
                "auth-type-id-token-enabled": True,
                "auth-type-password-enabled": False,
                "auth-type-client-enabled": False,
                "auth-type-device-enabled": False,
                "auth-type-refresh-enabled": False,
                "jwks-show": True,
                "scope": [],
                "additional-parameters": [],
                "claims": [claim],
                "name-claim": "mandatory",
                "email-claim": "no",
                "scope-claim": "no",
                "address-claim": {"type": "no"},
                "subject-type": "public",
                "pkce-allowed": True,
                "pkce-required": True,
                "pkce-method-plain-allowed": False,
                "request-parameter-allow": False,
                "client-register-allowed": False,
                "session-management-allowed": False,
            },
        }
