//! The program as its users meet it: exit codes, one-line errors, JSON keys, the shipped model.

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use common::hotset;
use hotset_base::WeightType;
use hotset_base::figures::FIGURES;
use hotset_testkit::{Random, TinyModel, TinyShape};
use serde_json::Value;

fn run(args: &[&str]) -> Output {
    hotset().args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Standard output of a run that must succeed.
fn succeed(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn json(args: &[&str]) -> Value {
    let out = succeed(args);
    assert_eq!(out.lines().count(), 1, "{out}");
    serde_json::from_str(&out).unwrap()
}

/// The one line on standard error of a run that must fail with this code.
fn fail(code: i32, args: &[&str]) -> String {
    let output = run(args);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
    assert!(!error.contains("panicked") && output.stdout.is_empty(), "{args:?}: {error}");
    let line = error.lines().last().unwrap_or_default().to_owned();
    assert!(line.starts_with("error: "), "{args:?}: {error}");
    line
}

fn tiny(dir: &Path) -> PathBuf {
    let path = dir.join("tiny");
    TinyModel::random(TinyShape::default(), 1).write_hf(&path, WeightType::BF16, 2).unwrap();
    path
}

#[test]
fn the_shipped_model_runs_from_anywhere_in_the_clone_and_pages() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let deep = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands");
    let mut texts = Vec::new();
    for directory in [root, deep] {
        let args = ["run", "Once upon a time", "-n", "24", "--temp", "0", "--json"];
        let output = hotset().args(args).current_dir(&directory).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(
            report["decode"]["swap_ins_per_token"].as_f64() > Some(0.0),
            "only part of the experts is resident"
        );
        assert!(report["peak_memory_bytes"].as_u64() <= report["planned_memory_bytes"].as_u64(), "{report}");
        texts.push(report["text"].as_str().unwrap().to_owned());
    }
    assert!(texts[0] == texts[1] && texts[0].len() > 40, "{texts:?}");
}

#[test]
fn the_answer_does_not_depend_on_memory_threads_or_eviction() {
    let base = ["run", "The old gentleman", "-n", "20", "--temp", "0", "--json"];
    let answer = |more: &[&str]| json(&[&base[..], more].concat())["text"].as_str().unwrap().to_owned();
    let expected = answer(&["--memory", "1GiB"]);
    let settings: [&[&str]; 5] = [
        &["--memory", "48MiB", "-t", "1"],
        &["--experts-per-layer", "1", "-t", "2"],
        &["--experts-per-layer", "6", "--evict", "lru", "--read-engine", "pread"],
        &["--memory", "64MiB", "-t", "3", "-ub", "1"],
        &["--memory", "64MiB", "--keep-page-cache"],
    ];
    for more in settings {
        assert_eq!(answer(more), expected, "{more:?}");
    }
}

#[test]
fn json_has_the_promised_keys() {
    let report = json(&["run", "-p", "Hello", "-n", "4", "--json", "--seed", "7"]);
    let keys = [
        "computed_tokens",
        "tokens_per_second",
        "hit_rate",
        "agreement",
        "mass_lost",
        "swap_ins_per_token",
        "read_mib_per_token",
        "stall_ms_per_token",
    ];
    for of in ["prefill", "decode"] {
        assert!(keys.iter().all(|key| report[of][key].is_number()), "{report}");
    }
    for key in ["text", "tokens", "prompt_tokens", "peak_memory_bytes", "planned_memory_bytes"] {
        assert!(!report[key].is_null(), "{key}: {report}");
    }
    let again = json(&["run", "-p", "Hello", "-n", "4", "--json", "--seed", "7"]);
    assert_eq!(report["text"], again["text"]);

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("text.txt");
    fs::write(&file, "The old gentleman sat by the fire with a letter in his hand.\n".repeat(3)).unwrap();
    let (model, file) = (tiny(dir.path()), file.to_str().unwrap().to_owned());
    let model = model.to_str().unwrap();
    for windowing in [&[][..], &["--windowing", "second-half", "-c", "32"]] {
        let out = succeed(&[&["perplexity", model, &file, &file, "--json"][..], windowing].concat());
        assert_eq!(out.lines().count(), 2, "one object a file");
        let score: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
        assert!(score["file"] == file.as_str() && score["tokens"].as_u64() > Some(20), "{score}");
        assert!(score["perplexity"].as_f64().unwrap() > 1.0, "{score}");
        assert!(keys.iter().all(|key| score[key].is_number()), "{score}");
    }
    let shown = json(&["show", model, "--json"]);
    assert!(shown["experts"] == 8 && shown["types"]["BF16"].as_u64() > Some(0), "{shown}");
}

/// Of no tokens there is nothing to say: a hit rate of 1, a mass lost of 0 and 0 tokens a second were said.
#[test]
fn nothing_to_say_is_null_and_not_told_to_people() {
    // The last token of an answer is chosen and not computed.
    let args = ["run", "-p", "Hello", "-n", "1", "--temp", "0"];
    let report = json(&[&args[..], &["--json"]].concat());
    for (name, value) in report["decode"].as_object().unwrap() {
        let expected = if name == "computed_tokens" { Value::from(0) } else { Value::Null };
        assert_eq!(*value, expected, "{name}");
    }
    let closing = text(&hotset().args(args).output().unwrap().stderr);
    let closing = closing.lines().last().unwrap();
    assert!(closing.contains(" | decode 0 tokens | peak memory "), "{closing}");
}

/// A figure has one name, whoever prints it.
#[test]
fn every_command_names_figures_by_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("t.trace");
    let trace = trace.to_str().unwrap();
    let run = json(&["run", "-p", "Hello", "-n", "12", "--json", "--trace", trace]);
    let show = json(&["trace", "show", trace, "--json"]);
    let replay = json(&["replay", trace, "--policy", "lru", "--experts-per-layer", "8", "--json"]);
    let bench = json(&["bench", "-p", "4", "-n", "2", "-r", "1", "--measure-seconds", "0.01", "--json"]);
    let known = |name: &str| FIGURES.iter().any(|figure| figure.name == name);
    for figures in [&run["prefill"], &run["decode"], &bench["prefill"], &bench["decode"]] {
        let names = figures.as_object().unwrap().keys();
        assert!(names.clone().count() > 10 && names.clone().all(|name| known(name)), "{figures}");
    }
    for (report, least) in [(&show, 5), (&replay, 13)] {
        let names = report.as_object().unwrap().keys();
        assert_eq!(names.filter(|name| known(name)).count(), least, "{report}");
    }
    for report in [&run, &show, &replay, &bench] {
        for old in ["tps", "_slots", "ahead", "per_1000", "bytes_per_token"] {
            assert!(!names(report).iter().any(|name| name.contains(old)), "{old}: {report}");
        }
    }
}

