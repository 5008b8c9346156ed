"""Compares hotset's chat templates with jinja2, in the environment that Hugging Face transformers makes.

    pip install jinja2==3.1.6
    cargo build -p hotset-text --example render
    scripts/compare_templates.py [--count N] [--seed S]     N random templates: those that differ are printed
    scripts/compare_templates.py --golden FILE              what the tests of crates/text expect, from jinja2

A random template is made of expressions and statements over values of every kind. Most of them fail: then both must
fail. Addresses in memory, hash seeds and integers of more than 63 bits are left out: hotset has none of them.
"""
import argparse
import json
import os
import random
import re
import subprocess

import jinja2
import jinja2.ext
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

RENDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "target", "debug", "examples", "render")
VARIABLES = {"n": 3, "f": 2.5, "s": "Hello, World", "e": "", "u": "Grüße 日本 🙂", "l": [3, 1, 2], "w": ["b", "A", "c"],
             "d": {"b": 1, "a": [1, {"x": None}], "items": 5}, "t": True, "z": None, "q": "it's \"<b>\"\n\ttwo  words ",
             "m": [{"role": "user", "content": "Hi", "k": 2}, {"role": "assistant", "content": "Ho", "k": 1}]}


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    env.filters["tojson"] = tojson
    env.globals.update(raise_exception=raise_exception, strftime_now=lambda pattern: f"T({pattern})")
    return env


ENV = environment()


