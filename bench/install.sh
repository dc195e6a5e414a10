#!/bin/sh
# install.sh PYTHON FOLDER: installs the baselines. Debian packages need root; the rest goes below FOLDER. What cannot be
# installed is said, and its rows are then "not measured".
set -eu
python=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)

missing=""
need() { # PROGRAM PACKAGE
    PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need nginx nginx-light
need openssl openssl
need nmap nmap
need sslscan sslscan
need cc "gcc libc6-dev"
[ -x /usr/bin/time ] || missing="$missing time"
gopath=/usr/share/gocode
[ -d "$gopath/src/golang.org/x/crypto/acme" ] || missing="$missing golang-golang-x-crypto-dev"

install_packages() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "The bench needs these Debian packages, and only root can install them:$missing" >&2
        return
    fi
    # nginx must not start by itself: the bench starts its own.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt="apt-get -qq -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3"
    # shellcheck disable=SC2086 # the options and the packages are lists
    $apt update && $apt install -y --no-install-recommends $missing >/dev/null
}

# The peers have an environment of their own: sslyze is AGPL, and nothing of it may get near the product's.
install_peers() {
    cmp -s "$here/requirements.lock" "$folder/installed.lock" && return
    "$python" -m venv --clear "$folder/venv" &&
        "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
            --requirement "$here/requirements.lock" &&
        cp "$here/requirements.lock" "$folder/installed.lock"
}

is_newer() { [ ! -x "$2" ] || [ "$1" -nt "$2" ]; }

build_floor() {
    is_newer "$here/scan/floor.c" "$folder/floor" || return 0
    cc -O2 -o "$folder/floor" "$here/scan/floor.c"
}

# Without modules Go keeps its old defaults, which accept the oldest servers (RSA key exchange, SHA-1, 3DES) as a scanner must.
build_goscan() {
    is_newer "$here/scan/goscan.go" "$folder/goscan" || return 0
    GO111MODULE=off CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS='' GOCACHE="$folder/go-cache" \
        "$folder/venv/bin/go" build -o "$folder/goscan" "$here/scan/goscan.go"
}

build_acme() {
    is_newer "$here/issue/acme.go" "$folder/acme" || return 0
    GO111MODULE=off GOPATH="$gopath" CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS='' GOCACHE="$folder/go-cache" \
        "$folder/venv/bin/go" build -o "$folder/acme" "$here/issue/acme.go"
}

# As pip does with what it installs, unless that is editable; other installers leave it to the first import, which may
# not be allowed to. Else every scan would compile what it imports.
compile_everleaf() {
    cryptography=$("$python" -c 'import cryptography; print(*cryptography.__path__)')
    "$python" -m compileall -q "$here/../services" "$here/../shared" "$cryptography"
}

compile_everleaf
[ -z "$missing" ] || (install_packages) || echo "apt-get could not install:$missing" >&2
(install_peers) || echo "Go and sslyze could not be installed: their rows are not measured." >&2
(build_floor) || echo "The C floor could not be built: its rows are not measured." >&2
(build_goscan) || echo "The Go scanner could not be built: its rows are not measured." >&2
(build_acme) || echo "The Go ACME client could not be built: issue.pebble is not measured." >&2
