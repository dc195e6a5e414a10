"""The list of CT logs that browsers take, in a file that something else keeps fresh."""

from pathlib import Path

import structlog

from services.renewal.domain.ct_logs import LogList, read_log_list
from shared.errors import Invalid

log = structlog.get_logger(__name__)


class LogListFile:
    """Read again whenever it has changed; one that can no longer be read leaves what was known. Raises `Invalid` at first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version, self._logs = self._found()

    def read(self) -> LogList:
        """Return the logs."""
        try:
            if self._stamp() != self._version:
                self._version, self._logs = self._found()
                log.info("ct_logs.read", logs=len(self._logs))
        except Invalid as error:
            log.warning("ct_logs.unreadable", reason=error.detail, logs=len(self._logs))
        return self._logs

    def _found(self) -> tuple[tuple[int, int], LogList]:
        version = self._stamp()
        try:
            return version, read_log_list(self._path.read_bytes())
        except OSError as error:
            raise self._away(error) from error

    def _stamp(self) -> tuple[int, int]:
        try:
            about = self._path.stat()
        except OSError as error:
            raise self._away(error) from error
        return about.st_mtime_ns, about.st_size

    def _away(self, error: OSError) -> Invalid:
        return Invalid(
            f"The list of CT logs {self._path} cannot be read: {error.strerror}.",
            next_step="Put it there, or leave EVERLEAF_RENEWAL_CT_LOG_LIST out.",
        )
