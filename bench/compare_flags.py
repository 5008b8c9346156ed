#!/usr/bin/env python3
"""Two or more settings of hotset on one model, in alternation: medians, ranges and ratios to the first.

    bench/compare_flags.py MODEL --base "--memory 6GiB -p 16 -n 64" "--lookahead 0" "--lookahead 1"

Every setting is a string of flags for `hotset bench`; a setting that begins with a path to another model is
measured on that one: "model.hotset --lookahead 1"; one that begins with HOTSET=PATH is run by that build. One run
of each, then again, ROUNDS times.

What paging costs when there is nothing to page, against a build in which it is a lookup:

    cargo build --release --target-dir target/noop --features hotset-residency/noop-paging
    bench/compare_flags.py MODEL --base "--memory 19.5GiB" "HOTSET=target/noop/release/hotset" ""
"""
import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys

FIGURES = {
    "decode tok/s": lambda r: r["decode"]["tokens_per_second"]["median"],
    "prompt tok/s": lambda r: r["prefill"] and r["prefill"]["tokens_per_second"]["median"],
    "p50 ms": lambda r: r["latency_ms"]["p50"],
    "p99 ms": lambda r: r["latency_ms"]["p99"],
    "MiB read": lambda r: r["decode"]["read_mib_per_token"]["median"],
    "stall ms": lambda r: r["decode"]["stall_ms_per_token"]["median"],
    "agreement %": lambda r: 100 * r["decode"]["agreement"]["median"],
    "% of floor": lambda r: 100 * r["floor"]["share"]["median"],
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("settings", nargs="+")
    parser.add_argument("--base", default="", help="flags of every run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hotset", default=os.path.join(os.path.dirname(__file__), "../target/release/hotset"))
    return parser.parse_args()


def measure(args, setting):
    words = shlex.split(setting)
    hotset = words.pop(0).removeprefix("HOTSET=") if words and words[0].startswith("HOTSET=") else args.hotset
    model = words.pop(0) if words and not words[0].startswith("-") else args.model
    repetitions = [] if "-r" in args.base.split() else ["-r", "1"]
    command = [hotset, "bench", model, *repetitions, "--json", *shlex.split(args.base), *words]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit(f"{shlex.join(command)}: {result.stderr.strip().splitlines()[-1]}")
    report = json.loads(result.stdout)
    return {name: figure(report) for name, figure in FIGURES.items()}


def main():
    args = arguments()
    runs = {setting: [] for setting in args.settings}
    for number in range(args.rounds):
        for setting in args.settings:
            runs[setting].append(measure(args, setting))
            print(f"round {number + 1}: {setting}: {runs[setting][-1]['decode tok/s']:.2f} tok/s", file=sys.stderr)
    print(f"{args.model} {args.base}, {args.rounds} rounds: medians, decode with least and most")
    print(f"{'':<28} " + " ".join(f"{name:>12}" for name in FIGURES) + "   decode")
    first = None
    for setting, figures in runs.items():
        values = {name: [run[name] for run in figures if run[name] is not None] for name in FIGURES}
        medians = {name: statistics.median(of) if of else float("nan") for name, of in values.items()}
        first = first or medians
        speeds = values["decode tok/s"]
        print(f"{setting:<28} " + " ".join(f"{medians[name]:12.2f}" for name in FIGURES)
              + f"   {min(speeds):.2f} to {max(speeds):.2f}, {medians['decode tok/s'] / first['decode tok/s']:.2f} x the first")


if __name__ == "__main__":
    main()
