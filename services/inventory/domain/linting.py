"""What to do where a rule is broken that certificates are held against."""

from collections.abc import Mapping

from shared.lint import CRASHED, UNREADABLE

_REISSUE = "Have it issued again"
_REMEDIES: Mapping[str, str] = {
    CRASHED: "Have it issued again by software that writes plain DER; tell us the bytes, so that they are read next time.",
    UNREADABLE: "Find out what put it there, and have a certificate issued by software that writes plain DER.",
    "itu.invalid_asn1_syntax": f"{_REISSUE} by software that writes correct DER.",
    "pkix.invalid_domain_name_syntax": f"{_REISSUE} with names that are DNS names (RFC 1034 §3.5, no underscore).",
    "pkix.subject_key_identifier_extension_absent": f"{_REISSUE} with a subject key identifier (RFC 5280 §4.2.1.2).",
    "pkix.authority_key_identifier_extension_absent": f"{_REISSUE} with an authority key identifier: clients find the "
    "issuer by it, and ACME renewal information names certificates by it.",
    "cabf.serverauth.dv.common_name_attribute_present": "Nothing breaks. A CSR without a common name avoids it.",
    "cabf.internal_domain_name": "Use a name below a registered domain, or a private CA for internal names.",
    "cabf.serverauth.subscriber.revocation_information_absent": "Tell the CA: it must name a CRL or an OCSP responder.",
    "cabf.serverauth.subscriber.certificate_policies_extension_absent": "Tell the CA: its profile is not a public one.",
    "cabf.serverauth.subscriber.authority_info_access_extension_absent": "Tell the CA: clients cannot find the issuer.",
    "cabf.serverauth.subscriber.subject_key_identifier_extension_present": "Nothing breaks; it is for the CA's profile.",
    "cabf.serverauth.subscriber.key_usage_extension_absent": "Tell the CA: the key usage should be stated.",
}
_BY_BEGINNING: Mapping[str, str] = {
    "cabf.serverauth.certificate_validity_period_exceeds_": "Have it issued again for fewer days (BR §6.3.2): clients may "
    "refuse it, and the CA may revoke it.",
    "cabf.rsa_": f"{_REISSUE} with an RSA key of 2048 bits or more, or an ECDSA key.",
    "pkix.certificate_serial_number_": f"{_REISSUE}: its serial number is not positive, or too long.",
}


def remedy(rule: str) -> str | None:
    """Return what to do where a rule is broken, for those that are met often."""
    found = _REMEDIES.get(rule)
    return found or next((text for begin, text in _BY_BEGINNING.items() if rule.startswith(begin)), None)
