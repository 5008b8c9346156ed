#!/usr/bin/env python3
"""Measures the routing policies on texts and puts the tables and the picture into docs/routing.md.

    cargo build --release
    bench/routing.py MODEL [--texts DIR] [--only TABLE,...] [--chunks N] [--jobs N]

Settings are chosen on the first half of every text (--tune prints the candidates there) and reported on the second
half. A table is what stands between `<!-- NAME -->` and `<!-- end -->` in docs/routing.md. Python 3, no packages.
"""
import argparse
import concurrent.futures
import math
import os
import shlex
import statistics
import tempfile

from measured import put, run

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
SIZES = [16, 32, 48]
CURVE = [6, 8, 12, 16, 24, 32, 48, 64]
# Chosen on other texts (--texts; the first halves say the same): more picks hot than Belady has on the native demand,
# at the least perplexity.
TRUST = "--router trust"
# What trust does with nothing to tolerate is the model's own routing, bit for bit.
NATIVE = f"{TRUST} --router-tolerance 0"
OTHERS = {
    "LRU, native": NATIVE + " --evict lru",
    "LFU, native": NATIVE + " --evict lfu",
    "window-LFU, native": NATIVE,
    # As published: every layer's cache is LRU. The others have the default eviction, as trust has.
    **{f"cache-prior {x}, LRU": f"--router cache-prior --router-lambda {x} --evict lru" for x in (0.03, 0.05, 0.1)},
    **{f"cache-prior {x}": f"--router cache-prior --router-lambda {x}" for x in (0.03, 0.05, 0.1)},
    "drop 0.4": "--router drop --router-drop-factor 0.4",
    "drop 0.75": "--router drop --router-drop-factor 0.75",
    "trust 0.02": TRUST + " --router-tolerance 0.02",
    "trust": TRUST,
    "trust 0.035": TRUST + " --router-tolerance 0.035",
    "trust 0.045": TRUST + " --router-tolerance 0.045",
    "trust 0.015, reading ahead": TRUST + " --router-tolerance 0.015 --lookahead 2",
    "trust, reading ahead": TRUST + " --lookahead 2",
}
TUNED = {f"trust {t} {m}": f"{TRUST} --router-tolerance {t} --router-mismatch {m}"
         for t in (0.02, 0.025, 0.03, 0.035) for m in (0.05, 0.15, 0.3)}
ABLATION = {
    "trust as it is": "",
    "without sacred ranks": "--router-sacred 0",
    "without substitutes (window = k)": "--router-window 8",
    "window 16": "--router-window 16",
    "mismatch 0 (experts are interchangeable)": "--router-mismatch 0",
    "with reading ahead": "--lookahead 2",
    "with reading ahead by the routers as they are": "--lookahead 2 --predictor routers",
    "with an empty trust ledger": "--trust-ledger {ledger}",
    "with that and the gains it measures": "--trust-ledger {ledger} --router-trust 1",
    "with admission by regret": "--router-admission 4",
    "with admission, 2 per 64 tokens": "--router-admission 4 --router-explore 2",
    "with a swap budget of 1 MiB per token": "--router-swap-budget 1MiB",
    "with that and reads dearer as it empties": "--router-swap-budget 1MiB --router-cost 1",
}
# Whose choices a clairvoyant eviction is tried on.
BOUND = ["window-LFU, native", "cache-prior 0.05", "cache-prior 0.1", "trust", "trust 0.035"]
CONTEXT_SIZES = [6, 8, 12, 16]
FAMILY_SHARES = [0, 0.1, 0.2, 0.4]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--texts", default=os.path.join(ROOT, "bench/texts"))
    parser.add_argument("--hotset", default=os.path.join(ROOT, "target/release/hotset"))
    parser.add_argument("--chunks", type=int, default=2, help="windows of 512 tokens of each text")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at a time, one thread each")
    parser.add_argument("--only", help="tables to measure, with commas between them")
    parser.add_argument("--tune", action="store_true", help="print candidates on the first halves, change nothing")
    return parser.parse_args()


