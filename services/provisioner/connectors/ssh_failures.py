"""What goes wrong between us and a host, by its name."""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import asyncssh

from services.provisioner.domain import DeploymentError, Failure

T = TypeVar("T")


class Absent(DeploymentError):
    """There is no such file."""


class Unexplained(DeploymentError):
    """The server said no more than that it failed."""


async def within(work: Awaitable[T], limit: timedelta, *, what: str) -> T:
    """Return what comes of it within a limit. Raises `DeploymentError` (unreachable)."""
    seconds = limit.total_seconds()
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise DeploymentError(
            Failure.UNREACHABLE, f"Could not {what}: no answer in {seconds:g} s.", step="connect"
        ) from None


@contextmanager
def named(what: str) -> Iterator[None]:
    """Turn what asyncssh raises into failures with a name."""
    try:
        yield
    except asyncssh.SFTPError as error:
        raise sftp_failure(error, what=what) from error
    except (asyncssh.Error, OSError) as error:
        raise DeploymentError(Failure.UNREACHABLE, f"Could not {what}: {error}.", step="connect") from error


def sftp_failure(error: asyncssh.SFTPError, *, what: str) -> DeploymentError:
    """Return what SFTP refused as a failure with a name."""
    reason = f"Could not {what}: {error.reason}."
    if isinstance(error, asyncssh.SFTPNoSuchFile | asyncssh.SFTPNoSuchPath):
        return Absent(Failure.NO_SUCH_FOLDER, reason, step="files")
    if isinstance(error, asyncssh.SFTPPermissionDenied):
        return DeploymentError(Failure.PERMISSION_DENIED, reason, step="files")
    if isinstance(error, asyncssh.SFTPConnectionLost | asyncssh.SFTPNoConnection):
        return DeploymentError(Failure.UNREACHABLE, reason, step="connect")
    return Unexplained(Failure.WRITE_FAILED, reason, step="files")
