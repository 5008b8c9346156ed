//! Chat templates render what Jinja2 renders, and a hostile one is stopped.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::golden;
use hotset_base::limits::{
    MAX_RENDERED, MAX_TEMPLATE, MAX_TEMPLATE_DEPTH, MAX_TEMPLATE_VARIABLES, MAX_VALUE_DEPTH,
};
use hotset_text::{ChatMessage, ChatTemplate, TemplateError, Variables, VariablesError};
use serde::Deserialize;
use serde_json::value::RawValue;

const THINKING: &str = include_str!("data/thinking-template.jinja");

fn user(content: &str) -> Vec<ChatMessage> {
    vec![ChatMessage { role: "user".to_owned(), content: content.to_owned() }]
}

fn variables(json: &str) -> Variables {
    Variables::from_json(json).unwrap()
}

fn rendered(
    template: &ChatTemplate,
    messages: &[ChatMessage],
    add_generation_prompt: bool,
    json: &str,
) -> Result<String, TemplateError> {
    template.render(messages, add_generation_prompt, &variables(json), &AtomicBool::new(false))
}

fn render(source: &str, content: &str) -> Result<String, TemplateError> {
    rendered(&ChatTemplate::new(Some(source))?, &user(content), true, "{}")
}

#[derive(Deserialize)]
struct Constructs<'c> {
    #[serde(borrow)]
    variables: &'c RawValue,
    cases: Vec<Construct>,
}

/// A template and what jinja2 makes of it; no text where it refuses.
#[derive(Deserialize)]
struct Construct {
    template: String,
    text: Option<String>,
}

#[test]
fn every_construct_gives_what_jinja2_gives() {
    let constructs: Constructs = serde_json::from_str(include_str!("data/constructs.json")).unwrap();
    let variables = constructs.variables.get();
    for Construct { template, text } in constructs.cases {
        let result = ChatTemplate::new(Some(&template)).and_then(|compiled| {
            let compiled = compiled.with_clock(|pattern| format!("T({pattern})"));
            rendered(&compiled, &[], false, variables)
        });
        assert_eq!(result.as_deref().ok(), text.as_deref(), "{template:?}: {result:?}");
    }
}

#[test]
fn a_flag_ends_a_template() {
    let source = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}";
    let template = ChatTemplate::new(Some(source)).unwrap();
    let cancel = AtomicBool::new(true);
    let result = template.render(&user("x"), true, &Variables::default(), &cancel);
    assert_eq!(result, Err(TemplateError::Cancelled));
    assert!(cancel.load(Ordering::Relaxed));
}

#[test]
fn variables_keep_their_order_and_have_limits() {
    let template = ChatTemplate::new(Some("{{ tools | tojson }}{{ documents is none }}{{ n }}")).unwrap();
    let json = r#"{"tools": [{"zz": 1, "aa": {"y": 2.5, "x": null}}], "n": -7}"#;
    let wanted = r#"[{"zz": 1, "aa": {"y": 2.5, "x": null}}]True-7"#;
    assert_eq!(rendered(&template, &[], false, json).unwrap(), wanted);
    for json in ["", "[]", "1", "{", r#"{"a": 99999999999999999999}"#, "{\"a\": \u{7}}"] {
        assert!(matches!(Variables::from_json(json), Err(VariablesError::NotAnObject(_))), "{json}");
    }
    let fill = |bytes: usize| format!("{{\"a\": \"{}\"}}", "x".repeat(bytes - 9));
    assert!(Variables::from_json(&fill(MAX_TEMPLATE_VARIABLES.index())).is_ok());
    let over = Variables::from_json(&fill(MAX_TEMPLATE_VARIABLES.index() + 1));
    assert!(matches!(over, Err(VariablesError::TooLarge { .. })));
}

