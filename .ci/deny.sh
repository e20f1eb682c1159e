#!/usr/bin/env bash
# Runs cargo-deny with deny.toml: duplicates, licences and sources, and the advisory database if it
# is reachable.
#
# Uses cargo-deny from PATH. If it is not there, builds it once from the registry into
# TIDEMILL_TOOLS (by default ~/.cache/tidemill/tools), which takes four minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.20.2
tools=${TIDEMILL_TOOLS:-${HOME:-$PWD/target}/.cache/tidemill/tools}

if command -v cargo-deny >/dev/null; then
    deny=cargo-deny
else
    deny=$tools/bin/cargo-deny
    if ! "$deny" --version 2>/dev/null | grep -qF "$version"; then
        echo "deny: building cargo-deny $version once, into $tools"
        env -u CARGO_TARGET_DIR cargo install --quiet --debug --locked --root "$tools" "cargo-deny@$version"
    fi
fi

"$deny" --locked check --hide-inclusion-graph bans licenses sources

database=https://github.com/RustSec/advisory-db
if timeout 30 git ls-remote --exit-code "$database" HEAD >/dev/null 2>&1; then
    "$deny" --locked check --hide-inclusion-graph advisories
else
    echo "deny: the advisory database is not reachable; advisories were not checked"
fi
