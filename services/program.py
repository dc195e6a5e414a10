"""One process of Everleaf: its settings, checked, and the services assembled from them."""

import fcntl
import importlib
import json
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol, cast

import httpx
from sqlalchemy.engine import URL, make_url
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from services.settings import ProgramSettings
from services.siblings import SiblingClients, in_process
from shared.access import PublishedKeys, Verifier
from shared.bus import Bus, Queue
from shared.bus.rabbitmq import RabbitBus
from shared.bus.sqlite import SqliteBus
from shared.clock import utc_now
from shared.errors import Conflict, Invalid
from shared.outbound import Policy
from shared.pkcs11 import Token, TokenWrappingKey
from shared.sealing import KeyEncryptionKey, Sealer, WrappingKey
from shared.service import Endpoint, Service, Surroundings, database_url, open_database
from shared.settings import ServiceSettings, Settings, SettingsSource
from shared.store import Auditing, Database
from shared.store.migrate import Schema
from shared.store.rewrapping import prefixes_of_own
from shared.tls import client_context, server_context

# Inventory first: the others verify tokens with its keys.
NAMES = ("inventory", "discovery", "renewal", "provisioner", "notifier")
_DEFAULT_PORTS = {"postgresql": 5432, "amqp": 5672, "amqps": 5671}


class ServiceModule(Protocol):
    """What `services/<name>/service.py` offers."""

    NAME: str
    SETTINGS: type[ServiceSettings]
    SCHEMA: Schema

    def build(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Service]:
        """Open what the service needs, assemble it, and close it all at the end."""


def service_module(name: str) -> ServiceModule:
    """Import a service by name: only the ones that run are loaded."""
    return cast("ServiceModule", importlib.import_module(f"services.{name}.service"))


def sections() -> dict[str, type[Settings]]:
    """Return every section of settings there is."""
    return {"": ProgramSettings, **{name: service_module(name).SETTINGS for name in NAMES}}


