#!/usr/bin/env bash
# cargo-deny by deny.toml: duplicates, licences, sources; and the database of known weaknesses, where it can be reached.
#
# cargo-deny is taken from PATH, else built once from the registry and kept in TIDEMILL_TOOLS (by default
# ~/.cache/tidemill/tools): four minutes on two cores.
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
    echo "deny: the database of advisories cannot be reached from here; it was not asked"
fi
