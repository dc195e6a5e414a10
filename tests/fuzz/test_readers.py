"""Every seed of the fuzzing, and everything it has ever found, is read without a failure."""

import ast
import re

import pytest

from tests.architecture.tree import ROOT
from tests.fuzz.readers import READERS, decrypted_flight, read_any
from tests.fuzz.seeds import decrypted, seeds

FOUND = (
    # A TLS alert that says nothing.
    bytes.fromhex("0f1503030000"),
    bytes.fromhex("0140800004000129"),
    # A status of CMP that says nothing.
    bytes.fromhex("073013300b020102a4023000a4023000b70430023000"),
    # A question of OCSP whose CertID is hashed by an algorithm that nobody knows.
    bytes.fromhex(
        "0c305530533051304f304d300906052b2203021a050004149c91eda9f22c5d93f4f88a4dfdc8ff9d01ec937104148ff2982ea6"
        "fe02221e7bb456949913c3ca0e6ac602144d52212c95a93ae44a15ba73f5ed2a7b31347871"
    ),
    # A CRL of a version that there is not.
    bytes.fromhex(
        "0c30819a3043020143300a06082a8648ce3d04030230143112301006035504030c095465737420726f6f74170d3236303130"
        "313030303030305a170d3236303130313030303030305a300a06082a8648ce3d0403020347003044022002dd9158169eed30"
        "611c48a7af2c3701dfcb203c6bd1bbd3cffbe1f307ca9a8202201594770aded1ca71697c965943900e827f83432e0d4f89aa"
        "8b95367bf7d3981c"
    ),
)
"""Inputs that a reader once failed at."""


def test_every_reader_has_seeds_and_reads_them() -> None:
    some = list(seeds())
    assert {seed[0] for seed in some} == set(range(len(READERS)))
    for seed in some:
        read_any(seed)
        for cut in range(1, min(len(seed), 300)):
            read_any(seed[:-cut])


def test_what_is_behind_the_encryption_is_reached() -> None:
    flight = decrypted_flight(decrypted([b"leaf", b"issuer"]))
    assert (flight.chain, flight.alpn, flight.is_done) == ((b"leaf", b"issuer"), "h2", True)


@pytest.mark.parametrize("data", FOUND)
def test_what_was_found_once_is_read(data: bytes) -> None:
    read_any(data)


NOT_STRANGERS = {
    "api_key": "random bytes of ours",
    "base64url": "written, not read",
    "bits": "written, not read",
    "close": "written, not read",
    "client_key_exchange": "a certificate that has been read",
    "cut": "an entry of ours",
    "dotted": "inside what `value` has read",
    "fingerprint": "hashed, not read",
    "framed": "written, not read",
    "from_pem": "a key of ours",
    "from_pkcs8": "a key of ours",
    "hand_over": "written, not read",
    "leaf_hash": "hashed, not read",
    "look_at": "written, not read",
    "octets": "written, not read",
    "open_with": "opened before it is read: authenticated",
    "seal_to": "a secret of ours",
    "signed": "written, not read",
    "sync": "written, not read",
    "to_revoke": "a certificate of ours",
    "verified": "hashed before it is read: authenticated",
    "verify_signature": "signed by us",
    "pem_of": "a request of ours",
    "key_of": "a request of ours",
    "lint": "in a process of its own, which may end",
    "lint_apart": "in a process of its own, which may end",
    "read_issuers": "in a process of its own, which may end",
}
"""Why a function that takes bytes reads none of strangers'."""
BY_CERTIFICATE = {
    "carefully",
    "certificate_id",
    "chain_for",
    "chain_for_pem",
    "chain_from",
    "chain_of",
    "facts_of",
    "host_names",
    "is_for",
    "key_fingerprint",
    "link",
    "load",
    "remark",
    "serial_of",
    "values",
}
"""What reads a certificate by what `read_certificate` tries: `x509`, `partial`, `der`."""
BY_SCAN = {"by_banner", "first_flight"}
"""What `look_fast` and `look_full` come by."""


def test_every_function_that_takes_bytes_is_fuzzed_or_says_why_not():
    fuzzed = set(re.findall(r"\w+", (ROOT / "tests/fuzz/readers.py").read_text()))
    takes = {
        node.name
        for folder in ("services", "shared")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and node.args.args
        and node.args.args[0].annotation is not None
        and ast.unparse(node.args.args[0].annotation) == "bytes"
    }
    assert takes - fuzzed - NOT_STRANGERS.keys() - BY_CERTIFICATE - BY_SCAN == set()
    assert (NOT_STRANGERS.keys() | BY_CERTIFICATE | BY_SCAN) - takes == set()
