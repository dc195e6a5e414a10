#!/bin/sh
# prepare.sh DIRECTORY: makes what an installation starts with: passwords, the key-encryption key, the services' API keys, and
# first certificates for the parts to know one another by. What is there already is left as it is; run it again at will.
#
#   secrets/   one secret in each file; back up `kek` apart from the databases: without it sealed secrets are lost
#   tls/PART/  cert.pem, key.pem, ca.pem; Everleaf renews them in place (docs/how-to/renew-our-own-certificates.md)
#   root-ca/   the root of the installation: it signs the first certificates here, then Everleaf's own authority
#              (sign-authority.sh); after that take root-ca/key.pem away from this machine and keep it offline
#
# Needs openssl. EVERLEAF names the program that makes API keys and the broker's definitions (everleaf by default);
# HOSTS the names that gateway, broker and database are reached by, with commas (localhost by default).
set -eu
umask 077
directory=$1
everleaf=${EVERLEAF:-everleaf}
services="inventory discovery renewal provisioner notifier"
mkdir -p "$directory/secrets" "$directory/tls" "$directory/root-ca" "$directory/rabbitmq"
cd "$directory"

secret() { # NAME COMMAND...
    file=secrets/$1
    shift
    [ -s "$file" ] || { "$@" >"$file.new" && mv "$file.new" "$file"; }
}
secret kek openssl rand -hex 32
for name in $services; do
    secret "bus-$name" openssl rand -hex 24
    secret "db-$name" openssl rand -hex 24
    secret "db-$name-migrate" openssl rand -hex 24
done
secret bus-migrate openssl rand -hex 24
secret db-admin openssl rand -hex 24
for name in provisioner renewal notifier; do
    secret "api-key-$name" $everleaf api-key
done
[ -s rabbitmq/definitions.json ] || {
    $everleaf broker --passwords secrets >rabbitmq/definitions.json.new
    mv rabbitmq/definitions.json.new rabbitmq/definitions.json
}

if [ ! -s root-ca/ca.pem ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=Everleaf installation root" \
        -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
        -keyout root-ca/key.pem -out root-ca/ca.pem 2>/dev/null
fi

part() { # NAME DNS...
    folder=tls/$1
    shift
    [ ! -s "$folder/cert.pem" ] || return 0
    mkdir -p "$folder"
    names=$(for each in "$@"; do printf 'DNS:%s,' "$each"; done)
    printf '%s\n' "basicConstraints=critical,CA:FALSE" "keyUsage=critical,digitalSignature" \
        "extendedKeyUsage=serverAuth,clientAuth" "subjectAltName=${names%,}" >"$folder/extensions"
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
        -keyout "$folder/key.pem" -out "$folder/request.pem" 2>/dev/null
    openssl x509 -req -in "$folder/request.pem" -CA root-ca/ca.pem -CAkey root-ca/key.pem -days 45 \
        -set_serial "0x$(openssl rand -hex 16 | sed 's/^./4/')" -extfile "$folder/extensions" -out "$folder/cert.pem" 2>/dev/null
    rm "$folder/extensions" "$folder/request.pem"
    cp root-ca/ca.pem "$folder/ca.pem"
}
# shellcheck disable=SC2046 # one word for each name
set -- $(printf %s "${HOSTS:-localhost}" | tr , ' ')
for name in gateway rabbitmq postgresql; do
    part "$name" "$name.everleaf.internal" "$name" "$@"
done
for name in $services; do
    part "$name" "$name.everleaf.internal" "$name"
done
