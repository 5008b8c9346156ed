//! Templates made by a grammar: what they say is odd, that they parse is likely.

use hotset_testkit::Random;

use crate::mutate::{once_in, pick};

/// What published templates do, to be changed.
pub const SEEDS: [&str; 4] = [
    "{%- for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content | trim + '<|im_end|>' }}\n{% endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "{%- if tools %}{{- '# Tools\\n' }}{%- for tool in tools %}{{- tool | tojson(indent=2) }}{%- endfor %}{%- endif %}{%- set ns = namespace(last=messages|length - 1, found=false) %}{%- for m in messages[::-1] %}{%- if m.role == 'user' and not ns.found %}{%- set ns.found = true %}{%- set ns.last = loop.index0 %}{%- endif %}{%- endfor %}{{ ns.last }}",
    "{% macro show(value, depth=0) %}{% if value is mapping %}{% for key, item in value.items() %}{{ '  ' * depth ~ key }}:\n{{ show(item, depth + 1) }}{% endfor %}{% elif value is iterable and value is not string %}{{ value | map('string') | join(', ') }}{% else %}{{ value }}{% endif %}{% endmacro %}{{ show(tools[0] if tools else messages) }}",
    "{%- for m in messages if m.role != 'system' -%}{%- set content = m.content.split('</think>')[-1].lstrip('\\n') -%}{{ loop.index }}{{ content[:20] | upper | replace('A', '') }}{{ raise_exception('no') if loop.index > 9 }}{%- else -%}none{%- endfor -%}",
];

/// What is put into templates that are changed.
pub const WORDS: [&str; 24] = [
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "#}",
    "{%-",
    "-%}",
    "{% for x in x %}",
    "{% endfor %}",
    "{% if",
    "{% endif %}",
    "{% set x = [x, x] %}",
    " ~ ",
    " | ",
    " is ",
    "loop",
    "range(999999)",
    "* 99999999",
    "[::-1]",
    "**9",
    "namespace(",
    "{% raw %}",
    "'\\u0000'",
];

const NAMES: [&str; 10] = [
    "messages",
    "tools",
    "x",
    "y",
    "ns.x",
    "loop",
    "add_generation_prompt",
    "bos_token",
    "messages[0]",
    "undefined_name",
];
const FILTERS: [&str; 46] = [
    "abs",
    "round(2)",
    "round(-99999)",
    "center(999999)",
    "filesizeformat",
    "format(x, y)",
    "groupby('role')",
    "max",
    "min",
    "striptags",
    "truncate(5)",
    "wordwrap(3)",
    "upper",
    "lower",
    "trim",
    "title",
    "capitalize",
    "e",
    "safe",
    "length",
    "sort",
    "unique",
    "list",
    "tojson",
    "string",
    "first",
    "last",
    "reverse",
    "join('-')",
    "join(x)",
    "replace('a', 'bb')",
    "replace('', x)",
    "map('upper')",
    "map(attribute='role')",
    "select('eq', x)",
    "selectattr('role', 'equalto', 'user')",
    "rejectattr('content')",
    "dictsort",
    "items",
    "batch(3)",
    "slice(2)",
    "indent(4)",
    "int",
    "float",
    "sum",
    "default(x)",
];
const TESTS: [&str; 14] = [
    "defined",
    "none",
    "string",
    "mapping",
    "sequence",
    "iterable",
    "number",
    "odd",
    "boolean",
    "eq(x)",
    "in(x)",
    "lt(y)",
    "sameas(x)",
    "divisibleby(0)",
];
const OPERATORS: [&str; 19] = [
    "+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", ">=", "and", "or", "in", "not in", "+", "~",
    "*",
];
const METHODS: [&str; 26] = [
    "ljust(99999999)",
    "zfill(9999999)",
    "center(7, 'é')",
    "expandtabs(999999)",
    "partition('a')",
    "removesuffix(x)",
    "swapcase()",
    "isdigit()",
    "find(x)",
    "encode()",
    "split()",
    "split('a')",
    "strip()",
    "upper()",
    "title()",
    "startswith('a')",
    "endswith(x)",
    "replace('a', x)",
    "join(x)",
    "format(x)",
    "items()",
    "keys()",
    "get('role')",
    "count('a')",
    "rsplit(' ', 1)",
    "splitlines()",
];
const LITERALS: [&str; 16] = [
    "0",
    "1",
    "-1",
    "2",
    "64",
    "100000",
    "9223372036854775807",
    "0.5",
    "1e308",
    "''",
    "'a'",
    "'abc def'",
    "true",
    "none",
    "[]",
    "{}",
];
/// Deepest expression or block.
const DEPTH: usize = 5;

/// A template of a few statements.
pub fn grown(random: &mut Random) -> String {
    let mut out = String::new();
    body(random, &mut out, DEPTH);
    out
}

fn body(random: &mut Random, out: &mut String, depth: usize) {
    for _ in 0..1 + random.below(4) {
        statement(random, out, depth);
    }
}

fn statement(random: &mut Random, out: &mut String, depth: usize) {
    let dash = *pick(random, &["", "-"]);
    let value = expression(random, depth);
    match if depth == 0 { 0 } else { random.below(10) } {
        0..3 => out.push_str(&format!("{{{{{dash} {value} }}}}")),
        3..5 => out.push_str(&format!("{{% set {} = {value} %}}", pick(random, &["x", "y", "x", "ns"]))),
        5 => {
            out.push_str(&format!("{{% if {value} {dash}%}}"));
            body(random, out, depth - 1);
            out.push_str("{% else %}");
            body(random, out, depth - 1);
            out.push_str("{% endif %}");
        }
        6..8 => {
            let over = if once_in(random, 2) { format!("range({value})") } else { value };
            out.push_str(&format!("{{% for {} in {over} %}}", pick(random, &["x", "y", "x, y"])));
            body(random, out, depth - 1);
            let end: &&str =
                pick(random, &["{% endfor %}", "{% break %}{% endfor %}", "{% else %}-{% endfor %}"]);
            out.push_str(end);
        }
        8 => {
            out.push_str("{% macro m(x, y=0) %}");
            body(random, out, depth - 1);
            out.push_str(&format!("{{% endmacro %}}{{{{ m({value}) }}}}"));
        }
        _ => {
            out.push_str(&format!(
                "{{% set ns = namespace(x={value}) %}}{{% set ns.x = [ns.x, ns.x, {value}] %}}"
            ));
        }
    }
}

fn expression(random: &mut Random, depth: usize) -> String {
    if depth == 0 || once_in(random, 4) {
        let words: &[&str] = if once_in(random, 2) { &NAMES } else { &LITERALS };
        return (*pick(random, words)).to_owned();
    }
    let inner = expression(random, depth - 1);
    match random.below(10) {
        0 | 1 => format!("({inner} {} {})", pick(random, &OPERATORS), expression(random, depth - 1)),
        2 | 3 => format!("({inner} | {})", pick(random, &FILTERS)),
        4 => format!("({inner} is {})", pick(random, &TESTS)),
        5 => format!("({inner}).{}", pick(random, &METHODS)),
        6 => format!("[{inner}, {inner}, {}]", expression(random, depth - 1)),
        7 => format!("{{'a': {inner}, {}: 1}}", pick(random, &LITERALS)),
        8 => format!(
            "({inner})[{}]",
            pick(random, &["0", "-1", "1:", "::-1", "::0", ":9999999999", "'role'", "x"])
        ),
        _ => format!("({inner} if {} else y)", expression(random, depth - 1)),
    }
}
