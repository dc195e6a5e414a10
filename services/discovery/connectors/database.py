"""A PostgreSQL of somebody else, as a source reads it: TLS verified, addresses held against the policy, nothing written.

What it says is raised in the words of `shared.errors`: `Refused` for the login, `NotPermitted` for a table that the
login may not read, `NotFound` for one that is not there, `Unavailable` for everything that may be over the next time.
"""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import asyncpg
import httpcore

from services.discovery.connectors import Access
from services.discovery.connectors.web import NotPermitted
from shared.errors import Invalid, NotFound, Refused, Unavailable
from shared.outbound import Forbidden, permitted_addresses


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a database is, and as whom we log in."""

    host: str
    port: int
    database: str
    username: str
    password: str = field(repr=False)
    trusted_ca: str | None = None
    """PEM that is trusted beside the public roots."""


class _NamedContext(ssl.SSLContext):
    """Verifies a name, while the connection goes to the address that was checked for it."""

    name = ""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - the signature that it has
        server_hostname: str | bytes | None = None,  # noqa: ARG002 - the address, where the name is wanted
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin TLS, for the name."""
        return super().wrap_bio(incoming, outgoing, server_side, self.name, session)


@asynccontextmanager
async def read_only(access: Access, place: Place) -> AsyncIterator[asyncpg.Connection]:
    """Open a connection on which nothing can be written."""
    seconds = access.limits.connect.total_seconds()
    with told():
        addresses = await permitted_addresses(access.policy, place.host, place.port, timeout=seconds)
        connection = await asyncpg.connect(
            host=addresses,
            port=place.port,
            user=place.username,
            password=place.password,
            database=place.database,
            ssl=_context(place),
            timeout=seconds,
            command_timeout=access.limits.command.total_seconds(),
            server_settings={"default_transaction_read_only": "on", "application_name": "everleaf"},
        )
    try:
        yield connection
    finally:
        connection.terminate()  # there is nothing to be finished, and the other side may be silent


@contextmanager
def told() -> Iterator[None]:
    """Raise what the database and the way to it say in our words."""
    try:
        yield
    except Forbidden as error:
        raise Refused(f"{error}.", next_step="Ask an operator to allow it.") from error
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise Refused(
            f"The database refuses the login ({error}).", next_step="Store a new credential."
        ) from error
    except asyncpg.InvalidCatalogNameError as error:
        raise Refused(f"The database says: {error}.", next_step="Correct `database`.") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise NotPermitted(
            f"The database says: {error}.", next_step="Grant the login SELECT on it."
        ) from error
    except asyncpg.UndefinedTableError as error:
        raise NotFound(f"The database says: {error}.", next_step="Correct `database`.") from error
    except (TimeoutError, httpcore.TimeoutException) as error:
        raise Unavailable("The database did not answer in time.", next_step="Check that it is up.") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, httpcore.NetworkError, OSError) as error:
        reason = f"{type(error).__name__}: {error}".removesuffix(".")
        raise Unavailable(f"The database cannot be read ({reason}).", next_step=_next_step(error)) from error


def _next_step(error: Exception) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "Name the CA of the database in `trusted_ca`, or correct its certificate."
    if "rejected SSL" in str(error):
        return "Turn TLS on in the database: it is not read without."
    return "Check the address, and that it is up."


def _context(place: Place) -> ssl.SSLContext:
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)  # which verifies certificate and name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.name = place.host
    context.load_default_certs()
    if place.trusted_ca:
        try:
            context.load_verify_locations(cadata=place.trusted_ca)
        except (ssl.SSLError, ValueError) as error:
            raise Invalid(
                "The trusted certificate is not PEM.", next_step="Send the CA's certificate as PEM text."
            ) from error
    return context
