#!/usr/bin/env bash
# Builds the guests of this repository, each a free-standing project as an author's is:
#
#   .ci/build-guests.sh [NAME…]        all of them where none is named
#   .ci/build-guests.sh --list         their names
#
# The components land in TARGET/guests/NAME.wasm, where TARGET is CARGO_TARGET_DIR or target/; one shared folder,
# TARGET/wasm-guests, is cargo's. What is newer than its sources is left alone, so calling this again costs nothing.
# Where the target wasm32-wasip2 is missing, .ci/wasm-toolchain.sh makes it.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
target=${CARGO_TARGET_DIR:-$root/target}
case $target in /*) ;; *) target=$root/$target ;; esac

# Every folder under these that has a Cargo.toml is a guest, and its folder's name is the guest's.
projects() {
    local manifest
    for manifest in examples/*/Cargo.toml guests/*/Cargo.toml tests/guests/*/Cargo.toml; do
        [ ! -e "$manifest" ] || dirname "$manifest"
    done
}

# Inside `cargo test` or a build script the environment is full of that build's own settings.
for variable in $(compgen -e); do
    case $variable in
        CARGO_HOME | CARGO_NET_* | CARGO_HTTP_* | CARGO_REGISTRIES_* | CARGO_REGISTRY_* | CARGO_TERM_* | CARGO_BUILD_JOBS) ;;
        CARGO | CARGO_* | RUSTC | RUSTC_* | RUSTDOC | RUSTDOCFLAGS | RUSTFLAGS | RUSTUP_TOOLCHAIN | __CARGO_*) unset "$variable" ;;
        TARGET | HOST | OUT_DIR | PROFILE | OPT_LEVEL | DEBUG | NUM_JOBS) unset "$variable" ;;
    esac
done

case ${1:-} in
    --list) projects | xargs -n1 basename; exit 0 ;;
    -*) echo "build-guests: no such option: $1" >&2; exit 2 ;;
esac

folder_of() {
    local folder
    for folder in $(projects); do
        [ "$(basename "$folder")" = "$1" ] && echo "$folder" && return
    done
    echo "build-guests: there is no guest \`$1\`; these there are:" $(projects | xargs -n1 basename) >&2
    return 1
}

# A file or folder that changed after the last build: folders too, since what was removed is a change as well.
is_stale() {
    local stamp=$target/guests/$2.stamp
    [ -f "$target/guests/$2.wasm" ] && [ -f "$stamp" ] || return 0
    [ -n "$(find "$1" sdk/rust wit .ci/build-guests.sh -name target -prune -o -newer "$stamp" -print | head -n 1)" ]
}

[ $# -gt 0 ] || set -- $(projects | xargs -n1 basename)

mkdir -p "$target/guests"
environment=
for name in "$@"; do
    folder=$(folder_of "$name")
    is_stale "$folder" "$name" || continue
    if [ -z "$environment" ]; then
        environment=$(.ci/wasm-toolchain.sh)
        eval "$environment"
        environment="ready;$environment"
    fi
    echo "build-guests: $name" >&2
    # As old as the sources that this build reads, not as what it writes: a change meanwhile counts as newer.
    started=$(mktemp "$target/guests/.$name.XXXXXX")
    if ! (cd "$folder" && CARGO_TARGET_DIR=$target/wasm-guests cargo build --quiet --locked --release --target wasm32-wasip2); then
        rm -f "$started"
        echo "build-guests: \`$name\` does not build: see above; its sources are in $folder" >&2
        exit 1
    fi
    # The artifact has the crate's name, with underscores. In place at once, so that no reader sees half of it.
    cp "$target/wasm-guests/wasm32-wasip2/release/${name//-/_}.wasm" "$target/guests/.$name.$$"
    mv "$target/guests/.$name.$$" "$target/guests/$name.wasm"
    mv "$started" "$target/guests/$name.stamp"
done
