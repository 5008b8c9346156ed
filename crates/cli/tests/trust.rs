//! `--trust-ledger` and `hotset trust` as their users meet them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hotset_testkit::{TinyModel, TinyShape};
use serde_json::{Value, json};

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hotset"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HOTSET_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).args(args).output().unwrap()
}

fn succeed(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The last line on standard error of a run that must fail with this code.
fn fail(code: i32, args: &[&str]) -> String {
    let output = run(args);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
    error.lines().last().unwrap_or_default().to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Decodes with the model that ships, and gives the answer.
fn answer(ledger: Option<&str>, more: &[&str]) -> String {
    let base = ["run", "The old gentleman", "-n", "80", "--temp", "0", "--json", "--experts-per-layer", "32"];
    let ledger: Vec<&str> = ledger.map_or(Vec::new(), |path| vec!["--trust-ledger", path]);
    let report: Value = serde_json::from_str(&succeed(&[&base[..], &ledger, more].concat())).unwrap();
    report["text"].as_str().unwrap().to_owned()
}

/// "1 context, ", "2 contexts, ".
fn says_contexts(told: &str) -> bool {
    told.contains(" 1 context, ") || (told.contains(" contexts, ") && !told.contains(" 1 contexts, "))
}

fn learnt(dir: &Path) -> PathBuf {
    let path = dir.join("a.ledger");
    answer(Some(text(&path)), &[]);
    path
}

#[test]
fn it_is_learnt_kept_and_shown_and_the_answer_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ledger");
    let cold = answer(None, &[]);
    assert_eq!(answer(Some(text(&path)), &[]), cold);
    let once = fs::read(&path).unwrap();
    assert_eq!(answer(Some(text(&path)), &[]), cold);
    assert_ne!(fs::read(&path).unwrap(), once, "the second run has learnt nothing");

    let shown = succeed(&["trust", "show", text(&path), "--layers", "0,5", "--top", "3"]);
    assert!(shown.starts_with("6 layers of 128 experts, ") && shown.contains("\n* "), "{shown}");
    let rows: Vec<&str> =
        shown.lines().filter(|line| line.contains(" L0 ") || line.contains(" L5 ")).collect();
    assert!(
        rows.len() >= 2
            && rows.len().is_multiple_of(2)
            && rows.iter().all(|row| row.matches('E').count() == 3),
        "{shown}"
    );
    assert!(fail(2, &["trust", "show", text(&path), "--layers", "6"]).contains("0 to 5"));
    assert!(fail(1, &["trust", "show", "no.ledger"]).contains("no such file"));
}

#[test]
fn every_command_that_computes_takes_one() {
    let dir = tempfile::tempdir().unwrap();
    let (path, script) = (dir.path().join("a.ledger"), dir.path().join("text.txt"));
    fs::write(&script, "let mut total = 0; for x in list { total += x; }\n".repeat(12)).unwrap();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/demo/demo.hotset");
    let ledger = ["--trust-ledger", text(&path)];
    let output = run(&[&["perplexity", model, text(&script)][..], &ledger].concat());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("trust ledger: ") && says_contexts(&told), "{told}");
    let after_text = fs::read(&path).unwrap();
    let bench = ["bench", model, "-p", "40", "-n", "40", "-r", "1", "--measure-seconds", "0.1", "--json"];
    succeed(&[&bench[..], &ledger].concat());
    assert_ne!(fs::read(&path).unwrap(), after_text);
    assert!(fail(2, &["run", "Once", "--ledger-window", "8"]).contains("--trust-ledger"));
    assert!(fail(2, &[&["run", "Once", "--ledger-drift", "7"][..], &ledger].concat()).contains("0 to 1"));
}

/// Families come with a store and are computed for any other model; native changes no bit by them, strict does.
#[test]
fn families_count_where_they_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("tiny");
    let shape = TinyShape { layers: 2, experts: 16, top_k: 4, ..TinyShape::default() };
    TinyModel::random(shape, 6).write_hf(&model, hotset_base::WeightType::BF16, 1).unwrap();
    let tale = dir.path().join("text.txt");
    fs::write(&tale, "the cat sat on the mat and the dog ran after it. ".repeat(12)).unwrap();
    let score = |more: &[&str]| -> f64 {
        let base = ["perplexity", text(&model), text(&tale), "--json", "--experts-per-layer", "6"];
        let report: Value = serde_json::from_str(&succeed(&[&base[..], more].concat())).unwrap();
        report["perplexity"].as_f64().unwrap()
    };
    let path = dir.path().join("a.ledger");
    let ledger = ["--ubatch-size", "1", "--trust-ledger", text(&path), "--ledger-family-tokens"];
    let cold = score(&["--ubatch-size", "1"]);
    assert_eq!([score(&[&ledger[..], &["64"]].concat()), score(&[&ledger[..], &["0"]].concat())], [cold; 2]);
    let strict = |share| {
        score(&[
            "--router",
            "strict",
            "--router-hot",
            "5",
            "--router-refresh",
            "8",
            "--router-family-share",
            share,
        ])
    };
    assert_ne!(strict("0"), strict("0.9"));
    let refused =
        ["perplexity", text(&model), text(&tale), "--router", "strict", "--router-family-share", "2"];
    assert!(fail(2, &refused).contains("0 to 1"));
}