/// The names of all fields, of objects in objects, too.
fn names(report: &Value) -> Vec<String> {
    let fields = report.as_object().into_iter().flatten();
    fields.flat_map(|(name, value)| [vec![name.clone()], names(value)].concat()).collect()
}

#[test]
fn packing_and_verifying_round_trip() {
    let dir = tempfile::tempdir().unwrap();
    let source = tiny(dir.path());
    let store = dir.path().join("tiny.hotset");
    let (source, store) = (source.to_str().unwrap(), store.to_str().unwrap());
    for recipe in ["keep", "bf16", "q8_0", "q4_0", "q4_k", "q6_k", "q4_k_m"] {
        let packed = json(&["pack", source, store, "--quant", recipe, "--force", "--json"]);
        let verified = json(&["verify", store, "--json"]);
        assert_eq!(packed["store_id"], verified["store_id"]);
        assert_eq!(verified["records"], 16);
        succeed(&["run", store, "the", "-n", "3", "-q"]);
    }
    let again = dir.path().join("again.hotset");
    let first = json(&["pack", source, again.to_str().unwrap(), "--json"]);
    let second = json(&["pack", again.to_str().unwrap(), store, "--force", "--json"]);
    assert_eq!(first["store_id"], second["store_id"], "packing a store changes nothing");
    let families = |model| succeed(&["show", model, "--families", "--layer", "1", "--json"]);
    assert_eq!(families(source), families(store), "computed on demand, or at pack time");
    assert!(fail(2, &["pack", source, store]).contains("exists; --force overwrites it"));

    let mut bytes = fs::read(store).unwrap();
    let last = bytes.len() - 5000;
    bytes[last] ^= 4;
    fs::write(store, bytes).unwrap();
    assert!(fail(1, &["verify", store]).contains("record L1/E"));
    assert!(
        fail(1, &["pack", store, again.to_str().unwrap(), "--force"]).contains("does not match its checksum")
    );
}

