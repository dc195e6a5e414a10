#!/bin/sh
# sign-authority.sh DIRECTORY REQUEST: has the root that prepare.sh made in DIRECTORY sign the request (PKCS#10 in DER) of an authority of
# Everleaf's, and prints that authority's certificate and the root, as `PUT /renewal/v1/authorities/ID/certificate` takes them.
set -eu
directory=$1
request=$2
extensions=$(mktemp)
trap 'rm -f "$extensions"' EXIT
printf '%s\n' "subjectKeyIdentifier=hash" "authorityKeyIdentifier=keyid" >"$extensions"
# What the request says of itself is kept: that it may sign, but no further authority, and for which names.
openssl x509 -req -copy_extensions copyall -inform DER -in "$request" -CA "$directory/root-ca/ca.pem" -CAkey "$directory/root-ca/key.pem" -days 1826 \
    -set_serial "0x$(openssl rand -hex 16 | sed 's/^./4/')" -extfile "$extensions"
cat "$directory/root-ca/ca.pem"
