#!/usr/bin/env python3
"""Measures what a trust ledger saves at the start of a known context and when a text changes its domain, and puts the
tables into docs/routing.md.

    cargo build --release
    bench/domain_switch.py MODEL [--texts DIR] [--jobs N] [--only start,switch] [--sizes 16,32,48]
    bench/domain_switch.py MODEL --tune

A ledger is learnt on the first halves of the texts, all domains in turn; the second halves are measured. --tune learns on
the first five eighths of the first halves and measures on the rest of them. Token by token, teacher-forced. A slot that is
not hot when it is chosen is a demand swap-in: somebody waits for it. Python 3, no packages.
"""
import argparse
import bisect
import concurrent.futures
import os
import re
import shlex
import shutil
import statistics
import sys
import tempfile

from measured import put, run

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
SIZES = [16, 32, 48]
START = 64        # tokens of a known context's start
BEFORE = 256      # tokens of the first domain
AFTER = 256       # tokens after the change that are looked at
WINDOW = 32       # tokens of the hit rate
MARGIN = 0.05     # back within
NATIVE = "--ubatch-size 1 --lookahead 0"
ROUTERS = {"native": NATIVE, "native, reading ahead": "--ubatch-size 1", "trust": "--router trust --lookahead 0",
           "trust, reading ahead": "--router trust"}
