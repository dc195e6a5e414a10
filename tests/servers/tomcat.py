"""A real Apache Tomcat with a certificate for each host name on one port."""

import shutil
from pathlib import Path

from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from tests.servers.processes import MissingServer, Process, free_port, program
from tests.servers.tls import CertificateAuthority, Issued

PACKAGE = "tomcat10"
HOME = Path("/usr/share/tomcat10")
MANAGER = Path("/usr/share/tomcat10-admin/manager")
MANAGER_PACKAGE = "tomcat10-admin"
PASSWORD = "changeit"
ACCOUNT = "reloader"


class Tomcat:
    """One connector; certificates are in PEM files, or in PKCS#12 keystores; `write` before `start`."""

    def __init__(self, directory: Path, *, ca: CertificateAuthority) -> None:
        self.directory = directory
        self.port = free_port()
        self.start_file = directory / "conf" / "server.xml"
        self.issued: dict[str, Issued] = {}
        self._ca = ca
        self._process: Process | None = None

    def write(self, *server_names: str, keystores: bool = False) -> None:
        """Write the configuration and a certificate for each name; the first is also the default."""
        self._make_folders()
        hosts = "".join(self._host(name, in_keystore=keystores) for name in server_names)
        self._write(server_names[0], hosts=hosts)

    def write_one(self, server_name: str, *, keystore: bytes, kind: str) -> Path:
        """Write the configuration with a Manager, and a keystore of this kind; return where it is."""
        self._make_folders()
        path = self.directory / "tls" / f"keystore.{kind}"
        path.parent.mkdir()
        path.touch(mode=0o600)
        path.write_bytes(keystore)
        attributes = (
            f'certificateKeystoreFile="{path}" certificateKeystoreType="{kind}" '
            f'certificateKeystorePassword="{PASSWORD}"'
        )
        host = f'\n   <SSLHostConfig hostName="{server_name}"><Certificate {attributes}/></SSLHostConfig>'
        self._write(server_name, hosts=host, realm=self._manager())
        return path

    def _manager(self) -> str:
        """Write what lets one account use the Manager, and return its realm."""
        if not MANAGER.exists():
            raise MissingServer(
                f"Tomcat's Manager is not installed. Install it with: apt-get install {MANAGER_PACKAGE}"
            )
        contexts = self.directory / "conf" / "Catalina" / "localhost"
        contexts.mkdir(parents=True)
        (contexts / "manager.xml").write_text(f'<Context docBase="{MANAGER}" privileged="true"/>\n')
        users = self.directory / "conf" / "tomcat-users.xml"
        users.touch(mode=0o600)
        users.write_text(
            f'<tomcat-users><user username="{ACCOUNT}" password="{PASSWORD}" roles="manager-script"/></tomcat-users>\n'
        )
        return '<Realm className="org.apache.catalina.realm.MemoryRealm"/>'

    @property
    def ssl_reload(self) -> list[str]:
        """The command by which the Manager makes it read its certificates again."""
        return [
            program("curl", package="curl"),
            "-kfsS",
            "-u",
            f"{ACCOUNT}:{PASSWORD}",
            f"https://127.0.0.1:{self.port}/manager/text/sslReload",
        ]

    def _make_folders(self) -> None:
        for folder in ("conf", "logs", "temp", "webapps", "work"):
            (self.directory / folder).mkdir(parents=True)

    def _write(self, default: str, *, hosts: str, realm: str = "") -> None:
        self.start_file.write_text(f"""<?xml version="1.0" encoding="UTF-8"?>
<Server port="-1" shutdown="SHUTDOWN">
 <Service name="Catalina">
  <!-- <Connector port="1" SSLEnabled="true"><SSLHostConfig/></Connector> -->
  <Connector port="{self.port}" address="127.0.0.1" protocol="org.apache.coyote.http11.Http11NioProtocol"
    SSLEnabled="true" scheme="https" secure="true" maxThreads="8" minSpareThreads="2"
    defaultSSLHostConfigName="{default}">{hosts}
  </Connector>
  <Engine name="Catalina" defaultHost="localhost">{realm}<Host name="localhost" appBase="webapps"/></Engine>
 </Service>
</Server>
""")

    def _host(self, name: str, *, in_keystore: bool) -> str:
        issued = self.issued[name] = self._ca.issue(name)
        folder = self.directory / "tls" / name
        certificate, _ = issued.write(folder)
        attributes = 'certificateFile="{0}/cert.pem" certificateKeyFile="{0}/key.pem"'.format(f"tls/{name}")
        if in_keystore:
            certificate.unlink()
            keystore = folder / "keystore.p12"
            keystore.touch(mode=0o600)
            keystore.write_bytes(
                pkcs12.serialize_key_and_certificates(
                    b"www",
                    issued.key,
                    issued.certificate,
                    issued.issuers,
                    BestAvailableEncryption(PASSWORD.encode()),
                )
            )
            attributes = (
                f'certificateKeystoreFile="${{catalina.base}}/tls/{name}/keystore.p12" '
                f'certificateKeystoreType="PKCS12" certificateKeystorePassword="{PASSWORD}"'
            )
        return f'\n   <SSLHostConfig hostName="{name}"><Certificate {attributes}/></SSLHostConfig>'

    def start(self) -> None:
        """Start it, and return when it listens."""
        if not HOME.exists():
            raise MissingServer(f"Tomcat is not installed. Install it with: apt-get install {PACKAGE}")
        shutil.copy("/etc/tomcat10/web.xml", self.directory / "conf" / "web.xml")
        env = {
            "CATALINA_HOME": str(HOME),
            "CATALINA_BASE": str(self.directory),
            "JAVA_OPTS": "-Xmx128m -XX:TieredStopAtLevel=1 -Djava.awt.headless=true",
            "PATH": "/usr/bin:/bin",
        }
        command: list[str | Path] = [HOME / "bin" / "catalina.sh", "run"]
        self._process = Process(command, log=self.directory / "tomcat.log", env=env)
        self._process.wait_port(self.port)

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop()
            self._process = None