#[test]
fn the_user_goes_before_the_files() {
    let mut given = variables(r#"{"bos_token": "<mine>"}"#);
    given.set_text_if_missing("bos_token", "<s>");
    given.set_text_if_missing("eos_token", "</s>");
    let template =
        ChatTemplate::new(Some("{{ bos_token }}{{ eos_token }}{{ pad_token is defined }}")).unwrap();
    let text = template.render(&[], false, &given, &AtomicBool::new(false)).unwrap();
    assert_eq!(text, "<mine></s>False");
}

#[test]
fn remainders_have_the_sign_of_the_divisor_up_to_the_largest_numbers() {
    let source = "{{ 2 % 9223372036854775807 }} {{ -2 % 9223372036854775807 }} {{ 2 % -9223372036854775807 }} {{ 7 % -3 }} {{ -7 % 3 }} {{ 6 % -3 }} {{ (-9223372036854775807 - 1) % -1 }}";
    let expected = "2 9223372036854775805 -9223372036854775805 -2 2 0 0";
    assert_eq!(render(source, "").unwrap(), expected);
}

#[test]
fn renderings_are_those_of_jinja2() {
    let template = ChatTemplate::new(Some(THINKING)).unwrap();
    for case in golden().thinking {
        let extra = serde_json::to_string(&case.extra).unwrap();
        let got = rendered(&template, &case.messages, case.add_generation_prompt, &extra);
        let want = match case.raised {
            Some(message) => Err(TemplateError::Raised(message)),
            None => Ok(case.text.unwrap()),
        };
        assert_eq!(got, want, "{:?}", case.messages);
    }
}

#[test]
fn the_demo_template_and_the_built_in_one_agree() {
    let golden = golden();
    let built_in = ChatTemplate::new(None).unwrap();
    let demo = ChatTemplate::new(Some(&golden.demo_template)).unwrap();
    let chat = &golden.demo_chat;
    for template in [&built_in, &demo] {
        let extra = serde_json::to_string(&chat.extra).unwrap();
        assert_eq!(rendered(template, &chat.messages, true, &extra).unwrap(), *chat.text.as_ref().unwrap());
    }
    for case in &golden.thinking {
        let text = |template: &ChatTemplate| rendered(template, &case.messages, false, "{}").unwrap();
        assert_eq!(text(&built_in), text(&demo));
    }
}

#[test]
fn the_time_is_only_what_is_passed_in() {
    let source = "{% if strftime_now is defined %}{{ strftime_now('%d %b') }}{% else %}never{% endif %}";
    assert_eq!(render(source, "").unwrap(), "never");
    let template = ChatTemplate::new(Some(source)).unwrap().with_clock(|format| format!("<{format}>"));
    assert_eq!(rendered(&template, &[], false, "{}").unwrap(), "<%d %b>");
}

#[test]
fn extra_variables_do_not_replace_the_conversation() {
    let extra = r#"{"messages": 1, "add_generation_prompt": false, "bos_token": "<s>"}"#;
    let template = ChatTemplate::new(Some("{{ bos_token }}{{ messages|length }}{{ add_generation_prompt }}"));
    assert_eq!(rendered(&template.unwrap(), &user("x"), true, extra).unwrap(), "<s>1True");
}

#[test]
fn errors_are_one_clear_line() {
    for (source, message) in [
        ("a\n{% if %}", "chat template is invalid at line 2: "),
        (
            "{{ raise_exception('roles\nmust alternate') }}",
            "chat template refuses the conversation: roles must alternate",
        ),
        ("\n\n{{ nothing.at.all }}", "chat template failed at line 3: "),
        ("{{ 'x'.form() }}", "chat template failed at line 1: 'str object' has no attribute 'form'"),
    ] {
        let error = render(source, "").unwrap_err().to_string();
        assert!(error.starts_with(message) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn long_conversations_have_work_enough() {
    let turn = |role: &str, text: &str| ChatMessage { role: role.to_owned(), content: text.to_owned() };
    let template = ChatTemplate::new(Some(THINKING)).unwrap();
    let many: Vec<_> =
        (0..150).flat_map(|_| [turn("user", "Hi?"), turn("assistant", "<think>so</think>Ho.")]).collect();
    assert!(rendered(&template, &many, true, "{}").is_ok());
    let long = "word ".repeat(100_000);
    let large: Vec<_> = (0..4).flat_map(|_| [turn("user", &long), turn("assistant", &long)]).collect();
    assert!(rendered(&template, &large, true, "{}").unwrap().len() > 4_000_000);
}

#[test]
fn sizes_hold_at_the_limit_and_past_it() {
    let source = "x\n".repeat(MAX_TEMPLATE.index() / 2);
    assert!(ChatTemplate::new(Some(&source)).is_ok());
    assert!(matches!(ChatTemplate::new(Some(&format!("{source}x"))), Err(TemplateError::TooLarge { .. })));
    let text = "x".repeat(MAX_RENDERED.index());
    assert_eq!(render("{{ messages[0].content }}", &text).unwrap().len(), text.len());
    let over = render("{{ messages[0].content }}x", &text);
    assert_eq!(over, Err(TemplateError::OutputTooLong { limit: MAX_RENDERED }));
}

/// Each must end in an error; the time is generous for loaded machines.
fn stopped(name: &str, source: &str) {
    let start = Instant::now();
    let result = render(source, "Hello");
    let seconds = start.elapsed();
    assert!(result.is_err(), "{name}: {:.80}", result.unwrap());
    assert!(seconds < Duration::from_secs(2), "{name}: {seconds:?}");
}

#[test]
fn hostile_work_is_stopped() {
    let big = "{% set b = 'x' * 500000 %}";
    for (name, source) in [
        ("huge range", "{% for i in range(1000000000) %}{% endfor %}"),
        ("nested ranges", "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"),
        ("recursive macro", "{% macro m(x) %}{{ m(x + 1) }}{{ m(x + 1) }}{% endmacro %}{{ m(0) }}"),
        ("recursive include", "{% include 'chat' %}{% include 'chat' %}"),
        ("include of a file", "{% include '/etc/passwd' %}"),
        ("import", "{% import 'chat' as c %}{{ c }}"),
        ("extends", "{% extends 'chat' %}"),
        ("attribute walk", "{{ ''.__class__.__mro__[1].__subclasses__() }}"),
        ("globals", "{{ messages.__init__.__globals__ }}"),
        ("a loop's test", "{% for i in range(99999) if [i] * 99999 == 1 %}{% endfor %}"),
        ("long output", "{% for i in range(1000) %}{{ 'x' * 100000 }}{% endfor %}"),
        ("long string", "{{ 'x' * 99999999 }}"),
        (
            "doubling text",
            "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        ),
        (
            "doubling list",
            "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        ),
        ("replace", &format!("{big}{{{{ b.replace('x', b) }}}}")),
        ("join", &format!("{big}{{{{ b.join(range(99999)) }}}}")),
        ("join of lists", &format!("{big}{{{{ ','.join([[b] * 999] * 999) }}}}")),
        ("tojson", &format!("{big}{{{{ ([[b] * 999] * 999)|tojson }}}}")),
        ("string", &format!("{big}{{{{ ([[b] * 999] * 999)|string }}}}")),
        ("captured print", &format!("{big}{{% set c %}}{{{{ [b] * 9999 }}}}{{% endset %}}")),
        ("split", &format!("{big}{{% for i in range(9999) %}}{{% set c = b.split('x') %}}{{% endfor %}}")),
        ("power", "{{ 9 ** 9 ** 9 ** 9 }}"),
        ("formats", "{{ '%999999999d'|format(1) }}"),
        ("shared lists", &format!("{}{{{{ a }}}}", "{% set a = [a, a] %}".repeat(60))),
    ] {
        stopped(name, source);
    }
}

#[test]
fn values_can_not_overflow_the_stack() {
    let setup = "{% set ns = namespace(a=1) %}{% for i in range(9999) %}";
    for (name, source) in [
        ("nested lists", &format!("{setup}{{% set ns.a = [ns.a] %}}{{% endfor %}}") as &str),
        ("nested maps", &format!("{setup}{{% set ns.a = {{'a': ns.a}} %}}{{% endfor %}}")),
        ("a cycle", "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}"),
        ("a cycle in a list", "{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns.a|string }}"),
        ("a macro in itself", "{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}"),
        ("a loop in itself", "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"),
    ] {
        stopped(name, source);
    }
    // Neither these nor the longest chains that are allowed overflow the stack of a test thread (2 MiB).
    let chain = |step: &str| {
        format!(
            "{{% set ns = namespace(a=none, m=namespace()) %}}{{% set ns.top = ns.m %}}\
             {{% for i in range(5000) %}}{step}{{% endfor %}}done"
        )
    };
    for source in [
        chain("{% set ns.a = namespace(a=ns.a) %}"),
        chain("{% set m = ns.m %}{% set m.next = namespace() %}{% set ns.m = m.next %}"),
        chain("{% set old = ns.a %}{% macro f() %}{{ old }}{% endmacro %}{% set ns.a = f %}"),
        chain("{% for j in [1] %}{{ '' if loop.changed(ns.a) }}{% set ns.a = loop %}{% endfor %}"),
    ] {
        assert_eq!(render(&source, "").as_deref(), Ok("done"), "{source}");
    }
}

#[test]
fn depths_hold_at_the_limit_and_past_it() {
    let wrapped =
        |depth: usize| format!("{{% set a = 1 %}}{}{{{{ a == a }}}}", "{% set a = [a] %}".repeat(depth));
    assert_eq!(render(&wrapped(MAX_VALUE_DEPTH), "").as_deref(), Ok("True"));
    assert!(render(&wrapped(MAX_VALUE_DEPTH + 1), "").is_err());
    let sum = |terms: usize| format!("{{{{ 1{} }}}}", "+1".repeat(terms));
    assert_eq!(render(&sum(MAX_TEMPLATE_DEPTH - 1), "").unwrap(), MAX_TEMPLATE_DEPTH.to_string());
    assert!(matches!(render(&sum(MAX_TEMPLATE_DEPTH), ""), Err(TemplateError::Syntax { .. })));
    let parentheses = |count: usize| format!("{{{{ {}1{} }}}}", "(".repeat(count), ")".repeat(count));
    assert_eq!(render(&parentheses(150), "").unwrap(), "1");
    assert!(matches!(render(&parentheses(250), ""), Err(TemplateError::Syntax { .. })));
    let macros = |count: usize| {
        let one = |i: usize| {
            format!("{{% macro m{i}() %}}{{% if true %}}{{{{ m{}() }}}}{{% endif %}}{{% endmacro %}}", i + 1)
        };
        format!(
            "{}{{% macro m{count}() %}}end{{% endmacro %}}{{{{ m0() }}}}",
            (0..count).map(one).collect::<String>()
        )
    };
    assert_eq!(render(&macros(150), "").unwrap(), "end");
    assert!(matches!(render(&macros(1000), ""), Err(TemplateError::Failed { .. })));
}

/// Lists, tuples and maps that hold the one before twice: small, and 2^30 parts to walk.
#[test]
fn values_are_charged_for_as_they_are_walked() {
    let setup = |start: &str, step: &str| {
        let both = |name: &str| {
            format!("{{% set {name} = {start} %}}")
                + &format!("{{% set {name} = {} %}}", step.replace('_', name)).repeat(30)
        };
        both("a") + &both("b")
    };
    let shared =
        [setup("['xy']", "[_, _]"), setup("('xy',)", "(_, _)"), setup("{'k': 1}", "{'k': _, 'j': _}")];
    for expression in [
        "a | upper",
        "a | e",
        "a | tojson",
        "a | string",
        "a | wordcount",
        "a | replace('x', 'y')",
        "a ~ b",
        "'%s' % [a]",
        "'{}'.format(a)",
        "a == b",
        "a != b",
        "[[a], [b]] | sort",
        "[a, 1].index(b)",
        "b in [1, a]",
        "a is eq(b)",
        "a is in([b])",
        "[a] | select('eq', b) | list",
        "[a] | map('string') | list",
        "[a] | join",
        "'x'.replace(a | string, '')",
        "a is lower",
        "dict(x=a) == dict(x=b)",
        "namespace(x=a) | string",
        "raise_exception(a)",
        "[a] * 3 == [b] * 3",
    ] {
        for setup in &shared {
            stopped(expression, &format!("{setup}{{% if {expression} %}}{{% endif %}}"));
        }
    }
    let text = format!("{{% set s = 'abcdefghij' %}}{}", "{% set s = s + s %}".repeat(20));
    for expression in [
        "s * 1000",
        "s | list",
        "s.split('a')",
        "s.replace('a', s)",
        "s.center(10 ** 9)",
        "'%999999999d' % 1",
        "'{:999999999}'.format(1)",
        "[1] | tojson(indent=10 ** 9)",
        "s | sort",
        "[0] * 10 ** 12",
        "s | batch(1) | list",
        "'\\t'.expandtabs(10 ** 9)",
    ] {
        stopped(expression, &format!("{text}{{% if {expression} %}}{{% endif %}}"));
    }
}

#[test]
fn large_sources_are_stopped() {
    let fill = |open: &str, part: &str, close: &str| {
        let (room, part) = (MAX_TEMPLATE.index() - open.len() - close.len(), format!("{part}\n"));
        format!("{open}{}{close}", part.repeat(room / part.len()))
    };
    for (name, source) in [
        ("parentheses", fill("{{ ", "(", "}}")),
        ("blocks", fill("", "{% if a %}", "")),
        ("signs", fill("{{ ", "-", "1 }}")),
        ("attributes", fill("{{ a", ".a", " }}")),
        ("sum", fill("{{ 1", "+1", " }}")),
        ("subscripts", fill("{{ a", "[0]", " }}")),
        ("filters", fill("{{ a", "|e", " }}")),
        ("names and branches", {
            let names: String = (0..20_000).map(|i| format!("{{% set a{i} = 1 %}}")).collect();
            names + &"{% if a %}{% endif %}".repeat(20_000)
        }),
        ("calls", fill("{{ a", "()", " }}")),
        ("wraps", fill("", "{% set a = [a] %}", "{{ a }}")),
        ("unclosed", fill("", "{%", "")),
        ("generation", fill("", "{% generation %}", "")),
        ("spaces", fill("{% generation", " ", "")),
        ("comment", fill("{#", "x", "")),
        ("a tag of one line", format!("{{{{{}", " ".repeat(100_000))),
        ("work", fill("", "{% for i in range(99999) %}{% endfor %}", "")),
    ] {
        stopped(name, &source);
    }
}