# {own}: learnt on the very text that follows the change, which no ledger can know more of.
SWITCH = {
    "no ledger": "",
    "no ledger, half-life 32": "--evict-half-life 32",
    "empty ledger": "--trust-ledger {empty}",
    "empty ledger, families count 8 tokens": "--trust-ledger {empty} --ledger-family-tokens 8",
    "saved ledger": "--trust-ledger {saved}",
    "ledger of the very text": "--trust-ledger {own}",
}
# Window, drift, patience.
CANDIDATES = [(8, 0.05, 1), (8, 0.08, 1), (8, 0.08, 2), (16, 0.05, 1)]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--texts", default=os.path.join(ROOT, "bench/texts"))
    parser.add_argument("--hotset", default=os.path.join(ROOT, "target/release/hotset"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at a time, one thread each")
    parser.add_argument("--only", default="start,switch", help="tables to measure, with commas between them")
    parser.add_argument("--sizes", type=lambda text: [int(n) for n in text.split(",")], default=SIZES, help="experts per layer")
    parser.add_argument("--tune", action="store_true", help="print settings of the ledger, change nothing")
    return parser.parse_args()


def cut(text, share):
    """Both parts of a text, the first of about this share of it; cut between two words."""
    at = re.compile(r"\s").search(text, int(len(text) * share)).end()
    return text[:at], text[at:]


def parts(args):
    """Of every domain, what is learnt and what is measured."""
    found = {}
    for name in sorted(os.listdir(args.texts)):
        if name.endswith(".txt") and name != "README.md":
            text = open(os.path.join(args.texts, name), encoding="utf-8").read()
            first, second = cut(text, 0.5)
            found[name[:-4]] = cut(first, 0.625) if args.tune else (first, second)
    return found


def write(folder, name, text):
    path = os.path.join(folder, name)
    open(path, "w", encoding="utf-8").write(text)
    return path


def demand(args, folder, text, tokens, slots, flags, ledgers):
    """Of every token, the slots it chose that were not hot, and MiB read per token. A ledger is used as a copy."""
    with tempfile.TemporaryDirectory(dir=folder) as here:
        for name, path in ledgers.items():
            copy = os.path.join(here, name)
            if "{" + name + "}" in flags and path:
                shutil.copy(path, copy)
            flags = flags.replace("{" + name + "}", copy)
        trace, table = os.path.join(here, "t.trace"), os.path.join(here, "t.csv")
        report = run(args, "perplexity", args.model, write(here, "text.txt", text), "--json", "-t", "1", "-c", str(tokens),
                        "--chunks", "1", "--experts-per-layer", str(slots), "--trace", trace, *shlex.split(flags))[0]
        run(args, "trace", "export", trace, "--csv", table)
        missing = [0] * report["tokens"]
        slots_of = [0] * report["tokens"]
        with open(table) as lines:
            for line in lines:
                if line[0].isdigit():
                    _, _, step, _, _, _, _, hot, _ = line.split(",")
                    missing[int(step)] += hot == "0"
                    slots_of[int(step)] += 1
    return missing, slots_of, report["read_mib_per_token"]


def learn(args, folder, texts, name, flags="", ledger=None):
    """A ledger of these texts, read one after the other, on top of another one."""
    path = os.path.join(folder, name)
    if ledger:
        shutil.copy(ledger, path)
    files = [write(folder, f"{name}-{i}.txt", text) for i, text in enumerate(texts)]
    run(args, "perplexity", args.model, *files, "--json", "-t", "1", "--ubatch-size", "1", "-c", "512", "--memory", "1GiB",
           "--trust-ledger", path, *shlex.split(flags))
    return path


def pool(args, work, cases):
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as threads:
        return list(threads.map(lambda case: work(*case), cases))


def picks_of(args, folder, text, tokens):
    """Of every layer, the experts that every token chooses under native."""
    with tempfile.TemporaryDirectory(dir=folder) as here:
        trace, table = os.path.join(here, "t.trace"), os.path.join(here, "t.csv")
        run(args, "perplexity", args.model, write(here, "text.txt", text), "--json", "-t", "1", "-c", str(tokens), "--chunks",
               "1", "--memory", "1GiB", "--trace", trace)
        run(args, "trace", "export", trace, "--csv", table)
        picks = {}
        with open(table) as lines:
            for line in lines:
                if line[0].isdigit():
                    _, _, step, layer, _, expert, _, _, _ = line.split(",")
                    picks.setdefault(layer, {}).setdefault(int(step), []).append(int(expert))
    return [[steps[now] for now in sorted(steps)] for steps in picks.values()]


def clairvoyant(picks, slots, preload):
    """Of every token, the misses of Belady's policy with a cache of its own for each layer. With `preload` the cache may be
    filled before the first token: no preload can do better."""
    misses = [0] * len(picks[0])
    for steps in picks:
        uses = {}
        for now, step in enumerate(steps):
            for expert in step:
                uses.setdefault(expert, []).append(now)
        after = lambda expert, now: uses[expert][i] if (i := bisect.bisect_right(uses[expert], now)) < len(uses[expert]) else 10**9
        cache = set(sorted(uses, key=lambda expert: after(expert, -1))[:slots]) if preload else set()
        for now, step in enumerate(steps):
            absent = [expert for expert in step if expert not in cache]
            misses[now] += len(absent)
            for expert in absent:
                if len(cache) == slots:
                    cache.remove(max(cache.difference(step), key=lambda e: after(e, now)))
                cache.add(expert)
    return misses


def start_table(args, folder, domains, saved):
    """The first tokens of a known context, from an empty arena."""
    names = list(domains)
    # Two places of every text that is measured.
    texts = {(name, i): text for name in names for i, text in enumerate(
        [domains[name][1], cut(domains[name][1], 0.5)[1]])}
    last = {name: learn(args, folder, [domains[name][0][-1500:]], f"last-{name}", ledger=saved) for name in names}
    other = {name: last[names[(i + 3) % len(names)]] for i, name in enumerate(names)}
    picks = pool(args, picks_of, [(args, folder, text, START) for text in texts.values()])
    rows = []
    for slots in args.sizes:
        bound = sum(sum(clairvoyant(each, slots, preload=True)) for each in picks)
        rows.append(f"| **{slots} of 128**, clairvoyant | {bound / len(texts) / START:.2f} | | | | |")
        for router, flags in ROUTERS.items():
            cases = []
            for (name, _), text in texts.items():
                for ledger in (None, last[name], other[name]):
                    more = " --trust-ledger {saved}" if ledger else ""
                    cases.append((args, folder, text, START, slots, flags + more, {"saved": ledger} if ledger else {}))
            found = pool(args, demand, cases)
            sums = [[sum(missing) / len(missing) for missing, _, _ in found[kind::3]] for kind in range(3)]
            mean = [statistics.mean(values) for values in sums]
            read = [statistics.mean(mib for _, _, mib in found[kind::3]) for kind in range(3)]
            rows.append(f"| {router} | {mean[0]:.2f} | {mean[1]:.2f} ({100 * (mean[1] / mean[0] - 1):+.0f} %) | "
                        f"{mean[2]:.2f} ({100 * (mean[2] / mean[0] - 1):+.0f} %) | {read[0]:.2f} | {read[1]:.2f} |")
            print(rows[-1], file=sys.stderr)
    head = ("| experts per layer, router | cold | saved, this context last | saved, another last | MiB read per token, cold "
            "| the same, saved |")
    return [head, "|---|---|---|---|---|---|", *rows]


def rates(missing, slots):
    return [1 - m / s for m, s in zip(missing, slots)]


def tokens_of(args, folder, text):
    return run(args, "perplexity", args.model, write(folder, "text.txt", text), "--json", "-t", "1", "-c", "1024",
                  "--memory", "1GiB")[0]["tokens"]


def pairs(domains):
    names = list(domains)
    return [(name, names[(i + 3) % len(names)]) for i, name in enumerate(names)]


def changes(args, folder, domains):
    """Of pairs of domains a text that changes from one to the other, and the token it changes at."""
    found = []
    for a, b in pairs(domains):
        # Characters enough for the tokens; the tokens of the beginning are counted.
        begin = cut(domains[a][1], min(0.9, BEFORE * 3.7 / len(domains[a][1])))[0]
        found.append((b, begin + domains[b][1], tokens_of(args, folder, begin)))
    return found


def continued(args, folder, domains):
    """Every domain's text where it follows 256 tokens of the same text, and the token it begins at."""
    begins = {name: learnt[-int(BEFORE * 3.7):] for name, (learnt, _) in domains.items()}
    return [(name, begin + domains[name][1], tokens_of(args, folder, begin)) for name, begin in begins.items()]


def unchanged(args, folder, domains, slots, flags):
    """The hit rates of every domain's text where nothing changes, without a ledger."""
    texts = continued(args, folder, domains)
    found = pool(args, demand, [(args, folder, text, at + AFTER, slots, flags, {}) for _, text, at in texts])
    return {name: rates(m, s)[at:] for (m, s, _), (name, _, at) in zip(found, texts)}


def back(curve, level):
    """Tokens until the hit rate of the next ones is within the margin of what it is in unchanged text."""
    for token in range(len(curve) - WINDOW):
        if statistics.mean(curve[token:token + WINDOW]) >= statistics.mean(level[token:token + WINDOW]) - MARGIN:
            return token
    return len(curve) - WINDOW


def mean_curve(curves):
    return [statistics.mean(column) for column in zip(*curves)]


def judge(texts, level, found):
    """After the change: the mean curve, tokens until it is back, until each is back, sorted; the hit rate before the change;
    MiB per token of the whole text. `found` has the hit rates of every text and its MiB per token."""
    curves = [curve[at:] for (curve, _), (_, _, at) in zip(found, texts)]
    before = statistics.mean(statistics.mean(curve[at - 128:at]) for (curve, _), (_, _, at) in zip(found, texts))
    mean, of_mean = mean_curve(curves), mean_curve([level[domain] for domain, _, _ in texts])
    each = sorted(back(curve, level[domain]) for curve, (domain, _, _) in zip(curves, texts))
    return mean, back(mean, of_mean), each, before, statistics.mean(mib for _, mib in found)


def switch(args, folder, texts, level, slots, flags, ledgers):
    cases = [(args, folder, text, at + AFTER, slots, flags, {**ledgers, "own": ledgers.get("own", {}).get(domain)})
             for domain, text, at in texts]
    return judge(texts, level, [(rates(m, s), mib) for m, s, mib in pool(args, demand, cases)])


def foreseen(args, folder, texts):
    """The picks of every text up to the last token that is looked at."""
    return pool(args, picks_of, [(args, folder, text, at + AFTER) for _, text, at in texts])


def belady_rows(same, changed, slots):
    """Belady's policy on the native demand: what of the way back is in the demand itself."""
    def curves(texts_and_picks):
        texts, picks = texts_and_picks
        chosen = [sum(len(layer[0]) for layer in each) for each in picks]
        missed = [clairvoyant(each, slots, preload=False) for each in picks]
        return [[1 - n / k for n in m] for m, k in zip(missed, chosen)]
    level = {name: curve[at:] for (name, _, at), curve in zip(same[0], curves(same))}
    result = judge(changed[0], level, [(curve, 0) for curve in curves(changed)])
    return [unchanged_line(f"**{slots} of 128**, Belady on native demand", level), line("changed", result).rsplit("|", 2)[0] + "| |"]


def spans_of(curve):
    return " | ".join(f"{100 * statistics.mean(curve[a:b]):.1f}" for a, b in ((0, 32), (32, 64), (64, 128)))


def unchanged_line(name, level):
    return f"| {name}: unchanged text | | {spans_of(mean_curve(level.values()))} | | | | |"


def line(name, result):
    mean, when, each, before, mib = result
    limit = min(len(mean), AFTER) - WINDOW
    tokens = lambda n: f"over {limit}" if n >= limit else str(n)
    spans = spans_of(mean)
    return (f"| {name} | {100 * before:.1f} | {spans} | {tokens(when)} | {tokens(each[len(each) // 2])} | "
            f"{sum(n <= 32 for n in each)} of {len(each)} | {mib:.2f} |")


def switch_table(args, folder, domains, saved):
    texts = changes(args, folder, domains)
    own = {domain: learn(args, folder, [text[len(text) - len(domains[domain][1]):][:int(AFTER * 3.7)]], f"own-{domain}")
           for domain, text, _ in texts}
    ledgers = {"empty": None, "saved": saved, "own": own}
    same = continued(args, folder, domains)
    same, changed = ((each, foreseen(args, folder, each)) for each in (same, texts))
    rows = []
    for slots in args.sizes:
        rows += belady_rows(same, changed, slots)
        for router, common in ROUTERS.items():
            level = unchanged(args, folder, domains, slots, common)
            rows.append(unchanged_line(f"**{slots} of 128**, {router}", level))
            for name, flags in SWITCH.items():
                rows.append(line(name, switch(args, folder, texts, level, slots, f"{common} {flags}", ledgers)))
                print(rows[-1], file=sys.stderr)
    head = ("| experts per layer, hit rates in % | before | tokens 0-32 | 32-64 | 64-128 | tokens until back, mean of all | median "
            "| back within 32 | MiB read per token |")
    return [head, "|---|---|---|---|---|---|---|---|---|", *rows]


def tune(args, folder, domains):
    texts = changes(args, folder, domains)
    level = unchanged(args, folder, domains, 32, NATIVE)
    for window, drift, patience in CANDIDATES:
        flags = f"--ledger-window {window} --ledger-drift {drift} --ledger-patience {patience}"
        saved = learn(args, folder, [text for text, _ in domains.values()], f"saved-{window}-{drift}-{patience}", flags)
        result = switch(args, folder, texts, level, 32, f"{NATIVE} --trust-ledger {{saved}} {flags}", {"saved": saved})
        print(line(flags, result), flush=True)


def main():
    args = arguments()
    domains = parts(args)
    with tempfile.TemporaryDirectory() as folder:
        if args.tune:
            return tune(args, folder, domains)
        saved = learn(args, folder, [text for text, _ in domains.values()], "saved")
        tables = {"start": start_table, "switch": switch_table}
        for name in args.only.split(","):
            put(f"ledger-{name}", "\n".join(tables[name](args, folder, domains, saved)))


if __name__ == "__main__":
    main()
