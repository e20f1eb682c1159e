#!/usr/bin/env bash
# modules.sh lint|test: the SDK and every module, each a project of its own as an author's is, on this machine's own
# target. They share one target folder, so that their dependencies are built once.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
export CARGO_TARGET_DIR=$target/modules

for manifest in sdk/rust/Cargo.toml guests/*/Cargo.toml examples/*/Cargo.toml tests/guests/*/Cargo.toml; do
    [ -e "$manifest" ] || continue
    dir=$(dirname "$manifest")
    case $1 in
    lint)
        cargo fmt --all --manifest-path "$manifest" --check
        [[ $dir == tests/guests/* ]] || cargo clippy --quiet --workspace --locked --all-features --manifest-path "$manifest" --all-targets -- -D warnings
        ;;
    test)
        [[ $dir == tests/guests/* ]] || cargo test --quiet --workspace --locked --all-features --manifest-path "$manifest"
        ;;
    *) echo "usage: modules.sh lint|test" >&2; exit 2 ;;
    esac
done
