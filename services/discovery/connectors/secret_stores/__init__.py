"""Where credentials of sources may lie instead of with us: a `SecretStore` is read at each opening of a source.

What is fetched lives as long as the source is open, and is kept nowhere.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, ClassVar, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.discovery.connectors import Access, Check


def _stays_below(path: str) -> str:
    # A client may take `..` out of an address together with what is before it, so that another secret is asked for.
    if any(part in (".", "..") for part in path.split("/")):
        raise ValueError("a path has no parts `.` and `..`")
    return path


Path = Annotated[
    str,
    Field(pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$", max_length=500, examples=["secret/web-1"]),
    AfterValidator(_stays_below),
]
_Name = Annotated[str, Field(min_length=1, max_length=200)]


class SecretReference(BaseModel):
    """Where a credential lies: in which store, under which path, and as which members of that secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    secret_store: str = Field(min_length=1, max_length=200, description="Its name.", examples=["vault"])
    path: Path
    fields: dict[_Name, _Name] = Field(
        {},
        max_length=20,
        description="Which field of the credential is which member of the secret; left out, each the one of its name.",
        examples=[{"password": "pw"}],
    )


class SecretStore(Protocol):
    """Something that keeps secrets, and that we log into to read one. Opened for one piece of work, closed after it.

    Raises `Refused` (and `NotPermitted`) where it says no, `NotFound` where nothing lies under a path, `Invalid` where
    what lies there has no members, and `Unavailable` where it gives no usable answer. No text holds what it keeps.
    """

    kind: ClassVar[str]
    summary: ClassVar[str]
    settings_type: ClassVar[type[BaseModel]]
    credential_type: ClassVar[type[BaseModel]]

    @classmethod
    def open(cls, access: Access) -> AbstractAsyncContextManager["SecretStore"]:
        """Connect and log in."""

    async def check(self) -> Sequence[Check]:
        """Say who we are there, and how long."""

    async def read(self, path: str) -> Mapping[str, Any]:
        """Return the members of a secret, as it is now."""
