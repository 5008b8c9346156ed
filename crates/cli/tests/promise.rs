//! What the program never does, whatever it is given: print what a terminal acts on, half an object, or a figure
//! that is none; wait for what never comes; take memory or threads for granted.

mod common;

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::hotset;
use hotset_base::WeightType;
use hotset_testkit::{TinyModel, TinyShape};
use serde_json::Value;

fn run(args: &[&str]) -> Output {
    hotset().args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Standard error of a run that must succeed.
fn notes(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stderr)
}

/// The one line of a run that must fail with this code, and print nothing else.
fn fail(code: i32, args: &[&str]) -> String {
    let output = run(args);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
    assert!(output.stdout.is_empty() && error.lines().count() == 1, "{args:?}: {error}");
    assert!(error.starts_with("error: ") && error.len() <= 4096, "{args:?}: {error}");
    error
}

/// A model that `synth` makes, by `name` in `dir`.
fn synth(dir: &Path, name: &str) -> String {
    let path = dir.join(name).to_str().unwrap().to_owned();
    notes(&["synth", &path, "--preset", "tiny"]);
    path
}

/// A file in `dir`.
fn file(dir: &Path, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = dir.join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// All that a command prints on a terminal.
fn on_a_terminal(args: &[&str]) -> String {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = PathBuf::from(std::ffi::OsStr::from_bytes(ptsname(&master, Vec::new()).unwrap().as_bytes()));
    let slave = File::options().read(true).write(true).open(name).unwrap();
    let mut command = hotset();
    command.args(args).stdout(slave.try_clone().unwrap()).stderr(slave);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut printed = Vec::new();
    // The end of a terminal whose other side is closed is an error.
    let _ = File::from(master).read_to_end(&mut printed);
    child.wait().unwrap();
    text(&printed)
}

#[test]
fn a_terminal_is_shown_what_programs_get_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let hostile = "\u{1b}]0;pwned\u{7}\u{9b}31m\u{202e}";
    let model = synth(dir.path(), "m.gguf");
    let odd = path(&format!("odd{hostile}.gguf"));
    fs::copy(&model, &odd).unwrap();
    let csv = format!(
        "# route_trace v1\n# model=m{hostile} arch=qwen3moe n_layer=1 n_expert=2 n_expert_used=1\n\
         turn,phase,step,layer,slot,expert,weight,residency\n0,1,0,0,0,1,0.5,1\n0,1,1,0,0,1,0.5,1\n"
    );
    let csv = file(dir.path(), "t.csv", csv);
    let bad_csv = file(dir.path(), "bad.csv", format!("# route_trace v1\n# n_layer={hostile}\n"));
    let prompt = file(dir.path(), "prompt", format!("baba {hostile} dada"));
    let router = file(dir.path(), "r.json", "{\"a\\u001b\\u009b\\u202e\":1}");
    let template = file(dir.path(), "t.jinja", format!("{{{{ raise_exception('{hostile}') }}}}"));
    let gone = path(&format!("gone{hostile}"));
    let flag = format!("--{hostile}");
    let commands: [&[&str]; 10] = [
        &["show", &odd],
        &["show", &odd, "--json"],
        &["show", &gone],
        &["run", &model, "-f", &prompt, "-n", "2"],
        &["run", &model, "x", "--router-config", &router],
        &["run", &model, "x", "--chat", "--chat-template-file", &template],
        &["trace", "show", &csv],
        &["trace", "show", &bad_csv],
        &["replay", &csv],
        &["run", &flag],
    ];
    for args in commands {
        let printed = on_a_terminal(args);
        let acted_on = |c: &char| {
            c.is_control() && !matches!(c, '\n' | '\r' | '\t') || ('\u{202a}'..='\u{202e}').contains(c)
        };
        assert_eq!(printed.chars().find(acted_on), None, "{args:?}: {printed:?}");
        assert!(printed.contains("\\u{202e}") || printed.contains("\\u202e"), "{args:?}: {printed}");
    }
    assert!(text(&run(&["trace", "show", &csv]).stdout).contains(hostile), "a pipe gets the bytes");
    let shown: Value = serde_json::from_str(&on_a_terminal(&["show", &odd, "--json"])).unwrap();
    assert_eq!(shown["model"], odd.as_str());
    assert!(!fail(2, &["show", &gone]).contains('\u{1b}'), "errors are looked at later");
}