def reference(template, variables=VARIABLES):
    """What jinja2 renders, or that it refuses."""
    try:
        text = ENV.from_string(template).render(tools=None, documents=None, messages=[], add_generation_prompt=False, **json.loads(json.dumps(variables)))
        return {"text": text.encode().decode()}
    except RecursionError:
        return None
    except Exception as error:
        return {"refused": f"{type(error).__name__}: {error}"}


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def pick(self, *choices):
        return self.r.choice(choices)

    def literal(self):
        return self.pick("1", "0", "-2", "7", "2.5", "1e3", "0.1", "1e-7", "'a'", "'aXb-c'", "''", "' x '", "'%s'", "'1'", "true",
                         "none", "[]", "{}", "()", "(1,)", "[1,2]", "'ß'", "'a,b,c'", "'l1\\nl2'", "undefd", "[[1],[2]]", "{'k':1}",
                         "-1", "100", "'3.7'", "'\\u00e9'", '"it\'s"', "1_000", "0x1f", "range(4)", "('b','a')")

    def name(self):
        return self.pick(*VARIABLES, "loop", "x", "ns.v")

    def expr(self, depth=3):
        if depth == 0 or self.r.random() < 0.15:
            return self.pick(self.literal, self.name)()
        e = lambda: self.expr(depth - 1)
        kind = self.r.randrange(17)
        if kind <= 1:
            return f"({e()} {self.pick('+', '-', '*', '/', '//', '%', '**', '~')} {self.small(depth)})"
        if kind == 2:
            return f"({e()} {self.pick('==', '!=', '<', '>', '<=', '>=', 'in', 'not in')} {e()})"
        if kind == 3:
            return f"({e()} {self.pick('and', 'or')} {e()})"
        if kind == 4:
            return self.pick(f"(not {e()})", f"(-{e()})", f"({e()} if {e()} else {e()})", f"({e()} if {e()})", f"({e()} < {e()} <= {e()})")
        if kind == 5:
            return f"[{e()}, {e()}]"
        if kind == 6:
            return f"{{{self.literal()}: {e()}, 'z': {e()}}}"
        if kind == 7:
            return f"{e()}[{self.pick(e(), '0', '-1', '1:', ':-1', '::-1', '::2', '1:3', '-2:', chr(39) + 'a' + chr(39))}]"
        if kind == 8:
            return f"{e()}.{self.pick('a', 'items', 'b', 'role', 'content', 'x', 'upper', '0', 'k')}"
        if kind <= 10:
            return f"{e()}.{self.method(depth)}"
        if kind <= 14:
            return f"({e()} | {self.filter(depth)})"
        if kind == 15:
            return f"({e()} is {self.pick('', 'not ')}{self.test(depth)})"
        return f"({e()}, {e()})"

    def small(self, depth):
        return self.pick("2", "3", "-1", "0.5", "n", self.expr(depth - 1))

    def method(self, depth):
        e = lambda: self.expr(max(depth - 2, 0))
        return self.pick("upper()", "lower()", "title()", "capitalize()", "swapcase()", "casefold()", "strip()", f"strip({e()})", "lstrip()",
                         "rstrip()", f"split({e()})", "split()", f"split({e()}, 1)", f"rsplit({e()}, 1)", "rsplit(None, 1)", "splitlines()",
                         "splitlines(true)", f"partition({e()})", f"rpartition({e()})", f"replace({e()}, {e()})", "replace('l', 'LL', 1)",
                         f"startswith({e()})", f"endswith({e()})", f"find({e()})", f"rfind({e()})", f"index({e()})", f"count({e()})",
                         f"join({e()})", "zfill(6)", "ljust(8, '*')", "rjust(8)", "center(9, '-')", "expandtabs(4)", "isalpha()", "isdigit()",
                         "isalnum()", "isspace()", "islower()", "isupper()", "istitle()", "isidentifier()", "isascii()", "isdecimal()",
                         f"removeprefix({e()})", f"removesuffix({e()})", f"get({e()})", f"get({e()}, {e()})", "keys()", "values()", "items()",
                         f"format({e()}, {e()})", f"index({e()})", "copy()", f"count({e()}, 1)", "find('o', 5)", "startswith(('H', 'a'))")

    def filter(self, depth):
        e = lambda: self.expr(max(depth - 2, 0))
        return self.pick("abs", "capitalize", f"center({self.pick(10, 3)})", f"default({e()})", f"d({e()}, true)", "dictsort", "dictsort(by='value')",
                         "dictsort(reverse=true)", "e", "escape", "first", "last", "float", f"float({e()})", "int", f"int({e()})", "int(0, 16)",
                         "indent", "indent(2, true)", "indent(3, blank=true)", "items|list", f"join({e()})", "join", "join(', ', attribute='role')",
                         "length", "count", "list", "lower", "upper", "title", "trim", f"trim({e()})", "map('upper')|list", "map(attribute='role')|list",
                         "map('length')|join", "map(attribute='zz', default='D')|list", "max", "min", "pprint", "reject|list", "select|list",
                         "select('string')|list", "selectattr('k')|list", "selectattr('role', 'equalto', 'user')|list", "rejectattr('k', 'gt', 1)|list",
                         f"select('in', {e()})|list", f"replace({e()}, {e()})", "replace('l', 'L', 1)", "reverse|list", "round", "round(1)", "round(2, 'floor')",
                         "round(0, 'ceil')", "round(-1)", "safe", "slice(2)|list", "slice(3, 'f')|list", "batch(2)|list", "batch(2, 0)|list", "sort", "sort(reverse=true)",
                         "sort(attribute='k')", "sort(case_sensitive=true)", "string", "striptags", "sum", "sum(attribute='k')", f"sum(start={e()})", "tojson",
                         "tojson(indent=2)", "tojson(ensure_ascii=true)", "tojson(sort_keys=true)", "tojson(separators=(',', ':'))", "truncate(5)",
                         "truncate(8, true, '~', 0)", "unique|list", "unique(attribute='k')|list", "urlencode", "wordcount", "xmlattr", "filesizeformat",
                         "groupby('k')", "groupby('role')|list", "attr('a')", f"format({e()})", "forceescape", "string|length", "groupby('zz', default=1)",
                         "min(attribute='k')", "max(attribute='role')", "reverse")

    def test(self, depth):
        e = lambda: self.expr(max(depth - 2, 0))
        return self.pick("defined", "undefined", "none", "boolean", "true", "false", "integer", "float", "number", "string", "mapping", "sequence",
                         "iterable", "callable", "odd", "even", f"divisibleby({e()})", "divisibleby 3", "lower", "upper", f"eq({e()})", f"in({e()})",
                         f"sameas({self.pick('true', 'none', 'false')})", "escaped", f"gt({e()})", "filter", "test", "eq 3")

    def body(self, depth):
        return "".join(self.statement(depth) for _ in range(self.r.randrange(1, 3)))

    def space(self):
        return self.pick("", "\n", " ", "\n  ", "x", " y ", "\r\n")

    def tag(self, inner):
        return self.space() + self.pick("{%", "{%-", "{%+", "{%", "{%") + f" {inner} " + self.pick("%}", "-%}", "%}", "+%}") + self.space()

    def statement(self, depth=2):
        e = lambda: self.expr(2)
        if depth == 0 or self.r.random() < 0.3:
            return self.space() + self.pick("{{", "{{-", "{{") + f" {e()} " + self.pick("}}", "-}}", "}}")
        b = lambda: self.body(depth - 1)
        kind = self.r.randrange(13)
        t = self.tag
        if kind == 0:
            return t(f"if {e()}") + b() + self.pick("", t("else") + b(), t(f"elif {e()}") + b()) + t("endif")
        if kind <= 2:
            head = self.pick(f"for x in {e()}", f"for x in {self.pick('l', 'm', 'w', 's')}", f"for a, b in {self.pick('d.items()', 'd|dictsort', e())}",
                             f"for x in m if x.k > {e()}", f"for x in {self.pick('l', 'w')} if loop is undefined")
            inner = b() + self.pick("", "{{ loop.index }}{{ loop.last }}{{ loop.revindex0 }}", "{{ loop.previtem }}{{ loop.nextitem }}", "{% break %}",
                                    "{% if loop.first %}{% continue %}{% endif %}", "{{ loop.cycle('o', 'e') }}", "{{ loop.changed(x) }}", "{{ loop.length }}",
                                    "{% set x = 9 %}{{ x }}")
            return t(head) + inner + self.pick("", t("else") + b()) + t("endfor")
        if kind <= 4:
            return t(f"set {self.pick('x', 'a', 'ns', 's', 'x, a')} = {self.pick(e(), e(), 'namespace(v=1)')}")
        if kind == 5:
            return t("set x") + b() + t("endset")
        if kind == 6:
            return t("set ns = namespace(v=0)") + "{% for i in l %}{% set ns.v = ns.v + i %}{% endfor %}{{ ns.v }}"
        if kind == 7:
            return t(f"macro f(p, q={e()})") + b() + "{{ p }}{{ q }}" + self.pick("", "{{ varargs }}", "{{ kwargs }}", "{{ caller() }}") + t("endmacro") + self.pick(
                f"{{{{ f({e()}) }}}}", f"{{{{ f({e()}, q=1) }}}}", "{{ f() }}", "{% call f(1) %}in{% endcall %}", "{{ f(1, 2, 3) }}", "{{ f(1, zz=2) }}")
        if kind == 8:
            return t(f"with x = {e()}, a = x") + b() + "{{ x }}{{ a }}" + t("endwith")
        if kind == 9:
            return t(f"filter {self.pick('upper', 'trim', 'indent(2)', 'replace(' + chr(39) + 'a' + chr(39) + ', s)')}") + b() + t("endfilter")
        if kind == 10:
            return t("generation") + b() + t("endgeneration")
        if kind == 11:
            return self.pick("{# c #}", "\n  {# c #}\n", "{#- c -#}", "{% raw %} {{ x }} {% endraw %}", "{%- raw -%} a {%- endraw -%}", "  {% raw %}\n b\n {% endraw %}\n")
        return self.pick("{% for x in [1, [2, 3]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}.{{ loop.depth }}{% endif %}{% endfor %}",
                         "{% if false %}{% set x = 1 %}{% endif %}{{ x }}", "{%% block b%d %%}{{ s }}{%% endblock %%}" % self.r.randrange(10**6),
                         "{{ '%s|%5d|%-4s|%05.1f|%x' % (s, 42, 'ab', 3.14159, 255) }}", "{{ '{:>6}|{:<5}|{:^7}|{:+d}|{:.2f}|{0!r}'.format(1,2,3,4,5.0) }}",
                         "{{ '{:>6}|{:<5}|{:^7}|{:+d}|{:,}'.format('a', 'b', 'c', 4, 1234567) }}", "{{ dict(a=1, **d) }}{{ [1, 2] + l }}", "{% set x, y = 1, 2 %}{{ x + y }}")

    def template(self):
        if self.r.random() < 0.6:
            return "{{ " + self.expr(3) + " }}"
        return "".join(self.statement(2) for _ in range(self.r.randrange(1, 4)))


