#!/usr/bin/env bash
# Makes `cargo build --target wasm32-wasip2` possible, and prints on stdout the environment that it needs:
#
#   eval "$(.ci/wasm-toolchain.sh)"
#
# 1. The target is installed: prints nothing, plain cargo does.
# 2. rustup can bring it (it is named in rust-toolchain.toml): the same.
# 3. Neither, on a Debian-like machine that has package registries only: unpacks Debian's `rustc-web` privately (nothing is
#    installed), builds std for the target from `rust-web-src`, which has the same version, and prints RUSTC. Takes about
#    90 s once, and nothing afterwards.
#
# The result is kept in TIDEMILL_WASM_TOOLCHAIN, by default ~/.cache/tidemill/wasm-toolchain so that all checkouts share
# it, or .wasm-toolchain beside this repository where there is no HOME. A lock keeps two callers from building at once.
# TIDEMILL_WASM_RUSTUP=0 leaves rustup alone.
#
# Not a way to build the host: that takes the toolchain of rust-toolchain.toml.
set -euo pipefail

target=wasm32-wasip2
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
say() { echo "wasm-toolchain: $*" >&2; }

# A caller's own choices must not leak in: cargo sets several of these for tests and build scripts.
unset RUSTC RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET CARGO_TARGET_DIR RUSTDOC

# Whether rustc $1 has std for the target. Asking rustc through rustup may itself install what rust-toolchain.toml names,
# so rustup is first told not to.
has_std() {
    local sysroot
    sysroot=$(RUSTUP_AUTO_INSTALL=0 "$1" --print sysroot 2>/dev/null) || return 1
    compgen -G "$sysroot/lib/rustlib/$target/lib/libstd-*.rlib" >/dev/null
}

if has_std rustc; then
    exit 0
fi

if [ -z "${TIDEMILL_WASM_TOOLCHAIN:-}" ]; then
    if [ -n "${HOME:-}" ] && [ -d "$HOME" ]; then
        TIDEMILL_WASM_TOOLCHAIN=${XDG_CACHE_HOME:-$HOME/.cache}/tidemill/wasm-toolchain
    else
        TIDEMILL_WASM_TOOLCHAIN=$root/.wasm-toolchain
    fi
fi
mkdir -p "$TIDEMILL_WASM_TOOLCHAIN"
dir=$(cd "$TIDEMILL_WASM_TOOLCHAIN" && pwd)
sysroot=$dir/root/usr
rustc=$dir/rustc

print_environment() {
    # RUSTUP_AUTO_INSTALL: cargo itself still goes through rustup, which would try again for the target.
    echo "export RUSTC='$rustc' RUSTUP_AUTO_INSTALL=0"
}

# The compiler must be as new as the toolchain that guests are written for.
wanted=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
new_enough() { [ "$(printf '%s\n' "$wanted" "$1" | sort -V | head -n 1)" = "$wanted" ]; }
# `ready` is written last, and holds the compiler's version.
ready() { [ -f "$dir/ready" ] && new_enough "$(cat "$dir/ready")" && has_std "$rustc"; }

if ready; then
    print_environment
    exit 0
fi

# Debian has flock; where there is none, this script has no more to do than to ask rustup, which has a lock of its own.
if command -v flock >/dev/null; then
    exec 9>"$dir/lock"
    if ! flock -n 9; then
        say "another process is preparing $dir: waiting for it"
        flock 9
    fi
fi
if ready; then
    print_environment
    exit 0
fi

# Asked last where RUSTUP_AUTO_INSTALL=0 says that it had better not be: without a way out it takes a while to fail.
try_rustup() {
    [ "${TIDEMILL_WASM_RUSTUP:-1}" = 1 ] && command -v rustup >/dev/null || return 1
    say "asking rustup for $target"
    local limit=
    command -v timeout >/dev/null && limit="timeout 120"
    $limit rustup target add "$target" >&2 && has_std rustc
}
give_up() {
    [ "${RUSTUP_AUTO_INSTALL:-1}" = 0 ] && try_rustup && exit 0
    say "$target is missing and cannot be built here ($1): run \`rustup target add $target\` where there is a network"
    exit 1
}
if [ "${RUSTUP_AUTO_INSTALL:-1}" != 0 ] && try_rustup; then
    exit 0
fi