#[test]
fn a_path_that_is_no_text_is_one_whole_object() {
    let dir = tempfile::tempdir().unwrap();
    let odd = |end: &str| {
        let mut name = b"a\xff\x1b".to_vec();
        name.extend(end.as_bytes());
        dir.path().join(std::ffi::OsStr::from_bytes(&name))
    };
    let json = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(value.is_object());
        value.to_string()
    };
    let (model, store, words) = (odd(".gguf"), odd(".hotset"), odd(".txt"));
    fs::write(&words, "baba dada bucu baba dada bucu").unwrap();
    let made = json(hotset().arg("synth").arg(&model).args(["--preset", "tiny", "--json"]));
    assert!(made.contains("a\u{fffd}\\u001b.gguf"), "{made}");
    json(hotset().arg("pack").arg(&model).arg(&store).arg("--json"));
    json(hotset().arg("verify").arg(&store).arg("--json"));
    for model in [&model, &store] {
        json(hotset().arg("show").arg(model).arg("--json"));
        json(hotset().arg("perplexity").arg(model).arg(&words).arg("--json"));
        json(hotset().arg("doctor").arg(model).args(["--json", "--measure-seconds", "0.01"]));
        let few = ["--json", "-p", "2", "-n", "2", "-r", "1", "--measure-seconds", "0.01"];
        json(hotset().arg("bench").arg(model).args(few));
    }
}

#[test]
fn a_full_disk_is_an_error_of_everything_that_prints() {
    let dir = tempfile::tempdir().unwrap();
    let model = synth(dir.path(), "m.gguf");
    let commands: [&[&str]; 5] =
        [&["--help"], &["run", "--help"], &["--version"], &["show", &model], &["show", &model, "--json"]];
    for args in commands {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = hotset().args(args).stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(text(&output.stderr).starts_with("error: No space left"), "{args:?}");
    }
}

#[test]
fn figures_that_are_none_are_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let words = file(dir.path(), "words", "the quick brown fox jumps over the lazy dog ".repeat(4));
    for (name, value) in [("nan", f32::NAN), ("inf", f32::INFINITY)] {
        let mut tiny = TinyModel::random(TinyShape::default(), 1);
        let norm = tiny.tensors.iter_mut().find(|tensor| tensor.name == "model.norm.weight").unwrap();
        norm.values[0] = value;
        let path = dir.path().join(name);
        tiny.write_hf(&path, WeightType::F32, 1).unwrap();
        let model = path.to_str().unwrap();
        let commands: [&[&str]; 6] = [
            &["perplexity", model, &words, "--json", "-c", "64"],
            &["perplexity", model, &words, "--json", "--windowing", "second-half", "-c", "8"],
            &["perplexity", model, &words, "--json", "-c", "64", "--router", "drop"],
            &["perplexity", model, &words, "--json", "-c", "64", "--router", "drop", "--compare-native"],
            &["run", model, "the", "-n", "2", "--json"],
            &["bench", model, "-p", "2", "-n", "2", "-r", "1", "--measure-seconds", "0.01", "--json"],
        ];
        for args in commands {
            fail(1, args);
        }
    }
}

