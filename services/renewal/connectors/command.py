"""An authority of your own behind a program on this machine: a request on its standard input, the chain on its output.

Whoever may make an authority must not be able to run whatever there is: the program is a name in the one folder that
the operator has set, and no argument is passed.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Self

import anyio
from pydantic import Field, SecretStr

from services.renewal.connectors import Identity, Network, NotNow, Part, Progress, Request, Terms
from services.renewal.connectors.errands import asked_for, progress, to_revoke, understood
from services.renewal.connectors.programs import NAME, Ended, program_at, run_program
from services.renewal.connectors.vendor import Vendor, VendorOptions, take_no_challenge
from shared.errors import Refused
from shared.events.renewal import RevocationReason

TRY_AGAIN = 75
"""The exit status that says "not now": EX_TEMPFAIL of `sysexits.h`."""
_SHOWN = 300


class CommandOptions(VendorOptions):
    """Which program is run."""

    program: str = Field(
        pattern=NAME,
        max_length=200,
        description="Its name in the folder EVERLEAF_RENEWAL_COMMANDS.",
        examples=["corporate-ca"],
    )
    seconds: int = Field(60, ge=1, le=600, description="After this long it is ended.")


class CommandSecrets(Part):
    """What the program needs to log in."""

    credential: SecretStr | None = Field(
        None, max_length=20_000, description="Told to the program as `credential`, beside the request."
    )


class Command(Vendor):
    """One that is a program."""

    kind: ClassVar[str] = "command"
    summary: ClassVar[str] = "An authority of your own, asked by a program on this machine."
    options_type: ClassVar[type[Part]] = CommandOptions
    secrets_type: ClassVar[type[Part]] = CommandSecrets
    decides_lifetime: ClassVar[bool] = False

    def __init__(self, program: Path, options: CommandOptions, *, credential: str | None) -> None:
        self._program = program
        self._options = options
        self._credential = credential

    @classmethod
    def check_terms(cls, options: CommandOptions, *, terms: Terms, network: Network) -> None:
        """Raise `Invalid` where a challenge is asked for, or the program is not there."""
        take_no_challenge(terms)
        program_at(network, options.program)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        options: CommandOptions,
        *,
        secrets: CommandSecrets,
        identity: Identity,  # noqa: ARG003 - the Protocol's
        network: Network,
    ) -> AsyncIterator[Self]:
        """Find the program. Raises `Invalid`."""
        credential = secrets.credential.get_secret_value() if secrets.credential is not None else None
        yield cls(program_at(network, options.program), options, credential=credential)

    async def advance(
        self,
        request: Request,
        *,
        state: bytes | None,
        resumed: bool,  # noqa: ARG002 - the program knows the order by its key
        now: datetime,  # noqa: ARG002 - the Protocol's
    ) -> Progress:
        """Run it. Raises `Refused` or `NotNow`."""
        pending = state.decode() if state is not None else None
        output = await self._run(asked_for(request, pending=pending))
        return progress(request, understood(output), first=state is None, who=self._options.program)

    async def revoke(
        self,
        certificate: bytes,
        *,
        issuer: bytes | None,
        reason: RevocationReason,
        now: datetime,  # noqa: ARG002 - the Protocol's
    ) -> None:
        """Have it revoked; the program makes nothing of one that is revoked already."""
        await self._run(to_revoke(certificate, issuer=issuer, reason=reason))

    async def _run(self, told: Mapping[str, Any]) -> bytes:
        told = told if self._credential is None else {**told, "credential": self._credential}
        try:
            with anyio.fail_after(self._options.seconds):
                done = await run_program(self._program, json.dumps(told).encode())
        except TimeoutError:
            raise NotNow(f"{self._options.program} did not end within {self._options.seconds} s.") from None
        except OSError as error:
            raise NotNow(f"{self._options.program} cannot be run: {error.strerror}.") from error
        self._judge(done)
        return done.output

    def _judge(self, done: Ended) -> None:
        if done.status == 0:
            return
        said = f"{self._options.program}: {self._said(done.errors) or f'exit status {done.status}'}."
        if done.status == TRY_AGAIN or done.status < 0:  # below 0 it was killed
            raise NotNow(said)
        raise Refused(
            said, next_step="Correct what it says, or give it a new credential; then try the order again."
        )

    def _said(self, errors: bytes) -> str:
        """Return the last line of its standard error as plain text, without the credential."""
        lines = errors.decode(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "")
        if self._credential is not None:
            last = last.replace(self._credential, "…")
        return " ".join("".join(each if each.isprintable() else " " for each in last).split())[
            :_SHOWN
        ].rstrip(".")