#[test]
fn another_models_ledger_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = learnt(dir.path());
    let model = dir.path().join("tiny");
    TinyModel::random(TinyShape::default(), 5).write_hf(&model, hotset_base::WeightType::BF16, 1).unwrap();
    let told = fail(1, &["run", text(&model), "a", "-n", "1", "--trust-ledger", text(&path)]);
    assert!(told.contains("learnt from another model"), "{told}");
}

#[test]
fn export_and_import_give_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = learnt(dir.path());
    let (json, back) = (dir.path().join("a.json"), dir.path().join("b.ledger"));
    assert!(says_contexts(&succeed(&["trust", "export", text(&path), text(&json)])));
    let shown: Value = serde_json::from_str(&succeed(&["trust", "export", text(&path)])).unwrap();
    assert_eq!(shown, serde_json::from_slice::<Value>(&fs::read(&json).unwrap()).unwrap());
    succeed(&["trust", "import", text(&json), text(&back)]);
    assert_eq!(fs::read(&path).unwrap(), fs::read(&back).unwrap());
    assert!(fail(2, &["trust", "import", text(&json), text(&back)]).contains("exists"));
}

#[test]
fn nothing_impossible_is_imported() {
    let dir = tempfile::tempdir().unwrap();
    let (json, target) = (dir.path().join("a.json"), dir.path().join("b.ledger"));
    let context = json!({
        "tokens": 4, "last": 4, "windows": 1, "usual": 0.5, "records": [[1, 1, 0, 0, 0], [0, 0, 0, 0, 0]],
    });
    let whole = json!({
        "identity": "ab".repeat(32), "layers": 1, "experts": 2, "tokens": 4, "present": 0, "contexts": [context],
    });
    let import = |value: &str| {
        fs::write(&json, value).unwrap();
        run(&["trust", "import", text(&json), text(&target)])
    };
    let mut cases = vec!["{".to_owned(), "[]".to_owned(), whole.to_string().replace("0.5", "1e999")];
    for (field, values) in [
        ("/identity", vec![json!("ab"), json!("zz".repeat(32)), json!("ü".repeat(32))]),
        ("/layers", vec![json!(0), json!(2), json!(1u64 << 40), json!(-1)]),
        ("/experts", vec![json!(0), json!(3), json!(u64::MAX)]),
        ("/present", vec![json!(1), json!(65535)]),
        ("/contexts", vec![Value::Array(vec![whole["contexts"][0].clone(); 33])]),
        ("/contexts/0/usual", vec![json!(-0.1), json!(1.5)]),
        ("/contexts/0/windows", vec![json!(-1), json!(1u64 << 32)]),
        ("/contexts/0/records", vec![json!([]), json!([[1, 1, 0, 0, 0]]), json!([[1], [1]])]),
        ("/contexts/0/records/1/0", vec![json!(-1), json!(1e39), json!(null)]),
    ] {
        for value in values {
            let mut case = whole.clone();
            *case.pointer_mut(field).unwrap() = value;
            cases.push(case.to_string());
        }
    }
    for case in cases {
        let output = import(&case);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{case}: {error}");
        assert!(error.starts_with("error: ") && !target.exists(), "{case}: {error}");
    }
    assert!(import(&whole.to_string()).status.success());
}

#[test]
fn reset_forgets_ledgers_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = learnt(dir.path());
    assert!(succeed(&["trust", "reset", text(&path)]).contains("forgotten: "));
    assert!(!path.exists());
    assert!(succeed(&["trust", "reset", text(&path)]).contains("nothing to forget"));
    let note = dir.path().join("note.txt");
    fs::write(&note, "not a ledger, and long enough for a header\n".repeat(8)).unwrap();
    assert!(fail(2, &["trust", "reset", text(&note)]).contains("is a text file, not a trust ledger"));
    assert!(note.exists());
}
