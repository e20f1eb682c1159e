#!/usr/bin/env bash
# Makes `cargo build --target wasm32-wasip2` possible, and prints the required environment:
#
#   eval "$(.ci/wasm-toolchain.sh)"
#
# 1. If the target is installed: prints nothing; plain cargo works.
# 2. If rustup can install it (rust-toolchain.toml names it): installs it and prints nothing.
# 3. Otherwise, on a Debian-like machine with package registries only: unpacks `rustc-web` of Debian
#    to a private folder without installing it, builds std for the target from `rust-web-src` of the
#    same version, and prints RUSTC. The first call takes about 90 s.
#
# The result is in TIDEMILL_WASM_TOOLCHAIN. The default is ~/.cache/tidemill/wasm-toolchain, so that
# all checkouts share it, or .wasm-toolchain in this repository if HOME is not set. A lock prevents
# concurrent builds. TIDEMILL_WASM_RUSTUP=0 disables step 2.
#
# The host is not built with this toolchain but with that of rust-toolchain.toml.
set -euo pipefail

target=wasm32-wasip2
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
say() { echo "wasm-toolchain: $*" >&2; }

# Ignore settings of the caller: cargo sets several of these for tests and build scripts.
unset RUSTC RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET CARGO_TARGET_DIR RUSTDOC

# Whether rustc $1 has std for the target. A call of rustc through rustup may install the toolchain
# of rust-toolchain.toml; RUSTUP_AUTO_INSTALL=0 prevents that.
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
    # RUSTUP_AUTO_INSTALL: cargo still runs through rustup, which would try to install the target
    # again.
    echo "export RUSTC='$rustc' RUSTUP_AUTO_INSTALL=0"
}

# The compiler must be at least as new as the toolchain of rust-toolchain.toml.
wanted=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
new_enough() { [ "$(printf '%s\n' "$wanted" "$1" | sort -V | head -n 1)" = "$wanted" ]; }
# The file `ready` is written last and contains the version of the compiler.
ready() { [ -f "$dir/ready" ] && new_enough "$(cat "$dir/ready")" && has_std "$rustc"; }

if ready; then
    print_environment
    exit 0
fi

# Debian has flock. Without flock this script only runs rustup, which has its own lock.
if command -v flock >/dev/null; then
    exec 9>"$dir/lock"
    if ! flock -n 9; then
        say "another process is preparing $dir: waiting"
        flock 9
    fi
fi
if ready; then
    print_environment
    exit 0
fi

# With RUSTUP_AUTO_INSTALL=0, rustup is the last resort: without a network it takes long to fail.
try_rustup() {
    [ "${TIDEMILL_WASM_RUSTUP:-1}" = 1 ] && command -v rustup >/dev/null || return 1
    say "asking rustup for $target"
    local limit=
    command -v timeout >/dev/null && limit="timeout 120"
    $limit rustup target add "$target" >&2 && has_std rustc
}
give_up() {
    [ "${RUSTUP_AUTO_INSTALL:-1}" = 0 ] && try_rustup && exit 0
    say "$target is missing and cannot be built here ($1): run \`rustup target add $target\` with access to the network"
    exit 1
}
if [ "${RUSTUP_AUTO_INSTALL:-1}" != 0 ] && try_rustup; then
    exit 0
fi

for tool in apt-get apt-cache dpkg flock; do
    command -v $tool >/dev/null || give_up "no $tool"
done

# Drop the warning of apt that it downloads as root to a folder of root; pass on all other output.
fetch() { (cd "$dir/debs" && apt-get -qq download "$@") 2> >(grep -v unsandboxed >&2 || true); }

# The package lists of an image may be outdated and offer a compiler that is too old.
candidate() {
    version=$(apt-cache policy rustc-web 2>/dev/null | sed -n 's/^ *Candidate: //p' | grep -v none) && new_enough "$version"
}
candidate || {
    say "apt's lists offer no rustc-web $wanted or later: apt-get update"
    apt-get -qq update >&2 || true
    candidate || give_up "no package rustc-web $wanted or later"
}
# From here on, rustup must not try to install the target at each call.
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
    say "the unpacked compiler does not run; its libraries are:"
    ldd "$sysroot/bin/rustc" >&2 || true
    exit 1
fi
if [ "$(cat "$sysroot/lib/rustlib/src/rust/src/version")" != "$("$rustc" -V | cut -d' ' -f2)" ]; then
    say "the compiler and the std sources have different versions"
    exit 1
fi

# Every rustup toolchain contains the linkers.
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

# std for WASI links libc.a and crt1. wasi-libc of Debian has no sockets; guests have none either.
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
