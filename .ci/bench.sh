#!/usr/bin/env bash
# Runs every benchmark with optimisation and writes what they measured to target/bench.md.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
out=$target/bench.txt
mkdir -p "$target"
cargo bench --workspace --locked --benches -- --output-format bencher 2>&1 | tee "$out"
{
    echo "| benchmark | time | ± |"
    echo "|---|---|---|"
    sed -nE 's/^test (.*) +\.\.\. bench: +([0-9,.]+) ns\/iter \(\+\/- ([0-9,.]+)\).*/| \1 | \2 ns | \3 ns |/p' "$out"
} > "$target/bench.md"
cat "$target/bench.md"
