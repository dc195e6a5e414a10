"""Asks pkilint; meant for a process of its own (`shared.apart`), the only one that pays for importing it."""

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

from shared.errors import Invalid
from shared.extensions import storable
from shared.lint import (
    MOST_EVIDENCE,
    RULES_VERSION,
    Finding,
    Linted,
    RuleSet,
    Severity,
    classify,
    rules_for,
    unreadable,
)
from shared.x509 import load

LONGEST_RULE = 150
_WILDCARD = re.compile(r"\*(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+")
_SEVERITIES = {severity.name: severity for severity in Severity}
_RANK = {severity: rank for rank, severity in enumerate(Severity)}
MOST_LINES = 10
"""Of evidence for one rule: twenty thousand bad names are told by the first few and a number."""


def linter_version() -> str:
    """Return the name and version of what lints, as it is kept with each finding."""
    return f"pkilint {version('pkilint')}/{RULES_VERSION}"


def lint(der: bytes, is_public: bool) -> Linted:  # noqa: FBT001 - positional: it is sent to another process
    """Lint a certificate by its class. Raises whatever pkilint raises on bytes that it cannot read."""
    logging.getLogger("pkilint").setLevel(logging.CRITICAL + 1)  # what it logs, it also tells as findings
    try:
        certificate = load(der)
    except Invalid as error:
        return unreadable(error.detail)
    kind = classify(certificate, is_public=is_public)
    rules = rules_for(kind, not_before=certificate.not_valid_before_utc)
    return Linted(kind=kind, rules=rules, findings=tuple(_findings(_RUN[rules](der))))


def _findings(results: Iterable[Any]) -> list[Finding]:
    lines: dict[str, list[str]] = defaultdict(list)
    severities: dict[str, Severity] = {}
    for result in results:
        for told in result.finding_descriptions:
            severity = _SEVERITIES.get(told.finding.severity.name)
            if severity is not None:  # INFO and DEBUG are told of every good certificate
                rule = told.finding.code[:LONGEST_RULE]
                lines[rule].append(_line(result.node.path, told.message))
                severities[rule] = min(severities.get(rule, severity), severity, key=_RANK.__getitem__)
    return [
        Finding(rule=rule, severity=severities[rule], evidence=_evidence(found))
        for rule, found in lines.items()
    ]


def _line(path: str, message: str | None) -> str:
    where = path.removeprefix("certificate.").removeprefix("tbsCertificate.")
    return f"{where}: {message}" if message else where


def _evidence(lines: Sequence[str]) -> str:
    more = [f"… and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
    return storable("\n".join([*(line[:400] for line in lines[:MOST_LINES]), *more]), most=MOST_EVIDENCE)


def _pkix(der: bytes) -> Sequence[Any]:
    from pkilint import loader  # noqa: PLC0415 - see above

    results = _pkix_rules().validate(loader.load_der_certificate(der, "certificate").root)
    return [result for result in results if not _is_wildcard(result)]


def _is_wildcard(result: Any) -> bool:
    """Return whether all that is wrong is a wildcard: RFC 5280 §4.2.1.6 leaves them to others, RFC 9525 §6.3 takes them."""
    codes = {told.finding.code for told in result.finding_descriptions}
    return codes == {"pkix.invalid_domain_name_syntax"} and bool(_WILDCARD.fullmatch(str(result.node.pdu)))


@cache
def _pkix_rules() -> Any:
    from pkilint.pkix import certificate, extension, name  # noqa: PLC0415 - slow to import, and only a process apart needs it

    return certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )


def _serverauth(der: bytes) -> Sequence[Any]:
    from pkilint import finding_filter, loader  # noqa: PLC0415 - slow to import, and only a process apart needs it
    from pkilint.cabf import serverauth  # noqa: PLC0415 - slow to import, and only a process apart needs it

    certificate = loader.load_der_certificate(der, "certificate")
    kind = serverauth.determine_certificate_type(certificate)
    filters = serverauth.create_serverauth_finding_filters(kind)
    kept, _left_out = finding_filter.filter_results(
        filters, _serverauth_rules(kind).validate(certificate.root)
    )
    return kept  # type: ignore[no-any-return] # pkilint has no types


@cache
def _serverauth_rules(kind: Any) -> Any:
    from pkilint.cabf import serverauth  # noqa: PLC0415 - slow to import, and only a process apart needs it
    from pkilint.pkix import certificate  # noqa: PLC0415 - slow to import, and only a process apart needs it

    return certificate.create_pkix_certificate_validator_container(
        serverauth.create_decoding_validators(),
        [certificate.create_issuer_validator_container([]), *serverauth.create_validators(kind)],
    )


def _smime(der: bytes) -> Sequence[Any]:
    from pkilint import loader  # noqa: PLC0415 - slow to import, and only a process apart needs it
    from pkilint.cabf import smime  # noqa: PLC0415 - slow to import, and only a process apart needs it

    certificate = loader.load_der_certificate(der, "certificate")
    level, generation = smime.guess_validation_level_and_generation(certificate)
    return _smime_rules(level, generation).validate(certificate.root)  # type: ignore[no-any-return] # pkilint has no types


@cache
def _smime_rules(level: Any, generation: Any) -> Any:
    from pkilint.cabf import smime  # noqa: PLC0415 - slow to import, and only a process apart needs it
    from pkilint.pkix import certificate  # noqa: PLC0415 - slow to import, and only a process apart needs it

    return certificate.create_pkix_certificate_validator_container(
        smime.create_decoding_validators(), smime.create_subscriber_validators(level, generation)
    )


_RUN: dict[RuleSet, Callable[[bytes], Sequence[Any]]] = {
    RuleSet.PKIX: _pkix,
    RuleSet.CABF_SERVERAUTH: _serverauth,
    RuleSet.CABF_SMIME: _smime,
}
