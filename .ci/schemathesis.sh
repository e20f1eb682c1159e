#!/usr/bin/env bash
# Tests a running host against its OpenAPI document with all phases of schemathesis: no answer is a
# 5xx or missing from the document, no allowed request is refused, and no other request is accepted.
#
#   .ci/schemathesis.sh            takes three minutes
#   SCHEMATHESIS_SECONDS=1800 .ci/schemathesis.sh
#
# Installs schemathesis once from PyPI into a Python environment in TIDEMILL_TOOLS (by default
# ~/.cache/tidemill/tools). Uses the binary TIDEMILL_BINARY, or builds one. The host listens on
# loopback and stores its data in a temporary folder. SCHEMATHESIS_SEED repeats a run.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
version=4.32.5
seconds=${SCHEMATHESIS_SECONDS:-180}
tools=${TIDEMILL_TOOLS:-${HOME:-$PWD/target}/.cache/tidemill/tools}
say() { echo "schemathesis: $*" >&2; }

python=$tools/schemathesis-$version
if ! "$python/bin/schemathesis" --version >/dev/null 2>&1; then
    say "installing $version once, into $python"
    rm -rf "$python"
    mkdir -p "$tools"
    # Debian's python3 may come without venv and ensurepip; virtualenv needs neither.
    if ! python3 -m venv "$python" 2>/dev/null; then
        rm -rf "$python"
        python3 -m pip install --quiet --target "$tools/virtualenv" virtualenv
        PYTHONPATH=$tools/virtualenv python3 -m virtualenv --quiet "$python"
    fi
    "$python/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"
fi

binary=${TIDEMILL_BINARY:-}
if [ -z "$binary" ]; then
    cargo build --quiet --locked -p tidemill
    binary=${CARGO_TARGET_DIR:-target}/debug/tidemill
fi
folder=$(mktemp -d)
host=
stop() {
    local status=$?
    if [ -n "$host" ]; then
        kill "$host" 2>/dev/null || true
        wait "$host" 2>/dev/null || true
    fi
    cd "$root"
    rm -rf "$folder"
    exit "$status"
}
trap stop EXIT
case $binary in /*) ;; *) binary=$root/$binary ;; esac

token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
# Without a master key, setting a secret is a 503.
key=$("$binary" secrets new-master-key)
: >"$folder/log"
TIDEMILL_TOKEN=$token TIDEMILL_MASTER_KEY=$key "$binary" serve --addr 127.0.0.1:0 --data "$folder/data" --log warn >/dev/null 2>"$folder/log" &
host=$!
url=
for _ in $(seq 300); do
    url=$(sed -n 's/.*is up at \(http:[^ ]*\).*/\1/p' "$folder/log")
    [ -z "$url" ] || break
    kill -0 "$host" 2>/dev/null || { cat "$folder/log" >&2; exit 1; }
    sleep 0.1
done
[ -n "$url" ] || { say "the host did not come up"; cat "$folder/log" >&2; exit 1; }

# Create a component, deployments with a schedule and a subscription, runs and an event.
.ci/build-guests.sh hello >&2
component=$(dirname "$binary")/../guests/hello.wasm
python3 .ci/schemathesis/seed.py "$url" "$token" "$component"
python3 .ci/schemathesis/document.py "$url" "$token" >"$folder/openapi.json"

say "$seconds s against $url"
status=0
# schemathesis writes a cache to its working folder.
cd "$folder"
PYTHONPATH=$root/.ci/schemathesis PYTHONDONTWRITEBYTECODE=1 timeout "$((seconds + 300))" \
    "$python/bin/schemathesis" --config-file "$root/.ci/schemathesis/schemathesis.toml" run openapi.json \
    --url "$url" -H "Authorization: Bearer $token" --max-time "$seconds" --no-color \
    --generation-database none ${SCHEMATHESIS_SEED:+--seed "$SCHEMATHESIS_SEED"} || status=$?
if [ "$status" -ne 0 ]; then
    say "failed ($status); the host's log ends with:"
    tail -20 "$folder/log" >&2
    exit "$status"
fi
kill -0 "$host" || { say "the host has died"; tail -20 "$folder/log" >&2; exit 1; }
