//! Chat templates render what Jinja2 renders, and a hostile one is stopped.

mod common;

use std::time::{Duration, Instant};

use common::golden;
use hotset_base::limits::{MAX_RENDERED, MAX_TEMPLATE};
use hotset_text::{ChatMessage, ChatTemplate, TemplateError};
use serde_json::{Map, json};

const THINKING: &str = include_str!("data/thinking-template.jinja");

fn user(content: &str) -> Vec<ChatMessage> {
    vec![ChatMessage { role: "user".to_owned(), content: content.to_owned() }]
}

fn render(source: &str, content: &str) -> Result<String, TemplateError> {
    ChatTemplate::new(Some(source))?.render(&user(content), true, &Map::new())
}

#[test]
fn renderings_are_those_of_jinja2() {
    let template = ChatTemplate::new(Some(THINKING)).unwrap();
    for case in golden().thinking {
        let got = template.render(&case.messages, case.add_generation_prompt, &case.extra);
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
        assert_eq!(template.render(&chat.messages, true, &chat.extra).unwrap(), *chat.text.as_ref().unwrap());
    }
    for case in &golden.thinking {
        let text = |template: &ChatTemplate| template.render(&case.messages, false, &Map::new()).unwrap();
        assert_eq!(text(&built_in), text(&demo));
    }
}

#[test]
fn the_time_is_only_what_is_passed_in() {
    let source = "{% if strftime_now is defined %}{{ strftime_now('%d %b') }}{% else %}never{% endif %}";
    assert_eq!(render(source, "").unwrap(), "never");
    let template = ChatTemplate::new(Some(source)).unwrap().with_clock(|format| format!("<{format}>"));
    assert_eq!(template.render(&[], false, &Map::new()).unwrap(), "<%d %b>");
}

#[test]
fn extra_variables_do_not_replace_the_conversation() {
    let extra = json!({"messages": 1, "add_generation_prompt": false, "bos_token": "<s>"});
    let template = ChatTemplate::new(Some("{{ bos_token }}{{ messages|length }}{{ add_generation_prompt }}"));
    assert_eq!(template.unwrap().render(&user("x"), true, extra.as_object().unwrap()).unwrap(), "<s>1True");
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
        ("{{ 'x'.format() }}", "chat template failed at line 1: unknown method"),
    ] {
        let error = render(source, "").unwrap_err().to_string();
        assert!(error.starts_with(message) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn long_conversations_have_fuel_enough() {
    let turn = |role: &str, text: &str| ChatMessage { role: role.to_owned(), content: text.to_owned() };
    let template = ChatTemplate::new(Some(THINKING)).unwrap();
    let many: Vec<_> =
        (0..150).flat_map(|_| [turn("user", "Hi?"), turn("assistant", "<think>so</think>Ho.")]).collect();
    assert!(template.render(&many, true, &Map::new()).is_ok());
    let long = "word ".repeat(100_000);
    let large: Vec<_> = (0..4).flat_map(|_| [turn("user", &long), turn("assistant", &long)]).collect();
    assert!(template.render(&large, true, &Map::new()).unwrap().len() > 4_000_000);
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
        ("nested namespaces", &format!("{setup}{{% set ns.a = namespace(a=ns.a) %}}{{% endfor %}}")),
        ("a cycle", "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}"),
        ("a cycle in a list", "{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns.a|string }}"),
        (
            "an assignment that is not recognised",
            "{% set ns = namespace() %}{% set ns.a, b = ns, 1 %}{{ ns }}",
        ),
    ] {
        stopped(name, source);
    }
    // The longest chains that are allowed neither overflow the stack of a test thread (2 MiB).
    let wrapped = format!("{}{{{{ a == b }}}}", "{% set a = [a] %}{% set b = [b] %}".repeat(1_490));
    assert_eq!(render(&wrapped, "").unwrap(), "True");
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
        ("elif", fill("{% if a %}", "{% elif a %}", "{% endif %}")),
        ("calls", fill("{{ a", "()", " }}")),
        ("wraps", fill("", "{% set a = [a] %}", "{{ a }}")),
        ("unclosed", fill("", "{%", "")),
        ("generation", fill("", "{% generation %}", "")),
        ("spaces", fill("{% generation", " ", "")),
        ("comment", fill("{#", "x", "")),
        ("one line", "x".repeat(MAX_TEMPLATE.index())),
        ("a tag of one line", format!("{{{{{}", " ".repeat(100_000))),
        ("work", fill("", "{% for i in range(99999) %}{% endfor %}", "")),
    ] {
        stopped(name, &source);
    }
}
