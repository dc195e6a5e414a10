"""Authorisation and what goes with it, tried on all five services as their contracts name the routes.

What the fifteen advisories about Lemur (May to August 2026) were about, what else went wrong there, and what tries the same here:

| what went wrong there | what tries it here |
|---|---|
| export of a certificate skips the check of its owner (GHSA-4h97) | test_authorisation: every route with an id, `…/pem` and the exports among them |
| `replaces` names a certificate of others, and silences it (GHSA-cfh6) | test_authorisation: everything a request may name |
| a sub-CA is made under an authority of others (GHSA-g7p5) | test_scopes_by_name: profiles name authorities, orders profiles |
| a duplicate row of a certificate is revoked (GHSA-pxmc) | a certificate is its fingerprint; there is no second row to make |
| a destination shows its password (GHSA-6c8m) | test_secrets: fields, answers, events and databases |
| a role edits itself; a creator is given the role of the owner (GHSA-x3vf, GHSA-qcqw) | tests/inventory/test_rights.py |
| the directory is asked with what somebody typed, and answers for others (GHSA-3r34) | tests/inventory/test_sign_in.py: names and groups are compared and never asked with |
| the token's own header says how it is verified (GHSA-r9gp) | tests/shared/test_access.py: unsigned tokens, and the public key as a shared secret |
| a changed password is kept in clear (GHSA-q437) | test_secrets: whatever was sent as a secret, at creation or change, is nowhere in clear; there are no passwords of people here |
| whoever is signed in may write | test_authorisation: all permissions but the one a route declares are not enough; a route without one does not start (tests/shared/http/test_routes.py) |
| a list shows what its items would not | test_authorisation: lists, counts and exports tell nothing |
| CRL and OCSP addresses of a certificate lead inside (GHSA-54vg) | tests/inventory/test_revocations.py, and the one guarded client (tests/architecture/test_outbound.py) |
| redirects and names that resolve otherwise the second time (GHSA-f3qq) | tests/shared/test_outbound.py |
| the address of an ACME directory at creation (GHSA-v2wp) and at a change (GHSA-v5rc) | test_ssrf, tests/conformance/authorities: held against the policy at every connection, not when it is written |
| addresses that an ACME server answers with (GHSA-xpmj) | the same: every connection of that client passes the gate |
| tokens outlive what was taken away | tests/inventory/test_rights.py, tests/shared/test_void_tokens.py |
| sign-in: state, nonce, audience, algorithm | tests/inventory/test_sign_in.py |
"""
