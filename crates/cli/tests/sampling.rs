//! Flags of sampling as users of llama.cpp type them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hotset_base::WeightType;
use hotset_testkit::{TinyModel, TinyShape};
use serde_json::Value;

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hotset"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HOTSET_")) {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null()).output().unwrap()
}

fn tiny(dir: &Path) -> PathBuf {
    let path = dir.join("tiny");
    TinyModel::random(TinyShape::default(), 1).write_hf(&path, WeightType::BF16, 2).unwrap();
    path
}

/// A tiny model and what it answers to one prompt.
struct Answers {
    _dir: tempfile::TempDir,
    model: PathBuf,
}

impl Answers {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let model = tiny(dir.path());
        Self { _dir: dir, model }
    }

    fn output(&self, flags: &[&str]) -> Output {
        run(&[&["run", "-m", self.model.to_str().unwrap(), "-p", "The old", "-n", "12"][..], flags].concat())
    }

    fn report(&self, flags: &[&str]) -> Value {
        let output = self.output(&[flags, &["--json"]].concat());
        assert!(output.status.success(), "{flags:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn text(&self, flags: &[&str]) -> String {
        self.report(flags)["text"].as_str().unwrap().to_owned()
    }

    fn refusal(&self, flags: &[&str]) -> String {
        let output = self.output(flags);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {error}");
        error.trim_end().to_owned()
    }
}

#[test]
fn numbers_below_zero_mean_what_they_mean_in_llama_cpp() {
    let answers = Answers::new();
    let of = |flags: &[&str]| answers.text(&[&["--seed", "7"][..], flags].concat());
    let same: [(&[&str], &[&str]); 8] = [
        (&["--top-k", "-1"], &["--top-k", "0"]),
        (&["--repeat-last-n", "-1"], &["--repeat-last-n", "256"]),
        (&["--temp", "-1"], &["--temp", "0"]),
        (&["--temperature=-0.5"], &["--temp", "0"]),
        (&["-n", "-1", "-c", "20"], &["-n", "100", "-c", "20"]),
        (&["-n", "-2", "-c", "20"], &["-n", "100", "-c", "20"]),
        (&["-t", "-1"], &[]),
        (&["--presence-penalty", "-0.0", "--frequency-penalty", "-0"], &[]),
    ];
    for (flags, others) in same {
        assert_eq!(of(flags), of(others), "{flags:?}");
    }
    assert!(answers.refusal(&["--repeat-last-n", "-2"]).contains("repeat-last-n is -2, it must be -1"));
    assert!(answers.refusal(&["-s", "-2"]).contains("'-2' for '--seed"));
    assert!(answers.refusal(&["--min-p", "-1"]).contains("min-p is -1, it must be from 0 to 1"));
}

#[test]
fn the_last_of_repeated_flags_counts() {
    let answers = Answers::new();
    let repeated =
        ["--temp", "0.5", "-s", "1", "--top-k", "3", "-n", "3", "--temp", "0", "--top-k", "-1", "-n", "12"];
    assert_eq!(answers.text(&repeated), answers.text(&["--temp", "0"]));
    // On every command, and switches too.
    let model = answers.model.to_str().unwrap();
    assert!(run(&["show", model, "--json", "--json"]).status.success());
    assert!(
        run(&[
            "plan",
            model,
            "--memory",
            "1MiB",
            "--memory",
            "1GiB",
            "--no-measure",
            "--disk-gbps",
            "1",
            "--disk-gbps",
            "2",
            "--memory-gbps",
            "9"
        ])
        .status
        .success()
    );
}

