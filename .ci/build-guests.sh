#!/usr/bin/env bash
# Builds the guests of this repository. Each is a separate project, as an author's is.
#
#   .ci/build-guests.sh [NAME…]        builds these guests; all of them without a name
#   .ci/build-guests.sh --list         prints the names of all guests
#
# Writes the components to TARGET/guests/NAME.wasm; TARGET is CARGO_TARGET_DIR or target/. All
# builds share the cargo folder TARGET/wasm-guests. A component that is newer than its sources is
# not rebuilt. If the target wasm32-wasip2 is missing, .ci/wasm-toolchain.sh provides it.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
target=${CARGO_TARGET_DIR:-$root/target}
case $target in /*) ;; *) target=$root/$target ;; esac

# Each folder below these that has a Cargo.toml is a guest with the name of the folder.
projects() {
    local manifest
    for manifest in examples/*/Cargo.toml guests/*/Cargo.toml tests/guests/*/Cargo.toml; do
        [ ! -e "$manifest" ] || dirname "$manifest"
    done
}

# `cargo test` and build scripts set variables of their own build. Do not pass them on.
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
    echo "build-guests: there is no guest \`$1\`; the guests are:" $(projects | xargs -n1 basename) >&2
    return 1
}

# Whether a file or folder changed after the last build. A removed file changes its folder.
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
    # The stamp has the time at which the build starts, so a change during the build is newer.
    started=$(mktemp "$target/guests/.$name.XXXXXX")
    if ! (cd "$folder" && CARGO_TARGET_DIR=$target/wasm-guests cargo build --quiet --locked --release --target wasm32-wasip2); then
        rm -f "$started"
        echo "build-guests: \`$name\` does not build; see the errors above; its sources are in $folder" >&2
        exit 1
    fi
    # The artifact has the name of the crate, with underscores. Readers see only whole files.
    cp "$target/wasm-guests/wasm32-wasip2/release/${name//-/_}.wasm" "$target/guests/.$name.$$"
    mv "$target/guests/.$name.$$" "$target/guests/$name.wasm"
    mv "$started" "$target/guests/$name.stamp"
done
