//! Signals, and readers that go away: a run keeps what it has learnt and traced, other work leaves nothing.

mod common;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn hotset(dir: &Path, words: &str) -> Command {
    let mut command = common::hotset();
    command.current_dir(dir).args(words.split_whitespace());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn succeed(dir: &Path, words: &str) -> String {
    let output = hotset(dir, words).output().unwrap();
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Name and number, which the exit code is made of.
const SIGNALS: [(&str, i32); 3] = [("INT", 2), ("TERM", 15), ("HUP", 1)];

fn send(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Waits until something has come to be, in a process that would go on for ever without it.
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what} never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A run that takes minutes: its disk is slow.
const SLOW: &str = "run m.gguf ba -n 900 --temp 0 -q --disk-faults rate=3MB --experts-per-layer 4 --lookahead 0 --trace t.trace --trust-ledger l.ledger";

fn kept(dir: &Path) {
    let shown = hotset(dir, "trace show t.trace").output().unwrap();
    let warned = String::from_utf8_lossy(&shown.stderr).into_owned();
    assert!(shown.status.success() && !warned.contains("cut off"), "{warned}");
    let ledger = succeed(dir, "trust show l.ledger");
    assert!(!ledger.contains(" 0 tokens"), "nothing was kept of what was learnt: {ledger}");
    assert!(!dir.join("t.trace.partial").exists());
}

#[test]
fn an_interrupted_answer_keeps_its_trace_and_its_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    succeed(dir, "synth m.gguf --preset tiny");
    for (signal, number) in SIGNALS {
        let mut child = hotset(dir, SLOW).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 90]).unwrap();
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(128 + number), "{signal}: {error}");
        kept(dir);
        fs::remove_file(dir.join("t.trace")).unwrap();
        fs::remove_file(dir.join("l.ledger")).unwrap();
    }
}

/// Scoring and measuring end between two passes.
#[test]
fn interrupted_scoring_and_measuring_keep_them_too() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    succeed(dir, "synth m.gguf --preset tiny");
    fs::write(dir.join("text"), "ba da ga du ".repeat(4000)).unwrap();
    let slow = "--disk-faults rate=12MB --experts-per-layer 4 --trace t.trace --trust-ledger l.ledger";
    for command in
        ["perplexity m.gguf text --ubatch-size 8", "bench m.gguf -p 8 -n 4000 --measure-seconds 0.01"]
    {
        for (signal, number) in SIGNALS {
            let child = hotset(dir, &format!("{command} {slow}")).spawn().unwrap();
            let partial = dir.join("t.trace.partial");
            wait_until("a trace", || fs::metadata(&partial).is_ok_and(|file| file.len() > 17 << 10));
            send(&child, signal);
            let output = child.wait_with_output().unwrap();
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(128 + number), "{command}, {signal}: {error}");
            assert!(output.stdout.is_empty() && !error.contains("error:"), "{command}, {signal}: {error}");
            kept(dir);
            fs::remove_file(dir.join("t.trace")).unwrap();
            fs::remove_file(dir.join("l.ledger")).unwrap();
        }
    }
}

#[test]
fn an_answer_that_a_dead_disk_ends_keeps_them_too() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    succeed(dir, "synth m.gguf --preset tiny");
    let words = "run m.gguf ba -n 900 --temp 0 -q --disk-faults dead-from=3000 --experts-per-layer 4 --lookahead 0 --trace t.trace --trust-ledger l.ledger";
    let output = hotset(dir, words).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("error: expert L"), "{error}");
    kept(dir);
}

#[test]
fn an_answer_whose_reader_goes_away_keeps_them_too() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    succeed(dir, "synth m.gguf --preset tiny");
    let mut child = hotset(dir, SLOW).spawn().unwrap();
    let mut reader = child.stdout.take().unwrap();
    reader.read_exact(&mut [0; 90]).unwrap();
    drop(reader);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    kept(dir);
}

#[test]
fn interrupted_packing_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    succeed(dir, "synth m.gguf --preset demo-shape --layers 3");
    for words in ["pack m.gguf o.hotset --quant q4_k", "synth o.gguf --preset demo-shape --layers 24"] {
        for (signal, number) in SIGNALS {
            let name = words.split(' ').find(|word| word.starts_with("o.")).unwrap();
            let partial = dir.join(format!("{name}.partial"));
            let mut child = hotset(dir, words).spawn().unwrap();
            wait_until("the partial file", || partial.exists() || child.try_wait().unwrap().is_some());
            send(&child, signal);
            let code = child.wait().unwrap().code();
            assert_eq!(code, Some(128 + number), "{words}, {signal}");
            assert!(!partial.exists() && !dir.join(name).exists(), "{words}, {signal}");
        }
    }
}

#[test]
fn a_signal_that_was_ignored_stays_so() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    succeed(dir, "synth m.gguf --preset tiny");
    let program = env!("CARGO_BIN_EXE_hotset");
    let script = format!("trap '' HUP; exec {program} {SLOW}");
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut reader = child.stdout.take().unwrap();
    reader.read_exact(&mut [0; 20]).unwrap();
    send(&child, "HUP");
    reader.read_exact(&mut [0; 20]).unwrap();
    send(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
}
