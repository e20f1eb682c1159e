#!/usr/bin/env bash
# Runs every benchmark with optimisation and writes the results to target/bench.md: first the parts,
# then load on the whole system with `oha`, which is installed once into TIDEMILL_TOOLS (by default
# ~/.cache/tidemill/tools). `bench.sh parts` and `bench.sh load` run one of the two.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
tools=${TIDEMILL_TOOLS:-${HOME:-$PWD/target}/.cache/tidemill/tools}
which=${1:-all}
mkdir -p "$target"
table=$target/bench.md
: > "$table"

if [ "$which" != load ]; then
    benches=()
    for file in runtime/*/benches/*.rs; do benches+=(--bench "$(basename "$file" .rs)"); done
    cargo bench --workspace --locked "${benches[@]}" -- --output-format bencher 2>&1 | tee "$target/bench.txt"
    {
        echo "| benchmark | time | ± |"
        echo "|---|---|---|"
        sed -nE 's/^test (.*) +\.\.\. bench: +([0-9,.]+) ns\/iter \(\+\/- ([0-9,.]+)\).*/| \1 | \2 ns | \3 ns |/p' "$target/bench.txt"
        echo
        sed -nE 's/^commit: (.*)/- \1/p' "$target/bench.txt"
        echo
    } >> "$table"
fi

if [ "$which" != parts ]; then
    .ci/build-guests.sh
    if ! command -v oha >/dev/null && [ ! -x "$tools/bin/oha" ]; then
        echo "bench: building the load generator once, into $tools"
        env -u CARGO_TARGET_DIR cargo install --quiet --locked --root "$tools" oha
    fi
    PATH=$PATH:$tools/bin cargo bench --workspace --locked --bench load | tee -a "$table"
fi
cat "$table"
