#!/usr/bin/env bash
# Tests the content of the image without a container engine: runs the binary and its libraries in a
# separate root that is read-only except for /data, not as root, as process 1. The host must become
# ready, compile and run a module, and exit with 0 on SIGTERM.
#
# Uses the binary TIDEMILL_BINARY, or builds one. Needs `unshare` as root or with user namespaces;
# without either it prints a line and succeeds.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
profile=${PROFILE:-dev}
binary=${TIDEMILL_BINARY:-}
if [ -z "$binary" ]; then
    cargo build --quiet --locked --profile "$profile" -p tidemill
    binary=$target/${profile/dev/debug}/tidemill
fi
.ci/build-guests.sh hello

work=$(mktemp -d)
server=
cleanup() {
    [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

# The root: only files that distroless has, too.
root=$work/root
install -D "$binary" "$root/usr/bin/tidemill"
# Each line of ldd contains one path; the loader has a line of its own.
ldd "$binary" | grep -oE '/[^ ]+' | sort -u | while read -r library; do
    install -D "$(readlink -f "$library")" "$root$library"
done
mkdir -p "$root"/{data,proc,tmp,dev,etc}
: > "$root/dev/null"
[ ! -e /etc/ssl/certs/ca-certificates.crt ] || install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
echo 'nonroot:x:65532:65532:nonroot:/data:/sbin/nologin' > "$root/etc/passwd"
mkdir "$work/data"

if [ "$(id -u)" = 0 ]; then
    namespaces=(--mount --pid --fork)
    user=(--userspec=65532:65532)
    chown 65532:65532 "$work/data"
    chmod 755 "$work"
elif unshare --user --map-root-user true 2>/dev/null; then
    namespaces=(--user --map-root-user --mount --pid --fork)
    user=()
else
    echo "container-root: unshare is not permitted here; skipped"
    exit 0
fi
if ! unshare "${namespaces[@]}" true 2>/dev/null; then
    echo "container-root: unshare is not permitted here; skipped"
    exit 0
fi

port=$((20000 + RANDOM % 20000))
token=$(head -c 32 /dev/urandom | sha256sum | cut -c1-64)
chroot=$(PATH=$PATH:/usr/sbin:/sbin command -v chroot)
export root work chroot
environment=(TIDEMILL_ADDR="0.0.0.0:$port" TIDEMILL_DATA=/data TIDEMILL_LOG_FORMAT=json TIDEMILL_TOKEN="$token")

unshare "${namespaces[@]}" bash -euc '
    mount --make-rprivate / 2>/dev/null || true
    mount --bind "$root" "$root"
    mount --bind "$work/data" "$root/data"
    mount -t proc proc "$root/proc" 2>/dev/null || mount --rbind /proc "$root/proc"
    mount --bind /dev/null "$root/dev/null"
    mount -o remount,bind,ro "$root"
    ! touch "$root/etc/x" 2>/dev/null || { echo "the root is writable" >&2; exit 1; }
    exec env -i "${@:3}" "$chroot" $2 "$root" /usr/bin/tidemill $1
' bash serve "${user[*]}" "${environment[@]}" > "$work/log" 2>&1 &
unshared=$!

outside() { env "TIDEMILL_URL=http://127.0.0.1:$port" "TIDEMILL_TOKEN=$token" "$binary" "$@"; }
fail() { echo "container-root: $1" >&2; cat "$work/log" >&2; exit 1; }

ready=
for _ in $(seq 300); do
    # Run the health check of the image from outside.
    if outside --quiet doctor --quick >/dev/null 2>&1; then ready=yes; break; fi
    kill -0 "$unshared" 2>/dev/null || fail "the host ended"
    sleep 0.1
done
server=$(pgrep -P "$unshared" || echo "$unshared")
[ -n "$ready" ] || fail "the host did not become ready"

mkdir "$work/hello"
cp "$target/guests/hello.wasm" "$work/hello/component.wasm"
sed -E 's/^component = .*/component = "component.wasm"/' examples/hello/tidemill.toml > "$work/hello/tidemill.toml"
outside --quiet deploy "$work/hello" >/dev/null || fail "hello was not deployed"
outside --quiet run hello --input '{"name": "container"}' --wait | grep -q 'Hello, container!' || fail "hello did not answer"

kill -TERM "$server"
status=0
wait "$unshared" || status=$?
server=
[ "$status" = 0 ] || fail "the host exited with $status on SIGTERM"
echo "container-root: the host became ready, compiled and ran a module, and exited with 0 on SIGTERM"
