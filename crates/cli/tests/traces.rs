//! `--trace`, `hotset trace` and `hotset replay` as their users meet them.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use common::hotset;
use serde_json::Value;

fn run(args: &[&str]) -> Output {
    hotset().args(args).output().unwrap()
}

fn succeed(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn objects(args: &[&str]) -> Vec<Value> {
    succeed(args).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The last line on standard error of a run that must fail with this code.
fn fail(code: i32, args: &[&str]) -> String {
    let output = run(args);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
    error.lines().last().unwrap_or_default().to_owned()
}

/// A run of the shipped model with 16 slots in every layer; gives its report.
fn traced(path: &str) -> Value {
    let args = [
        "run",
        "The old gentleman",
        "-n",
        "40",
        "--temp",
        "0",
        "--json",
        "--experts-per-layer",
        "16",
        "--evict",
        "lru",
        "--lookahead",
        "0",
        "--ubatch-size",
        "1",
        "--trace",
        path,
    ];
    objects(&args).remove(0)
}

#[test]
fn a_run_is_traced_shown_and_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.trace");
    let path = path.to_str().unwrap();
    let report = traced(path);
    let (prompt, run) = (report["prompt_tokens"].as_u64().unwrap().to_string(), &report["decode"]);

    let show = objects(&["trace", "show", path, "--json"]).remove(0);
    assert_eq!(show["hit_rate"], run["hit_rate"]);
    assert_eq!((&show["full_scores"], &show["whole"]), (&Value::Bool(true), &Value::Bool(true)));
    assert_eq!(show["counted_tokens"], show["narration_tokens"]);
    assert!(succeed(&["trace", "show", path]).contains("seen in last"));

    let base = ["replay", path, "--phase", "all", "--warm", &prompt, "--experts-per-layer", "16", "--json"];
    let row = objects(&[&base[..], &["--policy", "lru"]].concat()).remove(0);
    assert_eq!((&row["policy"], &row["experts_per_layer"]), (&Value::from("lru"), &Value::from(16)));
    assert_eq!(row["hit_rate"], run["hit_rate"], "the run's own cache");
    for figure in
        ["swap_ins_per_token", "read_mib_per_token", "agreement", "regret_rate", "regret_waited_picks"]
    {
        assert!(row[figure].is_number() && row[figure] == run[figure], "{figure}: {row}");
    }

    // From the recorded scores the native router chooses what it chose, but for near ties.
    let routed = objects(&[&base[..], &["--policy", "lru", "--router", "native"]].concat()).remove(0);
    assert_eq!(routed["router"], "native");
    assert!(routed["mass_lost"].as_f64().unwrap() < 0.002, "{routed}");
}

#[test]
fn families_are_shown_and_judged_by_a_trace() {
    let dir = tempfile::tempdir().unwrap();
    let [short, long] = ["short.trace", "long.trace"].map(|name| dir.path().join(name));
    let [short, long] = [&short, &long].map(|path| path.to_str().unwrap());
    let rows = objects(&["show", "--families", "--layer", "all", "--family-size", "5", "--json"]);
    assert_eq!(rows.len(), 6);
    for row in &rows {
        let families = row["families"].as_array().unwrap();
        let sizes = families.iter().map(|members| members.as_array().unwrap().len());
        assert!(sizes.clone().all(|size| (1..=5).contains(&size)));
        assert_eq!(sizes.sum::<usize>(), 128);
        assert!(row["cosine_within"].as_f64() > row["cosine_between"].as_f64(), "{row}");
    }
    traced(short);
    assert!(fail(2, &["show", "--families", "--trace", short]).contains("families are learned from 64"));
    assert!(
        fail(2, &["show", "--families", "--layer", "6"]).contains("there is no layer 6: the model has 6")
    );
    succeed(&["run", "Once upon a time", "-n", "150", "--temp", "0", "-q", "--trace", long]);
    let row = objects(&["show", "--families", "--trace", long, "--layer", "3", "--json"]).remove(0);
    assert!(row["trace"]["tokens"].as_u64() >= Some(64), "{row}");
    assert!(row["trace"]["lift_ratio"].as_f64() > Some(0.0), "{row}");
    assert!(succeed(&["show", "--families", "--trace", long]).contains("layer 5, refined families"));
}

#[test]
fn a_replay_prints_every_cache_and_size_and_draws_them() {
    let dir = tempfile::tempdir().unwrap();
    let [trace, csv, svg] = ["t.trace", "t.csv", "t.svg"].map(|name| dir.path().join(name));
    let [trace, csv, svg] = [&trace, &csv, &svg].map(|path| path.to_str().unwrap());
    traced(trace);
    let rows = objects(&["replay", trace, "--json", "--csv", csv, "--svg", svg]);
    assert_eq!(rows.len(), 5 * 8);
    let rate = |policy: &str, slots: u64| {
        let row = rows.iter().find(|row| row["policy"] == policy && row["experts_per_layer"] == slots);
        row.unwrap()["hit_rate"].as_f64().unwrap()
    };
    for slots in [4, 6, 8, 12, 16, 24, 32, 48] {
        assert!(rate("belady", slots) >= rate("belady-layer", slots));
        assert!(rate("belady-layer", slots) >= rate("lru", slots).max(rate("lfu", slots)));
        assert!(rate("belady", slots) >= rate("global-lru", slots));
    }
    // Uses fade as they do in the engine.
    let fading = ["replay", trace, "--policy", "lfu,global-window-lfu", "--json"];
    let of = |more: &[&str]| objects(&[&fading[..], more].concat());
    assert_eq!(of(&[]), of(&["--evict-half-life", "128"]));
    assert_ne!(of(&[]), of(&["--evict-half-life", "0"]));
    let default = |command| {
        let help = succeed(&[command, "--help"]);
        let flag = help.split_once("--evict-half-life <N>").unwrap().1;
        flag.split_once("[default: ").unwrap().1.split_once(']').unwrap().0.to_owned()
    };
    assert_eq!([default("replay"), default("run")], ["128", "128"]);
    let lines = fs::read_to_string(csv).unwrap();
    assert_eq!(lines.lines().count(), 41);
    assert!(lines.starts_with("policy,experts_per_layer,router"), "{lines}");
    let picture = fs::read_to_string(svg).unwrap();
    assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
    assert_eq!(picture.matches("<polyline").count(), 5);
    let table = succeed(&["replay", trace, "--policy", "lru,belady", "--experts-per-layer", "8,16"]);
    assert!(table.starts_with("hit rate, %\n      H       lru    belady\n      8"), "{table}");
}

#[test]
fn picks_go_to_csv_and_back_and_scores_are_missed() {
    let dir = tempfile::tempdir().unwrap();
    let [trace, csv, again, columns] =
        ["t.trace", "t.csv", "u.trace", "t.parquet"].map(|name| dir.path().join(name));
    let [trace, csv, again, columns] = [&trace, &csv, &again, &columns].map(|path| path.to_str().unwrap());
    traced(trace);
    succeed(&["trace", "export", trace, "--csv", csv]);
    assert!(succeed(&["trace", "import", csv, again]).contains("chosen experts only"));
    let replay = |path| objects(&["replay", path, "--json"]);
    let (first, second, direct) = (replay(trace), replay(again), replay(csv));
    assert_eq!(second, direct, "CSV is replayed as it is, too");
    for (a, b) in first.iter().zip(&second) {
        assert_eq!((&a["policy"], &a["hit_rate"]), (&b["policy"], &b["hit_rate"]));
    }
    let error = fail(2, &["replay", again, "--router", "native"]);
    assert!(error.contains("needs the scores of all"), "{error}");
    succeed(&["trace", "export", trace, "--parquet", columns]);
    assert_eq!(&fs::read(columns).unwrap()[..4], b"PAR1");
}

#[test]
fn what_cannot_be_replayed_is_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let [trace, text, csv] = ["t.trace", "t.txt", "bad.csv"].map(|name| dir.path().join(name));
    fs::write(&text, "Once upon a time there was a model.").unwrap();
    fs::write(&csv, "# route_trace v1\n# n_layer=1 n_expert=4 n_expert_used=2\nturn,phase\n").unwrap();
    let [trace, text, csv] = [&trace, &text, &csv].map(|path| path.to_str().unwrap());
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/demo/demo.hotset");
    succeed(&["perplexity", model.to_str().unwrap(), text, "--json", "--trace", trace]);
    assert!(fail(2, &["replay", trace]).contains("--phase all"));
    assert!(!objects(&["replay", trace, "--phase", "all", "--json"]).is_empty());
    assert!(
        fail(2, &["replay", trace, "--phase", "all", "--warm", "5000"])
            .contains("--warm 5000 leaves nothing")
    );
    let clairvoyant = ["replay", trace, "--phase", "all", "--router", "native", "--policy", "belady"];
    assert!(fail(2, &clairvoyant).contains("belady must know the demand in advance"));
    for (router, lack) in [
        (["--router", "strict", "--router-family-share", "0.5"], "--router-family-share needs families"),
        (["--router", "trust", "--router-trust", "1"], "--router-trust weighs what experts were measured"),
    ] {
        assert!(fail(2, &[&["replay", trace][..], &router].concat()).contains(lack));
    }
    assert!(fail(2, &["replay", trace, "--policy", "mru"]).contains("`mru` is not a cache"));
    assert!(fail(2, &["replay", trace, "--experts-per-layer", "0"]).contains("out of range"));
    assert!(fail(1, &["replay", text]).contains("not a trace of hotset"));
    assert!(fail(1, &["trace", "show", "/nonexistent/t.trace"]).contains("cannot open /nonexistent/t.trace"));
    assert!(fail(1, &["trace", "import", csv]).contains("bad.csv: line 3: no column `step`"));
    assert!(fail(1, &["run", "Once", "-n", "2", "--trace", "/nonexistent/t"]).contains("cannot create"));
}

#[test]
fn the_trace_of_a_killed_run_is_readable() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.trace");
    let partial = dir.path().join("t.trace.partial");
    let name = partial.to_str().unwrap();
    let mut child = hotset()
        .args(["bench", "-p", "8", "-n", "4000", "-r", "1", "--measure-seconds", "0.05", "--trace"])
        .arg(&path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    // Several blocks: each has 16 KiB or more.
    while fs::metadata(&partial).map_or(0, |file| file.len()) < 100_000 {
        assert!(start.elapsed() < Duration::from_secs(60), "no trace is written");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "it was still running");
    assert!(!path.exists(), "what is not whole has no name");
    let output = run(&["trace", "show", name, "--json"]);
    let show: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(show["tokens"].as_u64() > Some(20), "{show}");
    assert_eq!(show["whole"], false);
    assert!(String::from_utf8_lossy(&output.stderr).contains("the trace was cut off"));
    assert!(!objects(&["replay", name, "--policy", "lru", "--json"]).is_empty());
}