def halves(folder, into):
    """Both halves of every text, cut at a line: two lists of files."""
    found = ([], [])
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".txt"):
            continue
        text = open(os.path.join(folder, name), encoding="utf-8").read()
        cut = text.index("\n", len(text) // 2) + 1
        for half, part in enumerate((text[:cut], text[cut:])):
            path = os.path.join(into, f"{half}-{name}")
            open(path, "w", encoding="utf-8").write(part)
            found[half].append(path)
    return found


def mixed(files, into, piece=600):
    """Pieces of the texts in turn, cut at lines after so many characters: as many files as there were."""
    parts = []
    for file in files:
        pieces = [""]
        for line in open(file, encoding="utf-8"):
            pieces[-1] += line
            if len(pieces[-1]) >= piece:
                pieces.append("")
        parts.append(pieces)
    turns = [p for turn in zip(*parts) for p in turn]
    share = len(turns) // len(files)
    paths = []
    for i in range(len(files)):
        path = os.path.join(into, f"mixed-{i}.txt")
        open(path, "w", encoding="utf-8").write("".join(turns[i * share:(i + 1) * share]))
        paths.append(path)
    return paths


def price(args, files, slots, flags, windowing="whole"):
    """One dictionary for each text, and their mean. Every text starts with an empty {ledger}."""
    with tempfile.TemporaryDirectory() as folder:
        flags = flags.replace("{ledger}", os.path.join(folder, "ledger"))
        found = run(args, "perplexity", args.model, *files, "--compare-native", "--json", "-t", "1", "-c", "512",
                    "--chunks", str(args.chunks), "--windowing", windowing, "--experts-per-layer", str(slots),
                    *([] if "--lookahead" in flags else ["--lookahead", "0"]),
                    *shlex.split(flags))
    return [f for f in found if "mean" not in f], next(f["mean"] for f in found if "mean" in f)


def prices(args, files, cases, windowing="whole"):
    """`cases`: (slots, flags); the same order out."""
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        return list(pool.map(lambda case: price(args, files, *case, windowing), cases))


def interval(values):
    """Half the width of the 95 % interval of the mean (Student's t)."""
    t = {5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}.get(len(values), 1.96)
    return t * statistics.stdev(values) / math.sqrt(len(values))


def belady(args, files, folder, sizes):
    """Hit rates, in percent, of replays of the native demand: {policy: {slots: mean over the texts}}."""
    rates = {}
    for file in files:
        trace = os.path.join(folder, "native.trace")
        run(args, "perplexity", args.model, file, "-c", "512", "--chunks", str(args.chunks), "--json", "--trace", trace)
        found = run(args, "replay", trace, "--phase", "all", "--policy", "lru,lfu,belady-layer", "--json",
                    "--experts-per-layer", ",".join(map(str, sizes)))
        rows = found[0] if isinstance(found[0], list) else found
        for row in rows:
            rates.setdefault(row["policy"], {}).setdefault(row["experts_per_layer"], []).append(100 * row["hit_rate"])
        os.remove(trace)
    return {policy: {size: statistics.mean(of) for size, of in by.items()} for policy, by in rates.items()}


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def figures(mean):
    policy = mean["policy"]
    return [f"{100 * policy['hot_of_native']:.1f}", f"{100 * mean['perplexity_change']:+.2f} %", f"{mean['mean_kl_nats']:.4f}",
            f"{100 * policy['agreement']:.1f}", f"{100 * policy['mass_lost']:.2f}", f"{policy['read_mib_per_token']:.3f}"]


HEAD = ["picks hot, %", "perplexity", "KL, nats", "agreement, %", "mass lost, %", "MiB per token"]


def main_table(args, files, folder, rates):
    cases = [(size, flags) for size in SIZES for flags in OTHERS.values()]
    found = iter(prices(args, files, cases))
    rows = []
    for size in SIZES:
        rows.append([f"**{size} of 128**, Belady on native demand", f"{rates['belady-layer'][size]:.1f}"] + [""] * 5)
        rows += [[name, *figures(next(found)[1])] for name in OTHERS]
    return table(["experts per layer, policy", *HEAD], rows)


def ablation_table(args, files, *_):
    found = prices(args, files, [(16, f"{TRUST} {flags}") for flags in ABLATION.values()])
    rows = []
    for name, (texts, mean) in zip(ABLATION, found):
        change = interval([100 * t["perplexity_change"] for t in texts])
        hot = interval([100 * t["policy"]["hot_of_native"] for t in texts])
        churn = statistics.mean(1000 * t["policy"]["swap_ins_per_token"] for t in texts)
        rows.append([name, f"{100 * mean['policy']['hot_of_native']:.1f} ± {hot:.1f}", f"{churn:.0f}",
                     f"{100 * mean['perplexity_change']:+.2f} ± {change:.2f} %", f"{mean['mean_kl_nats']:.4f}"])
    return table(["", "picks hot, %", "swap-ins per 1,000 tokens", "perplexity", "KL, nats"], rows)


def clairvoyant(args, files, folder, size, flags):
    """MiB read per token, as it was and by Belady's eviction at the very same choices: means over the texts."""
    read = {"window-lfu": [], "belady-layer": []}
    for file in files:
        trace = os.path.join(folder, f"{size}-{abs(hash(flags))}.trace")
        run(args, "perplexity", args.model, file, "-t", "1", "-c", "512", "--chunks", str(args.chunks), "--json", "--trace", trace,
            "--experts-per-layer", str(size), "--lookahead", "0", *shlex.split(flags))
        rows = run(args, "replay", trace, "--phase", "all", "--policy", ",".join(read), "--evict-half-life", "128",
                   "--experts-per-layer", str(size), "--json")
        for row in rows[0] if isinstance(rows[0], list) else rows:
            read[row["policy"]].append(row["read_mib_per_token"])
        os.remove(trace)
    return [statistics.mean(of) for of in read.values()]


def bound_table(args, files, folder, *_):
    cases = [(size, name) for size in SIZES for name in BOUND]
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        found = pool.map(lambda case: clairvoyant(args, files, folder, case[0], OTHERS[case[1]]), cases)
        rows = [[f"{size}, {name}", f"{was:.3f}", f"{least:.3f}", f"{100 * (least / was - 1):+.0f} %"]
                for (size, name), (was, least) in zip(cases, found)]
    return table(["experts per layer, policy", "MiB per token", "the same choices, clairvoyant eviction", ""], rows)


def context_table(args, files, folder, *_):
    rows = []
    for kind, of in (("one domain", files), ("mixed, 600 characters of each in turn", mixed(files, folder))):
        cases = [(size, f"--router {router}") for size in CONTEXT_SIZES for router in ("strict", "trust")]
        found = iter(prices(args, of, cases, "second-half"))
        for size in CONTEXT_SIZES:
            strict, trust = next(found)[1], next(found)[1]
            rows.append([kind, str(size), f"{strict['native']['perplexity']:.2f}"]
                        + [f"{100 * m['perplexity_change']:+.1f} % ({m['policy']['read_mib_per_token']:.2f} MiB)" for m in (strict, trust)])
    return table(["text", "experts per layer", "native perplexity", "strict", "trust"], rows)


def family_table(args, files, *_):
    cases = [(size, f"--router strict --router-family-share {share}") for size in CONTEXT_SIZES for share in FAMILY_SHARES]
    found = iter(prices(args, files, cases, "second-half"))
    rows = []
    for size in CONTEXT_SIZES:
        means = [next(found)[1] for _ in FAMILY_SHARES]
        rows.append([str(size), *(f"{m['mean_kl_nats']:.3f} ({100 * m['policy']['agreement']:.1f} %)" for m in means)])
    return table(["experts per layer", *(f"share {share}" for share in FAMILY_SHARES)], rows)


def curve_table(args, files, folder, rates):
    policies = {"native": NATIVE, "cache-prior": OTHERS["cache-prior 0.05"], "trust": TRUST}
    found = prices(args, files, [(size, flags) for flags in policies.values() for size in CURVE])
    lines = {"Belady, native demand": [rates["belady-layer"][size] for size in CURVE]}
    for i, name in enumerate(policies):
        lines[name] = [100 * mean["policy"]["hot_of_native"] for _, mean in found[i * len(CURVE):(i + 1) * len(CURVE)]]
    changes = [100 * mean["perplexity_change"] for _, mean in found[-len(CURVE):]]
    open(os.path.join(ROOT, "docs/routing.svg"), "w", encoding="utf-8").write(picture(lines))
    rows = [[str(size), *(f"{lines[name][i]:.1f}" for name in lines), f"{changes[i]:+.2f} %"] for i, size in enumerate(CURVE)]
    return table(["experts per layer", *lines, "perplexity of trust"], rows)


def picture(lines):
    """Picks hot against experts per layer, as SVG."""
    width, height, left, top = 640, 360, 50, 20
    x = lambda size: left + (width - left - 150) * math.log(size / CURVE[0]) / math.log(CURVE[-1] / CURVE[0])
    y = lambda rate: top + (height - top - 40) * (1 - rate / 100)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="white"/>']
    for rate in range(0, 101, 20):
        out.append(f'<line x1="{left}" x2="{x(CURVE[-1]):.0f}" y1="{y(rate):.0f}" y2="{y(rate):.0f}" stroke="#ddd"/>'
                   f'<text x="{left - 8}" y="{y(rate) + 4:.0f}" text-anchor="end">{rate}</text>')
    for size in CURVE:
        out.append(f'<text x="{x(size):.0f}" y="{height - 24}" text-anchor="middle">{size}</text>')
    out.append(f'<text x="{left}" y="{height - 6}">experts per layer of 128; percent of picks hot</text>')
    for (name, rates), colour in zip(lines.items(), ("#888", "#c33", "#d90", "#26c")):
        points = " ".join(f"{x(size):.1f},{y(rate):.1f}" for size, rate in zip(CURVE, rates))
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
    for i, (name, colour) in enumerate(zip(lines, ("#888", "#c33", "#d90", "#26c"))):
        out.append(f'<text x="{width - 140}" y="{top + 200 + 18 * i}" fill="{colour}">{name}</text>')
    return "\n".join(out + ["</svg>"]) + "\n"


TABLES = {"policies": main_table, "curve": curve_table, "ablation": ablation_table, "context": context_table,
          "families": family_table, "bound": bound_table}


def main():
    args = arguments()
    with tempfile.TemporaryDirectory() as folder:
        first, second = halves(args.texts, folder)
        if args.tune:
            cases = [(size, flags) for size in SIZES for flags in TUNED.values()]
            names = [f"{size}: {name}" for size in SIZES for name in TUNED]
            return print(table(["", *HEAD], [[n, *figures(m)] for n, (_, m) in zip(names, prices(args, first, cases))]))
        wanted = args.only.split(",") if args.only else list(TABLES)
        rates = belady(args, second, folder, sorted({*SIZES, *CURVE}))
        for name in wanted:
            found = TABLES[name](args, second, folder, rates)
            print(f"{name}\n{found}\n", flush=True)
            put(name, found)


if __name__ == "__main__":
    main()