#[test]
fn what_is_no_file_is_refused_wherever_a_file_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let model = synth(dir.path(), "m.gguf");
    let words = file(dir.path(), "words", "baba dada bucu");
    let fifo = dir.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // Somebody who never writes anything.
    let holder = File::options().read(true).write(true).open(&fifo).unwrap();
    let directory = dir.path().join("directory");
    fs::create_dir(&directory).unwrap();
    let out = dir.path().join("out").to_str().unwrap().to_owned();
    for path in [fifo.to_str().unwrap(), "/dev/zero", directory.to_str().unwrap()] {
        let commands: [&[&str]; 19] = [
            &["show", path],
            &["verify", path],
            &["run", path, "x"],
            &["run", &model, "-f", path],
            &["run", &model, "x", "--router-config", path],
            &["run", &model, "x", "--chat", "--chat-template-file", path],
            &["run", &model, "x", "-n", "1", "--trust-ledger", path],
            &["perplexity", path, &words],
            &["perplexity", &model, path],
            &["plan", &model, "--no-measure", "--disk-gbps", "1", "--memory-gbps", "9", "--locality", path],
            &["bench", &model, "-f", path],
            &["synth", "--check", &model, "--text", path],
            &["trace", "show", path],
            &["trace", "export", path, "--csv", &out],
            &["trace", "import", path, &out],
            &["replay", path],
            &["trust", "show", path],
            &["trust", "import", path, &out],
            &["pack", path, &out],
        ];
        for args in commands {
            let start = Instant::now();
            let output = run(args);
            let error = text(&output.stderr);
            assert!(matches!(output.status.code(), Some(1 | 2)), "{args:?}: {error}");
            assert!(start.elapsed() < Duration::from_secs(10), "{args:?}");
            assert!(error.contains("error: ") && output.stdout.is_empty(), "{args:?}: {error}");
        }
    }
    drop(holder);
    let shell = format!("exec '{}' run '{model}' -f <(echo baba) -n 2 -q", env!("CARGO_BIN_EXE_hotset"));
    if let Ok(output) = Command::new("bash").args(["-c", &shell]).output() {
        assert!(output.status.success(), "a pipe of the shell is no such pipe: {}", text(&output.stderr));
    }
}

#[test]
fn memory_that_is_refused_is_an_error_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let model = synth(dir.path(), "m.gguf");
    let store = dir.path().join("s.hotset").to_str().unwrap().to_owned();
    let commands: [&[&str]; 3] = [
        &["run", &model, "baba", "-n", "2", "-q", "--memory", "64MiB"],
        &["pack", &model, &store, "--force"],
        &["show", &model],
    ];
    for mib in (20..=120).step_by(20) {
        for args in commands {
            let shell = format!("ulimit -v {}; exec \"$0\" \"$@\"", mib << 10);
            let mut command = Command::new("bash");
            command.args(["-c", &shell, env!("CARGO_BIN_EXE_hotset")]).args(args);
            let output = command.output().unwrap();
            let error = text(&output.stderr);
            match output.status.code() {
                Some(0) => {}
                Some(1) => assert!(error.starts_with("error: ") && error.lines().count() == 1, "{error}"),
                // The program as it is built may be larger than that: then it does not begin.
                code => {
                    assert!(!error.contains("panicked") && mib <= 40, "{mib} MiB, {args:?}: {code:?} {error}")
                }
            }
        }
    }
}

#[test]
fn lists_without_limit_are_refused_in_a_short_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hf");
    TinyModel::random(TinyShape::default(), 1).write_hf(&path, WeightType::BF16, 1).unwrap();
    let ones = vec!["1"; 300_000].join(",");
    let many: Vec<String> = (0..600_000)
        .map(|i| format!("\"t{i}\":{{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"))
        .collect();
    for header in [
        format!("{{\"a\":{{\"dtype\":\"F32\",\"shape\":[{ones}],\"data_offsets\":[0,4]}}}}"),
        format!("{{\"a\":{{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[{ones}]}}}}"),
        format!("{{\"a\":{{\"dtype\":\"{}\",\"shape\":[1],\"data_offsets\":[0,4]}}}}", "F".repeat(1 << 20)),
        format!("{{\"{}\":{{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}}}", "n".repeat(1 << 20)),
        format!("{{{}}}", many.join(",")),
    ] {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend([0; 64]);
        fs::write(path.join("model.safetensors"), file).unwrap();
        fail(1, &["show", path.to_str().unwrap()]);
    }
    let router = file(dir.path(), "r.json", format!("{{\"{}\":1}}", "k".repeat(1 << 20)));
    fail(2, &["run", &synth(dir.path(), "m.gguf"), "x", "--router-config", &router]);
}

