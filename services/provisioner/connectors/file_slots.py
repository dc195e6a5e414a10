"""What a target that is made of files takes: its options, its slots, and what it remembers of the state before."""

from typing import Annotated, Final, Literal, Self
from urllib.parse import quote

from pydantic import Field, model_validator

from services.provisioner.connectors import Part, Slot

PEM: Final = "pem"
StoreFormat = Literal["pkcs12", "jks", "jceks"]
Format = Literal["pem", "pkcs12", "jks", "jceks"]
AbsolutePath = Annotated[
    str,
    Field(pattern=r"^/[^\x00-\x1f]*[^/\x00-\x1f]$", max_length=1000, examples=["/etc/nginx/tls/shop.pem"]),
]
Command = Annotated[str, Field(min_length=1, max_length=2000, examples=["systemctl reload postfix"])]
_SAFE = " !$&'()*+,:;=@._~-"


class FilesOptions(Part):
    """What holds for every slot of the target, unless the slot says otherwise."""

    command_prefix: str = Field(
        "",
        max_length=200,
        description="Put before each command, also before those that follow `&&` or `||`.",
        examples=["sudo -n"],
    )
    file_prefix: str = Field(
        "",
        max_length=200,
        description="Put before `sftp-server` and the shell that handle files on the host, where the account may not write them itself.",
        examples=["sudo -n"],
    )
    test_command: Command | None = Field(None, description="Must exit 0 before anything is reloaded.")
    reload_command: Command | None = Field(None, description="Makes the server read its files again.")


class FilesSlot(Slot):
    """Which files hold the certificate and its key."""

    certificate_path: AbsolutePath
    key_path: AbsolutePath | None = Field(
        None, description="Left out, the key is in the same file as the certificates."
    )
    chain_path: AbsolutePath | None = Field(
        None, description="A file that holds the intermediates only, where the server wants one."
    )
    chain: bool = Field(True, description="Whether the intermediates follow the leaf in certificate_path.")
    key_first: bool = Field(
        False, description="Whether the key comes before the certificates, where it is in the same file."
    )
    format: Format = Field(
        PEM,
        description="pkcs12, jks and jceks are keystores: key and certificates are one entry of certificate_path, and the "
        "password that opens the keystore stays.",
    )
    alias: str | None = Field(
        None, min_length=1, max_length=500, description="The entry's name in a keystore."
    )
    test_command: Command | None = None
    reload_command: Command | None = None

    @model_validator(mode="after")
    def _fits_the_format(self) -> Self:
        if self.format == PEM:
            if self.alias is not None:
                msg = "an alias belongs to a keystore: pkcs12, jks or jceks"
                raise ValueError(msg)
        elif self.key_path is not None or self.chain_path is not None or self.key_first:
            msg = f"a keystore ({self.format}) is one file: leave key_path, chain_path and key_first out"
            raise ValueError(msg)
        return self

    @property
    def key(self) -> str:
        """Return the certificate's path, and the entry in it where it is a keystore."""
        if self.alias is None:
            return self.certificate_path
        return f"{self.certificate_path}/{quote(self.alias, safe=_SAFE)}"

    @property
    def paths(self) -> tuple[str, ...]:
        """Return every file that is written."""
        return tuple(path for path in (self.certificate_path, self.chain_path, self.key_path) if path)


class KeptFile(Part):
    """A file that is replaced: its path with links followed, and whether there was one."""

    path: str
    existed: bool


class FilesUndo(Part):
    """What was there before, file by file."""

    files: list[KeptFile]
    waiting: str | None = None
    """The file of a key that was made on the host, and is put in place."""
