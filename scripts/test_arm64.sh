#!/usr/bin/env bash
# Builds the kernels' tests for 64-bit Arm and runs them under user-mode emulation, as a processor with dot
# products and as one without. For Debian and its relatives on x86-64; as root, for it makes a root of its own:
#
#   scripts/test_arm64.sh [CARGO TEST ARGUMENTS, instead of -p hotset-kernels]
#   scripts/test_arm64.sh --check [CARGO CHECK ARGUMENTS, instead of --workspace]
#
# The root (Debian 13 with backports: a compiler, the Arm standard library, a cross linker, QEMU; 2 GB and some
# three minutes) is made once. Environment: ARM64_ROOT [target/arm64/root], MIRROR [http://deb.debian.org/debian].
set -euo pipefail
cd "$(dirname "$0")/.."

target=$PWD/target/arm64
root=${ARM64_ROOT:-$target/root}
mirror=${MIRROR:-http://deb.debian.org/debian}
registry=${CARGO_HOME:-$HOME/.cargo}/registry
mkdir -p "$target/build"

if [ ! -e "$root/.complete" ]; then
    command -v mmdebstrap >/dev/null || { apt-get update && apt-get install -y --no-install-recommends mmdebstrap; }
    rm -rf "$root"
    mmdebstrap --variant=apt --architectures=amd64,arm64 \
        --aptopt='APT::Default-Release "trixie-backports"' --aptopt='APT::Install-Recommends "false"' \
        --include=rustc,cargo,libstd-rust-dev:arm64,gcc,libc6-dev,gcc-aarch64-linux-gnu,libc6-dev-arm64-cross,qemu-user \
        trixie "$root" "deb $mirror trixie main" "deb $mirror trixie-backports main"
    touch "$root/.complete"
fi
cargo fetch --quiet --locked

# Runs a command in the root, with the repository, the crates that were fetched and a build folder in their places.
in_root() {
    mkdir -p "$root"/work "$root"/build "$root"/cargo/registry
    unshare --mount bash -c '
        set -e
        mount --rbind "$1" "$4/work" && mount --rbind "$2" "$4/build" && mount --rbind "$3" "$4/cargo/registry"
        mount -t proc proc "$4/proc" && mount --rbind /dev "$4/dev"
        root=$4; shift 4
        exec chroot "$root" env -i PATH=/usr/bin:/bin HOME=/root CARGO_HOME=/cargo CARGO_TARGET_DIR=/build \
            CARGO_INCREMENTAL=0 CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu \
            CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
            CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=qemu-aarch64 QEMU_LD_PREFIX=/usr/aarch64-linux-gnu \
            sh -c "cd /work && exec \"\$@\"" sh "$@"
    ' in_root "$PWD" "$target/build" "$registry" "$root" "$@"
}

if [ "${1:-}" = --check ]; then
    shift
    if [ $# -eq 0 ]; then set -- --workspace; fi
    in_root cargo check --frozen "$@"
    exit
fi
if [ $# -eq 0 ]; then set -- -p hotset-kernels; fi
in_root cargo test --frozen --release --no-run "$@"
for run in cortex-a78ae:neon+dotprod cortex-a53:neon; do
    echo "== ${run%:*}: ${run#*:}"
    in_root env QEMU_CPU="${run%:*}" HOTSET_TEST_INSTRUCTIONS="${run#*:}" cargo test --frozen --release "$@"
done