#[test]
fn without_a_seed_answers_differ_and_say_how_to_get_them_again() {
    let answers = Answers::new();
    // Hot enough for anything to come.
    let hot = ["--temp", "50", "--top-k", "0", "--min-p", "0", "--top-p", "1", "--ignore-eos"];
    let random: Vec<Value> = [&[][..], &["-s", "-1"], &["--seed", "-1"], &["-s", "5", "-s", "-1"]]
        .map(|flags| answers.report(&[flags, &hot].concat()))
        .into();
    assert!(random.iter().skip(1).any(|one| one["text"] != random[0]["text"]));
    for one in random {
        let seed = one["seed"].to_string();
        let again = answers.text(&[&["--seed", &seed][..], &hot].concat());
        assert_eq!(again, one["text"].as_str().unwrap(), "seed {seed}");
    }
    let closing = |flags: &[&str]| String::from_utf8(answers.output(flags).stderr).unwrap();
    assert!(closing(&["-v", "-s", "99"]).trim_end().ends_with("| seed 99]"));
    assert!(!closing(&["-s", "99"]).contains("seed"));
}

#[test]
fn stop_strings_end_the_answer_before_them() {
    let answers = Answers::new();
    let greedy = ["--temp", "0", "--repeat-penalty", "1"];
    let whole = answers.report(&greedy);
    assert!(whole["stop_string"].is_null());
    let text = whole["text"].as_str().unwrap();
    let at = text.char_indices().map(|(at, _)| at).nth(4).unwrap();
    let stop = &text[at..];
    let cut = &text[..text.find(stop).unwrap()];
    for flag in ["--stop", "-r", "--reverse-prompt"] {
        let report = answers.report(&[&greedy[..], &[flag, "nowhere", flag, stop]].concat());
        assert_eq!((&report["text"], &report["finish"]), (&Value::from(cut), &Value::from("stop")), "{flag}");
        assert_eq!(report["stop_string"], stop);
    }
    // What was held back for a stop string that does not come is shown.
    let almost = format!("{stop}!");
    assert_eq!(answers.text(&[&greedy[..], &["--stop", &almost]].concat()), text);
    assert!(answers.refusal(&["--stop", ""]).contains("a stop string is empty"));
}

#[test]
fn logits_are_shifted_by_token() {
    let answers = Answers::new();
    let greedy = ["--temp", "0", "--repeat-penalty", "1"];
    let of = |flags: &[&str]| answers.text(&[&greedy[..], flags].concat());
    // Tokens 0 and up are the bytes in order: 65 is A.
    assert_eq!(of(&["--logit-bias", "65+inf"]), "A".repeat(12));
    assert_eq!(of(&["-l", "65+1e9", "-l", "66+2e9"]), "B".repeat(12));
    assert!(!of(&["-l", "65+1e9", "--presence-penalty", "100", "-l", "66+1e9"]).contains("AAA"));
    // What would end the answer is forbidden, so that it goes on to its limit.
    let ends = ["-l", "100+1e9", "--stop", "d"];
    assert_eq!(answers.report(&ends)["tokens"], 1);
    let (stop, forbidden) = ("<|im_end|>", "--ignore-eos");
    let ended = (0..20).map(|seed| {
        answers.report(&[
            "--temp",
            "50",
            "--top-k",
            "0",
            "--min-p",
            "0",
            "--top-p",
            "1",
            "-s",
            &seed.to_string(),
            "-n",
            "250",
            "-c",
            "0",
            forbidden,
        ])
    });
    for report in ended {
        assert!(report["finish"] != "stop" && !report["text"].as_str().unwrap().contains(stop), "{report}");
    }
    for (wrong, what) in
        [("65", "`65` is not TOKEN_ID+BIAS"), ("9999+1", "token 9999: the vocabulary ends at")]
    {
        let error = answers.refusal(&["--logit-bias", wrong]);
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn flags_that_there_are_none_of_are_answered_by_name() {
    let answers = Answers::new();
    for flags in [
        &["--typical", "0.9"][..],
        &["--mirostat", "2"],
        &["--dry-multiplier", "0.8"],
        &["--xtc-probability=0.5"],
        &["--grammar", "root ::= x"],
        &["--samplers", "top_k"],
        &["-ngl", "99"],
        &["-fa"],
        &["-j", "{}"],
    ] {
        let error = answers.refusal(flags);
        let told = error.starts_with("error: hotset has no -") && error.lines().count() == 1;
        assert!(told, "{flags:?}: {error}");
    }
    assert!(answers.refusal(&["--no-such-flag"]).contains("unexpected argument '--no-such-flag'"));
}
