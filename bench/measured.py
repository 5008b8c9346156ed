"""What the scripts that write docs/routing.md share: running hotset, and putting a table into its place."""
import json
import os
import re
import shlex
import subprocess
import sys

DOCUMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../docs/routing.md")


def run(args, *words):
    """The JSON objects that `args.hotset` prints; ends the script if it fails."""
    command = [args.hotset, *words]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit(f"{shlex.join(command)}\n{result.stderr.strip()}")
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def put(name, table):
    """Puts a table between `<!-- NAME -->` and `<!-- end -->` in docs/routing.md."""
    text = open(DOCUMENT, encoding="utf-8").read()
    found, n = re.subn(rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda m: m[1] + table + "\n" + m[2], text, flags=re.S)
    if n != 1:
        sys.exit(f"no place for {name} in docs/routing.md")
    open(DOCUMENT, "w", encoding="utf-8").write(found)