#[test]
fn synthetic_models_say_their_text_and_are_checked_against_the_real_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (gguf, store) = (path("a.gguf"), path("a.hotset"));
    let made = json(&["synth", &gguf, "--preset", "tiny", "--seed", "3", "--json"]);
    assert!(made["name"] == "synthetic-tiny-seed-3" && made["store_id"].is_null(), "{made}");
    assert_eq!(made["file_bytes"].as_u64(), Some(fs::metadata(&gguf).unwrap().len()));
    let said = succeed(&["synth", &store, "--preset", "tiny", "--layers", "2", "--seed", "3"]);
    assert!(said.contains("synthetic-tiny-changed-seed-3") && said.contains("its text is noise"), "{said}");
    succeed(&["verify", &store]);
    assert!(fail(2, &["synth", &gguf, "--preset", "tiny"]).contains("exists; --force overwrites it"));

    let words = |model: &str, start: &str, tokens: &str| {
        succeed(&["synth", "--text-of", model, "--start", start, "--tokens", tokens]).trim_end().to_owned()
    };
    for model in [&gguf, &store] {
        let prompt = words(model, "0", "16");
        // With the sampling of the command line, which penalises repetition.
        let answer = json(&["run", model, "-p", &prompt, "-n", "100", "--json"]);
        assert!(answer["prompt_tokens"] == 16 && answer["text"] == words(model, "16", "100"), "{answer}");
    }

    // 16 experts are another shape than the one that the targets were measured on.
    let checked = json(&["synth", "--check", &gguf, "--json", "--tokens", "64"]);
    let figures = checked["figures"].as_array().unwrap();
    assert!(figures.len() > 10 && figures.iter().all(|f| f["target"].is_null() && f["off"] == false));
    let predicted = figures.last().unwrap()["measured"].as_f64().unwrap();
    assert!((80.0..99.0).contains(&predicted), "{checked}");

    // Routing by the text of others: the shipped model, which was not made by us, and is off.
    let text = path("text");
    fs::write(&text, "The old gentleman sat by the fire with a letter in his hand.\n".repeat(20)).unwrap();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/demo/demo.hotset");
    let demo = demo.to_str().unwrap();
    assert!(fail(2, &["synth", "--check", demo]).contains("was not made by `hotset synth`"));
    let output = run(&["synth", "--check", demo, "--text", &text, "--tokens", "128"]);
    assert_eq!(output.status.code(), Some(1), "twenty times the same line is more local than any text");
    assert!(self::text(&output.stderr).contains("are off by more than 5 points"));
}

