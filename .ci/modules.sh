#!/usr/bin/env bash
# modules.sh lint|test: checks or tests the SDK and every module on the native target. Each is a
# separate project, as an author's is. They share one target folder, so that dependencies are built
# once. Of the guests of tests, only `parity` has native code.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
export CARGO_TARGET_DIR=$target/modules

for manifest in sdk/rust/Cargo.toml guests/*/Cargo.toml examples/*/Cargo.toml tests/guests/*/Cargo.toml; do
    [ -e "$manifest" ] || continue
    native=yes
    [[ $manifest == tests/guests/* && $manifest != tests/guests/parity/* ]] && native=
    case $1 in
    lint)
        cargo fmt --all --manifest-path "$manifest" --check
        [ -z "$native" ] || cargo clippy --quiet --workspace --locked --all-features --manifest-path "$manifest" --all-targets -- -D warnings
        ;;
    test)
        [ -z "$native" ] || cargo test --quiet --workspace --locked --all-features --manifest-path "$manifest"
        ;;
    *) echo "usage: modules.sh lint|test" >&2; exit 2 ;;
    esac
done
