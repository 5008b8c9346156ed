#!/usr/bin/env python3
"""Decode greedily with llama.cpp and print what it cost: one JSON object, as `hotset bench` does for hotset.

    pip install llama-cpp-python==0.3.36
    python bench/run_llama_cpp.py model.gguf --file prompt.txt -p 32 -n 64 --limit-mib 8192

The model is mapped. With a limit, weights are not repacked: the repacked copy is anonymous memory and would
be more than the limit (--repack on tries it nevertheless). Stop tokens do not stop it.
"""
import argparse
import json
import os
import resource
import sys
import time


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a GGUF file, or a block device that holds one")
    parser.add_argument("--drop", help="file to drop from the page cache first [default: the model]")
    parser.add_argument("-f", "--file", required=True, help="text that prompts are cut from")
    parser.add_argument("-p", type=int, default=32, help="prompt tokens")
    parser.add_argument("-n", type=int, default=64, help="tokens that count")
    parser.add_argument("--warmup", type=int, default=32, help="tokens decoded before those")
    parser.add_argument("-t", "--threads", type=int, default=os.cpu_count())
    parser.add_argument("--limit-mib", type=int, default=0, help="memory limit, in a control group")
    parser.add_argument("--repack", choices=["on", "off"], help="[default: off with a limit, else on]")
    parser.add_argument("--max-seconds", type=float, default=180,
                        help="stop decoding after this time; tokens until then count, of warm-up if there is no other")
    return parser.parse_args()


class Group:
    """A control group with a memory limit that this process moves into (version 1 or 2)."""

    def __init__(self, limit_mib):
        self.one, own = self.find()
        self.directory = os.path.join(own, f"llama-{os.getpid()}")
        self.own = own
        os.mkdir(self.directory)
        self.put("memory.limit_in_bytes" if self.one else "memory.max", limit_mib << 20)
        try:
            self.put("memory.memsw.limit_in_bytes" if self.one else "memory.swap.max", (limit_mib << 20) if self.one else 0)
        except OSError:
            pass  # a kernel without swap accounting
        self.put("cgroup.procs", os.getpid())

    @staticmethod
    def find():
        lines = [line.rstrip("\n").split(":", 2) for line in open("/proc/self/cgroup")]
        for _, controllers, path in lines:
            if "memory" in controllers.split(","):
                return True, existing("/sys/fs/cgroup/memory", path)
        return False, existing("/sys/fs/cgroup", next(path for number, _, path in lines if number == "0"))

    def put(self, name, value):
        with open(os.path.join(self.directory, name), "w") as file:
            file.write(str(value))

    def peak_bytes(self):
        name = "memory.max_usage_in_bytes" if self.one else "memory.peak"
        try:
            return int(open(os.path.join(self.directory, name)).read())
        except OSError:
            return None

    def leave(self):
        with open(os.path.join(self.own, "cgroup.procs"), "w") as file:
            file.write(str(os.getpid()))
        try:
            os.rmdir(self.directory)
        except OSError:
            pass  # still charged for something; it is empty and harmless


def existing(root, path):
    directory = os.path.join(root, path.lstrip("/"))
    return directory if os.path.isdir(directory) else root


def read_bytes():
    return next(int(line.split()[1]) for line in open("/proc/self/io") if line.startswith("read_bytes"))


def status_bytes(name):
    return next((int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith(name)), None)