# What hotset does not have: addresses, the order of hashes, long integers, file-like bits of Python.
UNLIKE = re.compile(r"object at 0x|built-in method|<function|<class|<generator|<Macro|bound method|reverseiterator|<map|<filter|_iterator object|<LoopContext|\d{19}|<BlockReference|<Cycler")


def own(cases):
    lines = "".join(json.dumps({"template": template, "variables": variables}) + "\n" for template, variables in cases)
    done = subprocess.run([RENDER], input=lines, capture_output=True, text=True)
    answers = [json.loads(line) for line in done.stdout.split("\n") if line]
    if len(answers) != len(cases):
        raise SystemExit(f"render ended at {cases[len(answers)][0]!r}: {done.stderr[-2000:]}")
    return answers


def compare(count, seed):
    made = []
    for i in range(count):
        template = Maker(f"{seed}-{i}").template()
        expected = reference(template)
        if expected is not None and not UNLIKE.search(expected.get("text", "")):
            made.append((template, expected))
    differing = rendered = 0
    for (template, expected), found in zip(made, own([(template, VARIABLES) for template, _ in made])):
        rendered += "text" in expected
        if expected.get("text") == found.get("text"):
            continue
        if re.search("63 bits|too much|not supported in a chat", found.get("refused", "")):
            continue
        differing += 1
        print(f"template {template!r}\n  jinja2 {expected}\n  hotset {found}")
    print(f"{len(made)} templates, of which jinja2 renders {rendered}: {differing} differ")
    return differing


def golden(path):
    """Lines of `constructs.txt` beside `path`, one JSON string each, with what jinja2 makes of them."""
    with open(os.path.join(os.path.dirname(path), "constructs.txt"), encoding="utf-8") as f:
        templates = [json.loads(line) for line in f if line.strip() and not line.startswith("#")]
    cases = []
    for template in templates:
        expected = reference(template)
        cases.append({"template": template, "text": expected.get("text")})
        if "refused" in expected:
            print(f"refused: {template!r}: {expected['refused']}")
    with open(path, "w", encoding="utf-8") as f:
        lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
        f.write(f'{{"variables": {json.dumps(VARIABLES, ensure_ascii=False)},\n"cases": [\n{lines}\n]}}\n')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--golden")
    args = parser.parse_args()
    if args.golden:
        golden(args.golden)
    else:
        raise SystemExit(compare(args.count, args.seed) > 0)


if __name__ == "__main__":
    main()