for tool in apt-get apt-cache dpkg flock; do
    command -v $tool >/dev/null || give_up "no $tool"
done

# apt warns that it downloads as root into a folder of root's; everything else it says is passed on.
fetch() { (cd "$dir/debs" && apt-get -qq download "$@") 2> >(grep -v unsandboxed >&2 || true); }

# Lists that came with an image may be older than the newest package, and offer a compiler that is too old.
candidate() {
    version=$(apt-cache policy rustc-web 2>/dev/null | sed -n 's/^ *Candidate: //p' | grep -v none) && new_enough "$version"
}
candidate || {
    say "apt's lists offer no rustc-web $wanted or later: apt-get update"
    apt-get -qq update >&2 || true
    candidate || give_up "no package rustc-web $wanted or later"
}
# From here on nobody is to ask rustup, which would try for the target at each call.
export RUSTUP_AUTO_INSTALL=0
upstream=${version%%+*}
upstream=${upstream%%-*}
minor=${upstream%.*}

say "no std for $target: unpacking rustc-web and rust-web-src $upstream under $dir"
rm -rf "$dir/ready" "$dir/root" "$dir/debs" "$dir/std" "$rustc"
mkdir -p "$dir/root" "$dir/debs"
# shellcheck disable=SC2046 # the names are words
fetch "rustc-web=$version" "libstd-rust-web-dev=$version" "libstd-rust-web-$minor=$version" "rust-web-src=$version" wasi-libc \
    $(apt-cache depends "libstd-rust-web-$minor=$version" | sed -n 's/^ *Depends: \(libllvm.*\)/\1/p')
for deb in "$dir"/debs/*.deb; do dpkg -x "$deb" "$dir/root"; done

cat >"$rustc" <<'WRAPPER'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
for libraries in "$here"/root/usr/lib/*-linux-gnu; do
    LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
done
export LD_LIBRARY_PATH
exec "$here/root/usr/bin/rustc" "$@"
WRAPPER
chmod +x "$rustc"
if ! "$rustc" -vV >&2; then
    say "the unpacked compiler does not run; what it misses:"
    ldd "$sysroot/bin/rustc" >&2 || true
    exit 1
fi
if [ "$(cat "$sysroot/lib/rustlib/src/rust/src/version")" != "$("$rustc" -V | cut -d' ' -f2)" ]; then
    say "compiler and std sources are of different versions"
    exit 1
fi

# The linkers come with every rustup toolchain.
host=$(rustc -vV | sed -n 's/^host: //p')
tools=$(rustc --print sysroot)/lib/rustlib/$host/bin
mkdir -p "$sysroot/lib/rustlib/$host/bin"
for linker in rust-lld gcc-ld wasm-component-ld; do
    [ -e "$tools/$linker" ] || {
        say "the toolchain at $tools has no $linker"
        exit 1
    }
    ln -sfn "$tools/$linker" "$sysroot/lib/rustlib/$host/bin/$linker"
done

# std for WASI links libc.a and crt1. Debian's wasi-libc has no sockets, which no guest has either.
mkdir -p "$sysroot/lib/rustlib/$target/lib/self-contained"
cp "$sysroot"/lib/wasm32-wasi/*.[ao] "$sysroot/lib/rustlib/$target/lib/self-contained/"

say "building std"
mkdir -p "$dir/std/src"
: >"$dir/std/src/lib.rs"
cat >"$dir/std/Cargo.toml" <<'MANIFEST'
[package]
name = "std-for-guests"
version = "0.0.0"
edition = "2024"
[workspace]
[profile.release]
opt-level = 3
codegen-units = 1
debug = 0
MANIFEST
(
    cd "$dir/std"
    RUSTC=$rustc RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Cembed-bitcode=yes --remap-path-prefix=$sysroot/src=/rustc-src" \
        cargo build -q --release --target "$target" -Zbuild-std=std,panic_abort,panic_unwind,proc_macro
) >&2
find "$dir/std/target/$target/release/deps" -name 'lib*.rlib' ! -name 'libstd_for_guests-*' \
    -exec cp {} "$sysroot/lib/rustlib/$target/lib/" \;
rm -rf "$dir/std" "$dir/debs"
"$rustc" -V | cut -d' ' -f2 >"$dir/ready"
say "ready: $("$rustc" -V)"
print_environment