def open_model(args, lib):
    params = lib.llama_model_default_params()
    params.load_mode = lib.LLAMA_LOAD_MODE_MMAP
    params.use_extra_bufts = (args.repack or ("off" if args.limit_mib else "on")) == "on"
    model = lib.llama_model_load_from_file(args.model.encode(), params)
    if not model:
        sys.exit(f"error: llama.cpp does not load {args.model}")
    params = lib.llama_context_default_params()
    params.n_ctx = max(256, -(-(args.p + args.warmup + args.n + 1) // 256) * 256)
    params.n_batch = params.n_ubatch = 512
    params.n_threads = params.n_threads_batch = args.threads
    context = lib.llama_init_from_model(model, params)
    if not context:
        sys.exit("error: llama.cpp gives no context")
    return model, context


def tokenize(lib, vocab, text, wanted):
    data = text.encode()
    buffer = (lib.llama_token * (len(data) + 16))()
    count = lib.llama_tokenize(vocab, data, len(data), buffer, len(buffer), False, False)
    if count <= 0:
        sys.exit("error: the text has no tokens")
    return [buffer[i % count] for i in range(max(wanted, 1))]


def percentile(ascending, percent):
    rank = -int(-(percent * len(ascending) / 100 - 1e-9) // 1)
    return ascending[min(max(rank, 1), len(ascending)) - 1]


def main():
    args = arguments()
    with open(args.drop or args.model, "rb") as file:
        # Pages read earlier are charged to whoever read them and would not count.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    group = Group(args.limit_mib) if args.limit_mib else None
    try:
        print(json.dumps(measure(args, group)), flush=True)
    finally:
        if group:
            group.leave()
    # The library's own tear-down may read the whole mapping again and tells nothing.
    os._exit(0)


def measure(args, group):
    import llama_cpp as lib
    import numpy
    quiet = lib.llama_log_callback(lambda level, text, data: None)
    lib.llama_log_set(quiet, None)
    lib.llama_backend_init()
    model, context = open_model(args, lib)
    vocab = lib.llama_model_get_vocab(model)
    size = lib.llama_vocab_n_tokens(vocab)

    def decode(tokens):
        """Computes some tokens; the likeliest next one."""
        batch = (lib.llama_token * len(tokens))(*tokens)
        code = lib.llama_decode(context, lib.llama_batch_get_one(batch, len(tokens)))
        if code:
            sys.exit(f"error: llama_decode ended with {code}")
        logits = lib.llama_get_logits_ith(context, -1)
        return int(numpy.argmax(numpy.ctypeslib.as_array(logits, (size,))))

    start = time.perf_counter()
    token = decode(tokenize(lib, vocab, open(args.file).read(), args.p))
    prompt_seconds, began = time.perf_counter() - start, time.time()
    times, reads, cpu, tokens = [], [], [], []
    for _ in range(args.warmup + args.n):
        if times and time.time() - began > args.max_seconds:
            break
        usage, read, start = resource.getrusage(resource.RUSAGE_SELF), read_bytes(), time.perf_counter()
        tokens.append(token)
        token = decode([token])
        after = resource.getrusage(resource.RUSAGE_SELF)
        times.append(time.perf_counter() - start)
        reads.append(read_bytes() - read)
        cpu.append((after.ru_utime - usage.ru_utime, after.ru_stime - usage.ru_stime))
    warm = args.warmup if len(times) > args.warmup else 0
    counted = times[warm:]
    mean = lambda values: sum(values) / max(len(values), 1)
    ascending = sorted(1e3 * t for t in counted)
    if not counted:
        return {"tokens": 0}
    return {
        "version": lib.__version__,
        "threads": args.threads,
        "prompt_tokens_per_second": args.p / prompt_seconds,
        "tokens": len(counted),
        "warmup_tokens": warm,
        "decode_tokens_per_second": len(counted) / sum(counted),
        "p50_ms": percentile(ascending, 50),
        "p95_ms": percentile(ascending, 95),
        "p99_ms": percentile(ascending, 99),
        "read_mib_per_token": mean(reads[warm:]) / (1 << 20),
        "cpu_user_ms_per_token": 1e3 * mean([user for user, _ in cpu[warm:]]),
        "cpu_system_ms_per_token": 1e3 * mean([system for _, system in cpu[warm:]]),
        "peak_memory_bytes": status_bytes("VmHWM"),
        "anonymous_memory_bytes": status_bytes("RssAnon"),
        "group_peak_bytes": group.peak_bytes() if group else None,
        "first_tokens": tokens[:8],
    }


if __name__ == "__main__":
    main()