#[test]
fn a_replay_takes_room_for_what_was_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let mut csv = "# route_trace v1\n# model=m n_layer=512 n_expert=64 n_expert_used=64\n\
                   turn,phase,step,layer,slot,expert,weight,residency\n"
        .to_owned();
    // One pick a token, and 511 layers of which nothing is known.
    (0..20_000).for_each(|step| csv.push_str(&format!("0,1,{step},0,0,{},1,0\n", step % 64)));
    let trace = file(dir.path(), "t.csv", csv);
    let shell = format!("ulimit -v {}; exec \"$0\" \"$@\"", 600 << 10);
    let mut command = Command::new("bash");
    command.args(["-c", &shell, env!("CARGO_BIN_EXE_hotset"), "replay", &trace, "--json"]);
    let output = command.args(["--policy", "lru,belady", "--experts-per-layer", "4"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).lines().count(), 2);
}

#[test]
fn settings_beyond_what_there_is_get_one_warning() {
    let dir = tempfile::tempdir().unwrap();
    let model = synth(dir.path(), "m.gguf");
    for (setting, told) in [
        (["--memory", "900TiB"], "900.00 TiB of memory is more than"),
        (["-t", "200"], "200 threads are more than"),
        (["--experts-per-layer", "1000"], "1000 experts per layer are more than the 16"),
    ] {
        let notes = notes(&["run", &model, "baba", "-n", "1", setting[0], setting[1]]);
        let warnings: Vec<&str> = notes.lines().filter(|line| line.contains("warning")).collect();
        assert_eq!(warnings.len(), 1, "{notes}");
        assert!(warnings[0].starts_with("warning: ") && warnings[0].contains(told), "{notes}");
    }
    assert!(!notes(&["run", &model, "baba", "-n", "1"]).contains("warning"));
}

#[test]
fn an_answer_that_fills_the_context_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let model = synth(dir.path(), "m.gguf");
    let full = notes(&["run", &model, "baba", "-c", "16", "--temp", "0"]);
    assert!(full.trim_end().ends_with(" | context full]"), "{full}");
    let short = notes(&["run", &model, "baba", "-n", "2", "--temp", "0"]);
    assert!(!short.contains("context full") && short.contains("decode 1 token,"), "{short}");
}

#[test]
fn small_ones() {
    let dir = tempfile::tempdir().unwrap();
    let model = synth(dir.path(), "m.gguf");
    let mut command = hotset();
    for name in ["MODEL", "MEMORY", "THREADS", "CTX_SIZE", "ROUTER", "TRUST_LEDGER", "MLOCK", "READ_DEPTH"] {
        command.env(format!("HOTSET_{name}"), "");
    }
    let output = command.args(["run", "-m", &model, "-p", "baba", "-n", "1", "-q"]).output().unwrap();
    assert!(output.status.success(), "empty variables count as unset: {}", text(&output.stderr));

    assert!(fail(2, &["run", &model, "", "-n", "2"]).contains("the prompt is empty"));
    let empty = file(dir.path(), "empty", "");
    assert!(fail(2, &["perplexity", &model, &empty]).contains("is empty"));
    let gone = dir.path().join("no").join("x.hotset");
    let error = fail(1, &["pack", &model, gone.to_str().unwrap()]);
    assert_eq!(error.matches("os error 2").count(), 1, "{error}");

    let (good, short) = (file(dir.path(), "good", "baba dada bucu"), file(dir.path(), "short", "x"));
    let output = run(&["perplexity", &model, &good, &short, &good, "--json"]);
    let error = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout).lines().count()), (Some(1), 2), "{error}");
    assert!(error.contains("the text has 1 token; at least 2"), "{error}");

    let head = "# route_trace v1\n# model=m n_layer=1 n_expert=2 n_expert_used=1\n\
                turn,phase,step,layer,slot,expert,weight,residency\n";
    let none = file(dir.path(), "none.csv", head);
    let target = dir.path().join("none.trace");
    assert!(fail(1, &["trace", "import", &none, target.to_str().unwrap()]).contains("no rows"));
    let two = file(dir.path(), "two.csv", format!("{head}0,1,0,0,0,1,0.5,1\n0,1,1,0,0,1,0.5,1\n"));
    let output = run(&["replay", &two, "--policy", "lru,lfu,lru", "--experts-per-layer", "1,2,1", "--json"]);
    assert_eq!(text(&output.stdout).lines().count(), 4);
}