#[test]
fn wrong_usage_is_one_line_and_code_2() {
    let cases: [(&[&str], &str); 17] = [
        (&["fly"], "unrecognized subcommand 'fly'"),
        (&["run", "--flavour", "mint"], "unexpected argument '--flavour'"),
        (&["run", "no/such/model.gguf", "hi"], "no such file or directory"),
        (&["run", "hi", "-n", "-5"], "-n -5 is out of range"),
        (&["run", "hi", "--temp", "nan"], "temperature"),
        (&["run", "hi", "--top-p", "7"], "top"),
        (&["run", "hi", "--memory", "lots"], "is not a size"),
        (&["run", "hi", "--router", "psychic"], "invalid value 'psychic'"),
        (&["run", "hi", "--cache-type-k", "q1"], "cache type `q1` is not supported"),
        (&["run", "-p", "one", "two"], "two prompts"),
        (&["pack", "a", "b", "--quant", "q3"], "`q3` is not a known recipe; known are keep"),
        (&["pack", "a", "b", "--tensor-type", "x"], "KIND=TYPE"),
        (&["synth"], "required arguments"),
        (&["synth", "a.gguf", "--preset", "qwen4"], "`qwen4` is not a known preset; known are qwen3-30b-a3b"),
        (&["synth", "a.gguf", "--preset", "tiny", "--hidden", "250"], "multiples of 32"),
        (&["verify"], "required arguments were not provided"),
        (&["verify", "no-such-store"], "no such file or directory"),
    ];
    for (args, expected) in cases {
        let line = fail(2, args);
        assert!(line.contains(expected), "{args:?}: {line}");
    }
}

#[test]
fn failures_are_one_line_and_code_1() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("x.gguf"), b"GGUF and nothing else").unwrap();
    fs::write(path("text"), b"hello, I am not a model").unwrap();
    fs::write(path("binary"), [0xff, 0xfe]).unwrap();
    fs::create_dir(path("empty")).unwrap();
    let cases: [(&[&str], &str); 7] = [
        (&["run", &path("x.gguf"), "hi"], "x.gguf"),
        (&["show", &path("text")], "is text in place of weights"),
        (&["show", &path("empty")], "a directory without config.json"),
        (&["run", "hi", "--memory", "10MiB"], "10.00 MiB of memory is too little"),
        (&["run", "hi", "--threads", "0"], "--threads 0 is out of range"),
        (&["run", "hi", "-ub", "100000"], "--ubatch-size 100000 is out of range"),
        (&["run", "-f", &path("nothing")], "cannot read"),
    ];
    for (args, expected) in cases {
        let line = fail(1, args);
        assert!(line.contains(expected), "{args:?}: {line}");
    }
    // Texts are looked at before the model.
    let line = fail(2, &["perplexity", &path("x.gguf"), &path("binary")]);
    assert!(line.contains("binary is not UTF-8 text: see byte 0"), "{line}");
    let long = "word ".repeat(400);
    assert!(fail(1, &["run", &long, "-c", "64", "-q"]).contains("the context's 64: shorten it or raise"));
}

