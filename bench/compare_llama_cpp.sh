#!/usr/bin/env bash
# hotset and llama.cpp on the same GGUF file, with the same threads, prompt, warm-up and memory limit, in
# alternation; prints medians and their ratio.
#
#   bench/compare_llama_cpp.sh MODEL.gguf [LIMIT_MIB] [MEMORY_MIB]
#
# LIMIT_MIB   limit of the control group both run in; 0 for none [8192]
# MEMORY_MIB  hotset's --memory [seven eighths of the limit]
# Environment: ROUNDS [3], PROMPT [32], TOKENS [64], WARMUP [32], THREADS [cores], MAX_SECONDS of decoding for
# llama.cpp [180], PYTHON [python3], HOTSET [target/release/hotset], HOTSET_FLAGS, OWN_READ_AHEAD=0 to leave
# out the run with the disk's own read-ahead.
#
# A mapped file under a limit is as fast as the kernel's read-ahead lets it be. The file is measured on its
# disk as it is and, where this may be set up (root), through a read-only loop device with direct I/O and
# 128 KiB of read-ahead, Linux' default; the better of the two is what hotset is compared with.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
model=${1:?usage: compare_llama_cpp.sh MODEL.gguf [LIMIT_MIB] [MEMORY_MIB]}
limit=${2:-8192}
memory=${3:-$((limit * 7 / 8))}
rounds=${ROUNDS:-3} prompt=${PROMPT:-32} tokens=${TOKENS:-64} warmup=${WARMUP:-32}
threads=${THREADS:-$(nproc)} max_seconds=${MAX_SECONDS:-180}
python=${PYTHON:-python3} hotset=${HOTSET:-$here/../target/release/hotset}
text=$here/../crates/cli/src/commands/bench/prompt.txt
lines=$(mktemp) loop=

clean_up() {
    if [ -n "$loop" ]; then losetup -d "$loop" || true; fi
    rm -f "$lines"
}
trap clean_up EXIT

[ -x "$hotset" ] || { echo "error: $hotset is not there: cargo build --release, or set HOTSET" >&2; exit 1; }
"$python" -c 'import llama_cpp' 2>/dev/null ||
    { echo "error: $python has no llama_cpp: pip install llama-cpp-python==0.3.36" >&2; exit 1; }

# Sets $loop, or says why not.
open_loop() {
    if [ $(($(stat -c %s "$model") % 512)) -ne 0 ]; then
        echo "no loop device: the file's length is not a multiple of 512 (truncate -s %512 appends zeros, which GGUF readers ignore)"
    elif loop=$(losetup --direct-io=on -r -f --show "$model" 2>&1) && blockdev --setra 256 "$loop"; then
        echo "second llama.cpp: through $loop, read-ahead 128 KiB"
    else
        echo "no loop device: ${loop:-losetup is refused}"
        loop=
    fi
}

# Prints figures as JSON, or nothing: a run that the limit ended.
theirs() {
    "$python" "$here/run_llama_cpp.py" "$1" --drop "$model" -f "$text" -p "$prompt" -n "$tokens" --warmup "$warmup" \
        -t "$threads" --limit-mib "$limit" --max-seconds "$max_seconds" || echo "no figures"
}

ours() {
    local flags=()
    if [ "$limit" -gt 0 ]; then flags+=(--limit "${limit}MiB" --memory "${memory}MiB"); fi
    # shellcheck disable=SC2086 # several flags in one variable
    "$hotset" bench "$model" -f "$text" -p "$prompt" -n "$tokens" --warmup "$warmup" -r 1 -t "$threads" --json \
        "${flags[@]}" ${HOTSET_FLAGS:-} || echo "no figures"
}

# One line: who, a tab, JSON. Also shown as it comes.
keep() {
    printf '%s\t%s\n' "$1" "$2" >>"$lines"
    printf '%s: %.400s\n' "$1" "$2" >&2
}

# Not through /dev: a container may have no node for the disk.
disk=$("$python" -c 'import os, sys; d = os.stat(sys.argv[1]).st_dev; print(f"{os.major(d)}:{os.minor(d)}")' "$model")
own=$(cat "/sys/dev/block/$disk/queue/read_ahead_kb" "/sys/dev/block/$disk/../queue/read_ahead_kb" 2>/dev/null | head -1 || true)
own=${own:+$own KiB}
echo "$model, $threads threads, limit $limit MiB, hotset --memory $memory MiB; $prompt + $warmup + $tokens tokens, $rounds rounds"
echo "read-ahead of the disk ($disk): ${own:-unknown}"
if [ "$limit" -gt 0 ]; then open_loop; fi

for round in $(seq "$rounds"); do
    echo "round $round of $rounds" >&2
    keep hotset "$(ours)"
    if [ -z "$loop" ] || [ "${OWN_READ_AHEAD:-1}" != 0 ]; then
        keep "llama.cpp, read-ahead ${own:-of the disk}" "$(theirs "$model")"
    fi
    if [ -n "$loop" ]; then
        keep hotset "$(ours)"
        blockdev --flushbufs "$loop"
        keep "llama.cpp, read-ahead 128 KiB" "$(theirs "$loop")"
    fi
done
"$python" "$here/summary.py" "$lines"
if [ "$limit" -gt 0 ] && [ -z "$loop" ]; then
    echo "caution: without the 128 KiB row the disk's own read-ahead decides how slow a mapped file is"
fi
