#!/usr/bin/env python3
"""Prints the tour of README.md again: runs every `$ hotset` command of its code blocks and puts what the
program says under it.

    cargo build --release && scripts/print_tour.py            # all but the model of full size
    scripts/print_tour.py --full                              # that too: 17 GiB in the working directory
    scripts/print_tour.py --check                             # changes nothing; exit code 1 if a command fails oddly

Commands run in the order of the page, in the checkout, with target/release/hotset as `hotset`. Files that the
page makes lie in /tmp or are removed.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FULL_SIZE = "synthetic.gguf"
MADE = ["t.trace", "prompt.txt", "/tmp/small.hotset"]


def printed(command):
    """What a person sees: both streams, in the order they come."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HOTSET_")}
    environment["PATH"] = os.path.join(ROOT, "target/release") + os.pathsep + environment["PATH"]
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode not in (0, 1, 2):
        sys.exit(f"{command}: exit code {done.returncode}")
    return done.stdout.rstrip("\n")


def again(block):
    """A code block with its commands run again."""
    commands = re.findall(r"^\$ (.*)$", block, re.M)
    if not commands or FULL_SIZE in block and "--full" not in sys.argv:
        return block
    parts = [f"$ {command}\n{printed(command)}".rstrip("\n") for command in commands]
    separator = "\n\n" if "\n\n$ " in block else "\n"
    return separator.join(parts) + "\n"


def main():
    for name in MADE:
        if os.path.exists(os.path.join(ROOT, name)):
            os.remove(os.path.join(ROOT, name))
    path = os.path.join(ROOT, "README.md")
    page = open(path).read()
    new = re.sub(r"(?<=```\n)\$ hotset.*?(?=```)", lambda found: again(found.group(0)), page, flags=re.S)
    for name in MADE:
        if os.path.exists(os.path.join(ROOT, name)):
            os.remove(os.path.join(ROOT, name))
    if "--check" not in sys.argv:
        open(path, "w").write(new)


main()