class Program:
    """The settings of a process, checked, and what is opened from them."""

    def __init__(self, environ: Mapping[str, str], *, toml_path: Path, data_dir: Path | None = None) -> None:
        """Read and check all settings. Raises `WrongSetting`."""
        self.source = SettingsSource.read(environ, toml_path=toml_path)
        known = sections()
        self.source.refuse_unknown(known)
        for section, model in known.items():
            self.source.load(model, section=section)
        self.settings = self.source.load(ProgramSettings)
        self.data_dir = (data_dir or self.settings.data_dir).resolve()
        self.retry_after = tuple(timedelta(seconds=_seconds(text)) for text in self.settings.retry_after)
        self.outbound = Policy(self.settings.outbound_allow)

    def prepare_data_dir(self) -> None:
        """Make the data folder where there is none yet, for its owner only."""
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextmanager
    def only_one(self) -> Iterator[None]:
        """Hold the data folder for this process. Raises `Conflict` where another one has it."""
        with (self.data_dir / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Conflict(
                    f"Another `everleaf up` is running on {self.data_dir}.",
                    next_step="Stop it, or give this one another folder with --data.",
                ) from error
            yield

    def sealer_at_hand(self) -> Sealer | None:
        """Return the sealer, or None where the present key is a file that has yet to be made."""
        is_made = self.settings.kek_pkcs11_label or self.settings.kek_file or self._own_kek.exists()
        return self.sealer() if is_made else None

    @property
    def _own_kek(self) -> Path:
        return self.data_dir / "kek"

    def sealer(self) -> Sealer:
        """Return the sealer over the present and the former key-encryption keys."""
        former: list[WrappingKey] = [
            KeyEncryptionKey.from_hex(Path(path).read_text()) for path in self.settings.old_kek_files
        ]
        former += [self._token_kek(label) for label in self.settings.old_kek_pkcs11_labels]
        if self.settings.kek_pkcs11_label is not None:
            return Sealer([self._token_kek(self.settings.kek_pkcs11_label), *former])
        named = self.settings.kek_file
        if named is not None and not named.exists():
            # Making one would leave every secret sealed so far unreadable, and say nothing.
            raise Invalid(
                f"EVERLEAF_KEK_FILE: there is no {named}.",
                next_step="Name the file that holds the key, or make one there: openssl rand -hex 32",
            )
        present = named or self._own_kek
        return Sealer([KeyEncryptionKey.load_or_make(present), *former])

    @cached_property
    def token(self) -> Token | None:
        """The PKCS#11 token that the settings name, if any. Raises `Invalid` where they name no PIN."""
        if self.settings.pkcs11_module is None:
            return None
        if self.settings.pkcs11_pin is None:
            raise Invalid(
                "EVERLEAF_PKCS11_PIN is not set.",
                next_step="Set EVERLEAF_PKCS11_PIN_FILE to a file that has it.",
            )
        pin = self.settings.pkcs11_pin.get_secret_value()
        return Token(str(self.settings.pkcs11_module), label=self.settings.pkcs11_token, pin=pin)

    def _token_kek(self, label: str) -> TokenWrappingKey:
        if self.token is None:
            raise Invalid(
                "The key-encryption key is in a token, and none is set.",
                next_step="Set EVERLEAF_PKCS11_MODULE, EVERLEAF_PKCS11_TOKEN and EVERLEAF_PKCS11_PIN_FILE.",
            )
        return TokenWrappingKey.load_or_make(self.token, label)

    @asynccontextmanager
    async def open_bus(self) -> AsyncIterator[Bus]:
        """Open the transport the settings name, with every service's queues declared."""
        bus = self._bus()
        try:
            await bus.declare(self.queues())
            yield bus
        finally:
            await bus.close()

    @asynccontextmanager
    async def tracing(self, names: Sequence[str]) -> AsyncIterator[None]:
        """Tell what is done to a collector of traces, where the settings name one. Raises `Invalid`."""
        settings = self.settings
        if settings.trace_endpoint is None:
            yield
            return
        if not settings.trace_endpoint.startswith(("https://", "http://")):
            raise Invalid(
                "EVERLEAF_TRACE_ENDPOINT is not an http:// or https:// URL.",
                next_step="Write it as https://collector.internal:4318/v1/traces.",
            )
        from shared.trace_export import exporting  # noqa: PLC0415 - a second of imports that only this needs

        secret = settings.trace_authorization
        with exporting(
            settings.trace_endpoint,
            process="everleaf" if len(names) > 1 else f"everleaf-{names[0]}",
            ratio=settings.trace_ratio,
            headers={"authorization": secret.get_secret_value()} if secret is not None else None,
            ca=settings.trace_tls_ca,
        ):
            yield

    def _bus(self) -> Bus:
        settings = self.settings
        if settings.bus_url is None:
            return SqliteBus(self.data_dir / "bus.db")
        url = make_url(settings.bus_url)
        if url.drivername not in ("amqp", "amqps"):
            raise Invalid("EVERLEAF_BUS_URL is not amqp:// or amqps://.", next_step="Correct it.")
        if settings.bus_password is not None:
            url = url.set(password=settings.bus_password.get_secret_value())
        tls: ssl.SSLContext | None = None
        if url.drivername == "amqps":
            tls = client_context(
                settings.bus_tls_ca, certificate=settings.bus_tls_certificate, key=settings.bus_tls_key
            )
        return RabbitBus(url.render_as_string(hide_password=False), tls=tls, declares=settings.bus_declares)

    def serving_tls(self) -> ssl.SSLContext | None:
        """Return what HTTPS is served with, None where it is HTTP. Raises `Invalid` where half of it is missing."""
        settings = self.settings
        if settings.tls_certificate is None or settings.tls_key is None:
            if settings.tls_certificate or settings.tls_key or settings.tls_client_ca:
                raise Invalid(
                    "HTTPS needs EVERLEAF_TLS_CERTIFICATE and EVERLEAF_TLS_KEY.",
                    next_step="Set both, or none of them and no EVERLEAF_TLS_CLIENT_CA.",
                )
            return None
        return server_context(settings.tls_certificate, settings.tls_key, client_ca=settings.tls_client_ca)

    def database_url(self, name: str) -> URL:
        """Return where the datastore of a service is, without its password."""
        settings = self.source.load(service_module(name).SETTINGS, section=name)
        return make_url(database_url(name, settings, data_dir=self.data_dir))

    def own_servers(self, names: Sequence[str]) -> list[Endpoint]:
        """Return the bus and the databases of these services, where they are servers."""
        sections = [self.source.load(service_module(name).SETTINGS, section=name) for name in names]
        urls = [self.settings.bus_url, *(section.database_url for section in sections)]
        parsed = [make_url(url) for url in urls if url]
        return [
            Endpoint(host=url.host, port=url.port or _DEFAULT_PORTS[url.get_backend_name()])
            for url in parsed
            if url.host
        ]

    def queues(self) -> list[Queue]:
        """Return every service's queue, as the committed contracts bind them.

        All of them are declared by whoever starts first: an event published before its consumer
        has ever run must wait for it.
        """
        return [
            Queue(name=f"{name}.events", types=tuple(received), backoff=self.retry_after)
            for name in NAMES
            if (received := events_of(name, action="receive"))
        ]


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise Invalid(
            f"EVERLEAF_RETRY_AFTER: {text!r} is not a number of seconds.", next_step="Write 5,60,600."
        ) from error


def events_of(name: str, *, action: Literal["send", "receive"]) -> list[str]:
    """Return the types of event that a service sends or receives, as its committed contract says."""
    path = Path(__file__).parent / name / "asyncapi.json"
    if not path.exists():
        return []
    operations = json.loads(path.read_text())["operations"].values()
    return [operation["x-event"] for operation in operations if operation["action"] == action]


@asynccontextmanager
async def open_services(
    program: Program, names: Sequence[str], bus: Bus, *, listening: Endpoint | None = None
) -> AsyncIterator[list[Service]]:
    """Assemble services, first to last; close them last to first. `listening` is where they are served."""
    services: list[Service] = []
    siblings = _siblings(program, services, everything=set(names) == set(NAMES))
    surroundings = Surroundings(
        settings=program.source,
        data_dir=program.data_dir,
        bus=bus,
        clock=utc_now,
        sealer=program.sealer(),
        verifier=Verifier(PublishedKeys(siblings.published_keys), issuer=program.settings.token_issuer),
        token_issuer=program.settings.token_issuer,
        outbound=program.outbound,
        siblings=siblings,
        retry_after=program.retry_after,
        token=program.token,
        own_servers=(*program.own_servers(names), *((listening,) if listening else ())),
    )
    async with AsyncExitStack() as opened:
        for name in names:
            service = await opened.enter_async_context(service_module(name).build(surroundings))
            services.append(service)
        await bus.declare([queue for service in services for queue in service.queues])
        yield services


def _siblings(program: Program, services: list[Service], *, everything: bool) -> SiblingClients:
    keys_dir = program.data_dir / "keys"
    if everything:
        base, transport = "http://everleaf", in_process(lambda: _mounts(services))
    else:
        base = program.settings.gateway_url
        context = client_context(program.settings.gateway_tls_ca) if base.startswith("https") else True

        def transport() -> httpx.AsyncBaseTransport:
            return httpx.AsyncHTTPTransport(verify=context)

    return SiblingClients(base, transport, keys_dir=keys_dir, clock=utc_now)


async def migrate(program: Program, names: Sequence[str]) -> None:
    """Bring the databases of these services to the newest version."""
    for name in names:
        async with open_database_of(program, name) as (schema, database):
            await schema.upgrade(database)


async def require_migrated(program: Program, names: Sequence[str]) -> None:
    """Raise `Conflict` where a database of these services is not at the newest version."""
    for name in names:
        async with open_database_of(program, name) as (schema, database):
            await schema.require_current(database)


async def require_key(program: Program, names: Sequence[str]) -> None:
    """Raise `Invalid` where a datastore has been sealed with a key-encryption key that is not at hand.

    A service's own keys tell: a few rows, sealed and wrapped anew with all the others.
    """
    sealer = program.sealer()
    for name in names:
        async with open_database_of(program, name) as (schema, database):
            for prefix in await prefixes_of_own(database, schema.metadata):
                if prefix not in sealer.prefixes:
                    raise _another_key(name, prefix)


def _another_key(name: str, prefix: bytes) -> Invalid:
    return Invalid(
        f"Secrets of {name} are sealed with the key-encryption key {prefix[1:].hex()}, which is not at hand.",
        next_step="Put it back where EVERLEAF_KEK_FILE says (by default `kek` in the data folder), or name it in "
        "EVERLEAF_OLD_KEK_FILES. If it is lost for good: run `everleaf forget-unreadable`.",
    )


@asynccontextmanager
async def open_database_of(
    program: Program, name: str, *, auditing: Auditing | None = None
) -> AsyncIterator[tuple[Schema, Database]]:
    """Open the database of a service, without the service."""
    module = service_module(name)
    settings = program.source.load(module.SETTINGS, section=name)
    database = open_database(name, settings, data_dir=program.data_dir, auditing=auditing)
    try:
        yield module.SCHEMA, database
    finally:
        await database.close()


def _mounts(services: Sequence[Service]) -> ASGIApp:
    """Return the services' APIs, each below its name."""
    return Starlette(routes=[Mount(f"/{service.name}", service.api) for service in services])