#[test]
fn the_smallest_memory_it_names_works_and_less_does_not() {
    let line = fail(1, &["run", "hi", "--memory", "1MiB"]);
    let hint = line.split("Use --memory ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let report = json(&["run", "hi", "-n", "4", "--json", "--memory", &hint]);
    let mib: u64 = hint.trim_end_matches("MiB").parse().unwrap();
    assert!(report["peak_memory_bytes"].as_u64().unwrap() <= mib << 20, "{report}");
    fail(1, &["run", "hi", "--memory", &format!("{}MiB", mib - 4)]);
}

#[test]
fn a_prompt_can_come_from_a_pipe_or_a_file() {
    let mut child = hotset()
        .args(["run", "-n", "8", "--temp", "0", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"use std::collections::").unwrap();
    let piped: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("prompt.txt");
    fs::write(&file, "use std::collections::\n").unwrap();
    let from_file = json(&["run", "-f", file.to_str().unwrap(), "-n", "8", "--temp", "0", "--json"]);
    assert_eq!(piped["text"], from_file["text"]);
    assert!(piped["text"].as_str().unwrap().contains("HashMap"), "{piped}");
}

#[test]
fn a_reader_that_leaves_ends_the_answer_quietly() {
    let mut child = hotset()
        .args(["run", "Once", "-n", "900"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("panicked"));
}

#[test]
fn pack_killed_at_any_moment_leaves_nothing_or_a_whole_store() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    let shape = TinyShape { layers: 3, experts: 12, ..TinyShape::k_quant() };
    TinyModel::random(shape, 5).write_hf(&source, WeightType::BF16, 2).unwrap();
    let target = dir.path().join("target.hotset");
    let pack = || {
        let mut command = hotset();
        command.args(["pack", source.to_str().unwrap(), target.to_str().unwrap(), "--quant", "q6_k"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let start = Instant::now();
    assert!(pack().status().unwrap().success());
    let whole = start.elapsed();
    fs::remove_file(&target).unwrap();
    let seed = Random::fresh_seed();
    let mut random = Random::new(seed);
    let (mut absent, mut complete) = (0, 0);
    for _ in 0..50 {
        let mut child = pack().spawn().unwrap();
        std::thread::sleep(Duration::from_nanos(random.bits() % (whole.as_nanos() as u64 * 11 / 10)));
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
        if target.exists() {
            succeed(&["verify", target.to_str().unwrap()]);
            fs::remove_file(&target).unwrap();
            complete += 1;
        } else {
            absent += 1;
        }
        let partial = dir.path().join("target.hotset.partial");
        if partial.exists() {
            // All but named, it may be whole; then it is the user's to keep or to remove.
            if run(&["show", partial.to_str().unwrap()]).status.success() {
                succeed(&["verify", partial.to_str().unwrap()]);
                fs::remove_file(&partial).unwrap();
            }
        }
    }
    assert!(absent > 10, "{absent} absent, {complete} complete: killed too late to tell");
    assert!(pack().status().unwrap().success(), "what a killed run left does not stand in the way");
    succeed(&["verify", target.to_str().unwrap()]);
}

/// The tiny model whose chat template is `template`, as a directory.
fn with_template(dir: &Path, template: &str, tokens: Value) -> PathBuf {
    let path = tiny(dir);
    let mut config = tokens;
    config["chat_template"] = template.into();
    fs::write(path.join("tokenizer_config.json"), config.to_string()).unwrap();
    path
}

#[test]
fn templates_get_special_tokens_from_every_format() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = serde_json::json!({"bos_token": {"content": "<|im_start|>"}, "eos_token": "<|im_end|>", "pad_token": null});
    let template =
        "{{ bos_token }}{{ bos_token }}{{ eos_token }}{{ 'x' if pad_token is defined or tools is not none }}";
    let model = with_template(dir.path(), template, tokens);
    let store = dir.path().join("m.hotset");
    succeed(&["pack", model.to_str().unwrap(), store.to_str().unwrap(), "--quant", "keep"]);
    for model in [&model, &store] {
        let run = json(&["run", "-m", model.to_str().unwrap(), "-p", "hi", "--chat", "-n", "1", "--json"]);
        assert_eq!(run["prompt_tokens"], 3, "{model:?}");
    }
}

#[test]
fn templates_get_variables_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let template = "{% if (tools[0] | list)[0] == 'zz' %}<|im_end|>{% endif %}{% if enable_thinking %}<|im_end|><|im_end|>{% endif %}<|im_start|>";
    let model = with_template(dir.path(), template, serde_json::json!({}));
    let model = model.to_str().unwrap();
    let tokens = |json_text: &str| {
        let run = json(&[
            "run",
            "-m",
            model,
            "-p",
            "hi",
            "--chat",
            "-n",
            "1",
            "--json",
            "--chat-template-kwargs",
            json_text,
        ]);
        run["prompt_tokens"].clone()
    };
    assert_eq!(tokens(r#"{"tools": [{"zz": 1, "aa": 2}]}"#), 2);
    assert_eq!(tokens(r#"{"tools": [{"aa": 1, "zz": 2}], "enable_thinking": true}"#), 3);
    let error = fail(2, &["run", "-m", model, "-p", "hi", "--chat", "--chat-template-kwargs", "[1]"]);
    assert!(error.contains("--chat-template-kwargs") && error.contains("JSON object"), "{error}");
    let by_environment = hotset()
        .args(["run", "-m", model, "-p", "hi", "--chat", "-n", "1", "--json"])
        .env("LLAMA_CHAT_TEMPLATE_KWARGS", r#"{"tools": [{"zz": 1}]}"#)
        .output()
        .unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&by_environment.stdout).unwrap()["prompt_tokens"], 2);
}
