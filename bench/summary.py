#!/usr/bin/env python3
"""The lines that compare_llama_cpp.sh collected (`WHO TAB JSON`), as medians and their ratio."""
import json
import statistics
import sys


def hotset(report):
    decode, prefill = report["decode"], report["prefill"]
    return {
        "decode tok/s": decode["tokens_per_second"]["median"],
        "prompt tok/s": prefill["tokens_per_second"]["median"] if prefill else None,
        "p50 ms": report["latency_ms"]["p50"],
        "p95 ms": report["latency_ms"]["p95"],
        "MiB read per token": decode["read_mib_per_token"]["median"],
        "CPU ms per token": decode["cpu_user_ms_per_token"]["median"] + decode["cpu_system_ms_per_token"]["median"],
        "tokens counted": report["latency_ms"]["tokens"],
    }


def llama(report):
    if not report.get("tokens"):
        return {}
    return {
        "decode tok/s": report["decode_tokens_per_second"],
        "prompt tok/s": report["prompt_tokens_per_second"],
        "p50 ms": report["p50_ms"],
        "p95 ms": report["p95_ms"],
        "MiB read per token": report["read_mib_per_token"],
        "CPU ms per token": report["cpu_user_ms_per_token"] + report["cpu_system_ms_per_token"],
        "tokens counted": report["tokens"],
    }


def main():
    runs = {}
    for line in open(sys.argv[1]):
        who, _, text = line.partition("\t")
        try:
            report = json.loads(text)
        except ValueError:
            print(f"{who}: a run ended without figures")
            continue
        figures = hotset(report) if who == "hotset" else llama(report)
        if figures:
            runs.setdefault(who, []).append(figures)
    rows = ["decode tok/s", "prompt tok/s", "p50 ms", "p95 ms", "MiB read per token", "CPU ms per token", "tokens counted"]
    for who, figures in runs.items():
        print(f"\n{who}, {len(figures)} runs: median (least to most)")
        for row in rows:
            values = [run[row] for run in figures if run.get(row) is not None]
            if values:
                print(f"  {row:<20} {statistics.median(values):10.2f}  ({min(values):.2f} to {max(values):.2f})")
    speed = {who: statistics.median(run["decode tok/s"] for run in figures) for who, figures in runs.items()}
    others = {who: value for who, value in speed.items() if who != "hotset"}
    if "hotset" in speed and others:
        best = max(others, key=others.get)
        print(f"\nratio of medians, decode: {speed['hotset'] / others[best]:.2f} (hotset / {best}, the best of {len(others)})")
        prompts = lambda who: [run["prompt tok/s"] for run in runs[who] if run["prompt tok/s"]]
        if prompts("hotset") and prompts(best):
            ratio = statistics.median(prompts("hotset")) / statistics.median(prompts(best))
            print(f"ratio of medians, prompt: {ratio:.2f}")


if __name__ == "__main__":
    main()
