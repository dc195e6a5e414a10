"""Notices, and entries of the audit trail, for a SIEM: as syslog, CEF or OCSF, over syslog with TLS or over HTTP."""

from enum import StrEnum


class Format(StrEnum):
    """How a notice, or an entry of the audit trail, is written down."""

    SYSLOG = "syslog"
    """Structured data of RFC 5424, and a line for people."""
    CEF = "cef"
    OCSF = "ocsf"
