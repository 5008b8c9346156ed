//! Prompts and texts of any size and script keep the promise, and are refused as soon as they are too long.

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hotset_base::WeightType;
use hotset_testkit::{TinyModel, TinyShape};
use serde_json::{Value, json};

fn hotset(args: &[&str]) -> Command {
    let mut command = common::hotset();
    command.args(args);
    command
}

fn run(args: &[&str]) -> Output {
    hotset(args).output().unwrap()
}

fn report(args: &[&str]) -> Value {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The last line of a run that must fail with this code.
fn refusal(code: i32, output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{error}");
    error.lines().last().unwrap_or_default().to_owned()
}

fn tiny(dir: &Path) -> PathBuf {
    let path = dir.join("tiny");
    TinyModel::random(TinyShape::default(), 1).write_hf(&path, WeightType::BF16, 2).unwrap();
    path
}

fn file(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_prompt_over_the_context_is_refused_before_the_model_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(dir.path());
    let model = model.to_str().unwrap();
    let digits = file(dir.path(), "digits", &"1234567890".repeat(40_000));
    // One token for a digit: 64 fit, and not one more.
    let fitting = file(dir.path(), "fitting", &format!("{}\n", "7".repeat(64)));
    let over = file(dir.path(), "over", &"7".repeat(65));
    let run_file = |path: &str| run(&["run", "-m", model, "-f", path, "-c", "64", "-n", "1"]);
    assert!(run_file(&fitting).status.success());
    for path in [&over, &digits] {
        let output = run_file(path);
        let error = refusal(1, &output);
        assert!(
            error.contains("more tokens than the context's 64: shorten it or raise -c/--ctx-size"),
            "{error}"
        );
        assert!(
            !String::from_utf8_lossy(&output.stderr).contains("memory "),
            "nothing was planned for it: {error}"
        );
    }
    let empty = file(dir.path(), "empty", "\n");
    for args in [&["-f", &empty][..], &["-p", ""]] {
        let error = refusal(2, &run(&[&["run", "-m", model][..], args].concat()));
        assert!(error.contains("the prompt is empty"), "{error}");
    }
    let mut child = hotset(&["run", "-m", model, "-c", "64", "-n", "1"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // An endless one, too: whoever writes it finds that nobody reads on.
    let mut input = child.stdin.take().unwrap();
    while input.write_all(&[b'5'; 4096]).is_ok() {}
    let error = refusal(1, &child.wait_with_output().unwrap());
    assert!(error.contains("more tokens than the context's 64"), "{error}");
}

#[test]
fn what_is_no_text_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(dir.path());
    let model = model.to_str().unwrap();
    let path = dir.path().join("bytes");
    fs::write(&path, b"abc\xFFdef").unwrap();
    let path = path.to_str().unwrap();
    for args in [&["run", "-m", model, "-f", path][..], &["perplexity", model, path]] {
        let error = refusal(2, &run(args));
        assert!(error.contains("bytes is not UTF-8 text: see byte 3"), "{error}");
    }
    let long = fs::File::create(dir.path().join("long")).unwrap();
    long.set_len((64 << 20) + 1).unwrap();
    let long = dir.path().join("long");
    for args in [&["run", "-m", model, "-f"][..], &["perplexity", model]] {
        let error = refusal(2, &run(&[args, &[long.to_str().unwrap()]].concat()));
        assert!(error.contains("long is longer than 64.00 MiB"), "{error}");
    }
}

#[test]
fn texts_of_any_size_and_script_keep_the_promise() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(dir.path());
    let model = model.to_str().unwrap();
    let plan = report(&["run", "-m", model, "-p", "the", "-n", "1", "--json", "--memory", "64MiB"]);
    let planned = plan["planned_memory_bytes"].as_u64().unwrap();
    for unit in ["1234567890", "a", " ", "\n ", "привет мир ", "낡은", "e\u{301}", "\u{301}\u{323}", "👩‍👩‍👧‍👦"]
    {
        let path = file(dir.path(), "text", &unit.repeat((1 << 20) / unit.len()));
        let args = ["perplexity", model, &path, "--chunks", "2", "-c", "64", "--json", "--memory", "64MiB"];
        let score = report(&args);
        assert_eq!(
            (score["tokens"].as_u64(), score["scored_tokens"].as_u64()),
            (Some(128), Some(126)),
            "{unit:?}"
        );
        let peak = score["peak_memory_bytes"].as_u64().unwrap();
        assert!(peak <= planned, "{unit:?}: {peak} bytes of {planned} planned");
    }
    // As much as a prompt may have, in a chat too: the peak of a refusal is the process's.
    let path = file(dir.path(), "all", &"baba ".repeat((64 << 20) / 5));
    for chat in [&[][..], &["--chat"]] {
        let mut command = hotset(&["run", "-m", model, "-f", &path, "-n", "1"]);
        let output = command.args(chat).output().unwrap();
        refusal(if chat.is_empty() { 1 } else { 2 }, &output);
    }
}

#[test]
fn a_text_is_scored_in_windows_as_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(dir.path());
    let model = model.to_str().unwrap();
    let line = "The old clock in the hall struck nine, and then the house was still.\n";
    let path = file(dir.path(), "text", &line.repeat(20));
    let whole = report(&["perplexity", model, &path, "-c", "50", "--json"]);
    let windows = |n: &str| report(&["perplexity", model, &path, "-c", "50", "--json", "--chunks", n]);
    assert_eq!(windows("-1")["nll_nats"], whole["nll_nats"]);
    assert_eq!(windows("3")["tokens"], 150);
    let sum: f64 = whole["nll_nats"].as_f64().unwrap();
    assert!(windows("3")["nll_nats"].as_f64().unwrap() < sum);
}

#[test]
fn a_comparison_is_planned_for() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(dir.path());
    let model = model.to_str().unwrap();
    let path = file(dir.path(), "text", &"12345 ".repeat(1 << 16));
    let lossy = ["--router", "cache-prior", "--compare-native", "-c", "64", "--memory", "32MiB", "--json"];
    let all = run(&[&["perplexity", model, &path][..], &lossy].concat());
    let error = refusal(1, &all);
    // 512 bytes for each of 393,216 tokens.
    assert!(error.contains("32.00 MiB of memory is too little") && error.contains("program 2"), "{error}");
    let few = report(&[&["perplexity", model, &path, "--chunks", "2"][..], &lossy].concat());
    assert_eq!(few["scored_tokens"], 126);
}

#[test]
fn a_vocabulary_without_a_normalizer_composes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(dir.path());
    let path = model.join("tokenizer.json");
    let tokens = |model: &Path| {
        let args = ["run", "-m", model.to_str().unwrap(), "-p", "e\u{301}", "-n", "1", "--json"];
        report(&args)["prompt_tokens"].as_u64().unwrap()
    };
    assert_eq!(tokens(&model), 2);
    let mut vocabulary: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    vocabulary["normalizer"] = json!(null);
    fs::write(&path, vocabulary.to_string()).unwrap();
    assert_eq!(tokens(&model), 3);
    // A store keeps it.
    let store = dir.path().join("tiny.hotset");
    let packed = run(&["pack", model.to_str().unwrap(), store.to_str().unwrap()]);
    assert!(packed.status.success());
    assert_eq!(tokens(&store), 3);
}
