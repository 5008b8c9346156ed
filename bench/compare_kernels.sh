#!/usr/bin/env bash
# Kernels for one vector, weights from memory: hotset, candle-core 0.11.1 and llama.cpp (without repacking) on the
# same bytes, in turn within one process; prints medians, and medians of the ratios of every round.
#
#   pip install llama-cpp-python==0.3.36
#   bench/compare_kernels.sh [MIB OF WEIGHTS [600]] [ROUNDS [15]]
#
# Environment: THREADS [2], PYTHON [python3], NATIVE=1 to compile candle and hotset for this processor alone; both
# find its instructions at run time anyway.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
threads=${THREADS:-2} target=$(realpath -m "${CARGO_TARGET_DIR:-$here/../target/compare-kernels}")

package=$("${PYTHON:-python3}" -c 'import importlib.util as u; s = u.find_spec("llama_cpp"); print(s.submodule_search_locations[0] if s else "")')
[ -n "$package" ] || { echo "error: no llama_cpp: pip install llama-cpp-python==0.3.36" >&2; exit 1; }
library=$(dirname "$(find "$package/.." -maxdepth 3 -name libggml-cpu.so -print -quit)")
include=$(dirname "$(find "$package/.." -maxdepth 3 -name ggml-cpu.h -print -quit)")
mkdir -p "$target"
cc -O2 -shared -fPIC -I "$include" "$here/kernels/ggml_matmul.c" -o "$target/libggml_matmul.so" \
    -L "$library" -lggml-cpu -lggml-base -Wl,-rpath,"$library"
RUSTFLAGS="${NATIVE:+-Ctarget-cpu=native} -L $target -Clink-arg=-Wl,-rpath,$target -Clink-arg=-Wl,-rpath-link,$library" \
    CARGO_TARGET_DIR=$target cargo build --quiet --release --manifest-path "$here/kernels/Cargo.toml"
RAYON_NUM_THREADS=$threads "$target/release/compare-kernels" "$threads" "$@"
