//! Every flag that names a file to write: nothing is destroyed by any of them, whatever it is given.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn hotset(dir: &Path) -> Command {
    let mut command = common::hotset();
    command.current_dir(dir);
    command
}

fn run(dir: &Path, words: &str, rest: &[&str]) -> Output {
    hotset(dir).args(words.split_whitespace()).args(rest).output().unwrap()
}

fn succeed(dir: &Path, words: &str) {
    let output = run(dir, words, &[]);
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A command with everything but the output, what names the output, and a file of the kind.
struct Case {
    command: &'static str,
    /// `--flag`, or the name of a positional argument, as the help has it.
    argument: &'static str,
    /// What stands before the output's name; its last word is the flag, if it is one.
    words: &'static str,
    /// A file of the kind, made by `prepare`.
    same_kind: &'static str,
    /// Whether that may be replaced without a word.
    replaces_kind: bool,
    offers_force: bool,
}

const fn case(command: &'static str, argument: &'static str, words: &'static str) -> Case {
    Case { command, argument, words, same_kind: "", replaces_kind: false, offers_force: false }
}

const CASES: [Case; 16] = [
    Case {
        same_kind: "a.trace",
        replaces_kind: true,
        ..case("run", "--trace", "run m.gguf ba -n 2 --trace")
    },
    Case {
        same_kind: "a.ledger",
        replaces_kind: true,
        ..case("run", "--trust-ledger", "run m.gguf ba -n 2 --trust-ledger")
    },
    Case {
        same_kind: "a.trace",
        replaces_kind: true,
        ..case("perplexity", "--trace", "perplexity m.gguf text --trace")
    },
    Case {
        same_kind: "a.ledger",
        replaces_kind: true,
        ..case("perplexity", "--trust-ledger", "perplexity m.gguf text --trust-ledger")
    },
    Case {
        same_kind: "a.trace",
        replaces_kind: true,
        ..case("bench", "--trace", "bench m.gguf -p 2 -n 1 -r 1 --warmup 0 --measure-seconds 0.01 --trace")
    },
    Case {
        same_kind: "a.ledger",
        replaces_kind: true,
        ..case(
            "bench",
            "--trust-ledger",
            "bench m.gguf -p 2 -n 1 -r 1 --warmup 0 --measure-seconds 0.01 --trust-ledger",
        )
    },
    Case {
        same_kind: "a.ledger",
        replaces_kind: true,
        ..case("plan", "--trust-ledger", "plan m.gguf --measure-seconds 0.01 --trust-ledger")
    },
    Case {
        same_kind: "a.ledger",
        replaces_kind: true,
        ..case("synth", "--trust-ledger", "synth --check m.gguf --tokens 64 --trust-ledger")
    },
    Case { same_kind: "m.hotset", offers_force: true, ..case("pack", "<DST>", "pack m.gguf") },
    Case { same_kind: "n.gguf", offers_force: true, ..case("synth", "[DST]", "synth --preset tiny") },
    Case {
        same_kind: "a.csv",
        replaces_kind: true,
        offers_force: true,
        ..case("trace export", "--csv", "trace export m.trace --csv")
    },
    Case {
        same_kind: "a.parquet",
        replaces_kind: true,
        offers_force: true,
        ..case("trace export", "--parquet", "trace export m.trace --parquet")
    },
    Case {
        same_kind: "a.trace",
        replaces_kind: true,
        offers_force: true,
        ..case("trace import", "[TRACE]", "trace import m.csv")
    },
    Case {
        same_kind: "t.csv",
        replaces_kind: true,
        offers_force: true,
        ..case("replay", "--csv", "replay m.trace --csv")
    },
    Case {
        same_kind: "t.svg",
        replaces_kind: true,
        offers_force: true,
        ..case("replay", "--svg", "replay m.trace --svg")
    },
    Case {
        same_kind: "a.json",
        replaces_kind: true,
        offers_force: true,
        ..case("trust export", "[JSON]", "trust export m.ledger")
    },
];

/// A ledger is made of one by itself: what it may replace is asked in `crates/outputs`.
const IMPORT: Case = Case {
    same_kind: "a.ledger",
    offers_force: true,
    ..case("trust import", "<FILE>", "trust import m.json")
};

/// Arguments that take a file, a name or a structure and write nothing.
const INPUTS: [(&str, &[&str]); 14] = [
    (
        "run",
        &["-m", "-p", "-f", "--system", "--chat-template-file", "--chat-template-kwargs", "--router-config"],
    ),
    ("perplexity", &["<MODEL>", "<FILE>...", "--router-config"]),
    ("pack", &["<SRC>"]),
    ("verify", &["<STORE>", "[STORE]", "<MODEL>"]),
    ("show", &["[MODEL]", "-m", "--trace"]),
    ("bench", &["[MODEL]", "-m", "-f", "--locality", "--router-config"]),
    ("plan", &["[MODEL]", "--locality", "--router-config"]),
    ("doctor", &["[MODEL]"]),
    ("synth", &["--check", "--text-of", "--text", "--router-config"]),
    ("trace show", &["<TRACE>"]),
    ("trace export", &["<TRACE>"]),
    ("trace import", &["<CSV>"]),
    ("replay", &["<TRACE>", "--router-config"]),
    ("trust export", &["<FILE>"]),
];
const MORE_INPUTS: [(&str, &[&str]); 3] =
    [("trust show", &["<FILE>"]), ("trust import", &["<JSON>"]), ("trust reset", &["<FILE>"])];

/// Values that are, or could be, files.
const FILES: [&str; 9] = ["FILE", "PATH", "TRACE", "CSV", "JSON", "DST", "SRC", "MODEL", "STORE"];

fn help(words: &str) -> String {
    let output = run(Path::new("."), words, &["--help"]);
    String::from_utf8(output.stdout).unwrap()
}

/// The subcommands that a help lists.
fn subcommands(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = list
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// Arguments of a command whose value is a file.
fn file_arguments(help: &str) -> Vec<String> {
    let head = |line: &str| {
        let line = line.trim_start();
        // The words before two spaces are the argument, what follows its text.
        let argument = line.split("  ").next().unwrap_or_default().to_owned();
        let value = argument
            .rsplit_once(['<', '['])
            .map(|(_, value)| value.trim_end_matches(['>', ']', '.']).to_owned());
        let is_file = value.is_some_and(|value| FILES.contains(&value.as_str()));
        let name = argument.split([' ', ',']).next().unwrap_or_default().to_owned();
        (is_file && line.starts_with(['-', '<', '['])).then_some(name)
    };
    help.lines().skip_while(|line| !line.starts_with("Usage:")).skip(1).filter_map(head).collect()
}

#[test]
fn every_argument_that_names_a_file_is_known() {
    let mut commands = Vec::new();
    for command in subcommands(&help("")) {
        let nested = subcommands(&help(&command));
        match nested.is_empty() {
            true => commands.push(command),
            false => commands.extend(nested.iter().map(|action| format!("{command} {action}"))),
        }
    }
    assert!(commands.len() > 14, "{commands:?}");
    let mut outputs = BTreeSet::new();
    for command in &commands {
        let inputs: Vec<&str> = INPUTS
            .iter()
            .chain(&MORE_INPUTS)
            .filter(|(name, _)| name == command)
            .flat_map(|(_, all)| all.iter().copied())
            .collect();
        for argument in file_arguments(&help(command)) {
            if !inputs.contains(&argument.as_str()) {
                outputs.insert((command.clone(), argument));
            }
        }
    }
    let known: BTreeSet<(String, String)> = CASES
        .iter()
        .chain([&IMPORT])
        .map(|case| (case.command.to_owned(), case.argument.to_owned()))
        .collect();
    assert_eq!(outputs, known, "an argument names a file and is in no list of this test");
}

/// A directory with every kind of file there is.
fn prepare(dir: &Path) {
    succeed(dir, "synth m.gguf --preset tiny");
    succeed(dir, "synth n.gguf --preset tiny --seed 2");
    succeed(dir, "pack n.gguf m.hotset");
    for name in ["m", "a"] {
        succeed(
            dir,
            &format!("run m.gguf ba -n 8 --temp 0 --trace {name}.trace --trust-ledger {name}.ledger"),
        );
        succeed(dir, &format!("trace export {name}.trace --csv {name}.csv"));
        succeed(dir, &format!("trace export {name}.trace --parquet {name}.parquet"));
        succeed(dir, &format!("trust export {name}.ledger {name}.json"));
    }
    succeed(dir, "replay a.trace --csv t.csv --svg t.svg");
    fs::write(dir.join("text"), "ba da ga ba da ga").unwrap();
}

/// What must survive, by name: other kinds, and everything that any of the commands reads.
fn precious(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    fs::write(dir.join("notes"), "dear diary").unwrap();
    fs::write(dir.join("empty"), "").unwrap();
    let names = ["notes", "empty", "m.gguf", "m.trace", "m.csv", "m.ledger", "m.json", "text"];
    names.map(|name| (dir.join(name), fs::read(dir.join(name)).unwrap())).into()
}

fn check(case: &Case) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    prepare(dir);
    let precious = precious(dir);
    let refused = |name: &str, force: bool| {
        let rest: &[&str] = if force { &[name, "--force"] } else { &[name] };
        let output = run(dir, case.words, rest);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{} {rest:?}: {error}", case.words);
        assert!(output.stdout.is_empty() && error.contains(name), "{} {rest:?}: {error}", case.words);
        for (path, bytes) in &precious {
            assert!(fs::read(path).unwrap() == *bytes, "{} {rest:?} changed {}", case.words, path.display());
        }
    };
    let forces: &[bool] = if case.offers_force { &[false, true] } else { &[false] };
    fs::create_dir(dir.join("dir")).unwrap();
    assert!(Command::new("mkfifo").arg(dir.join("fifo")).status().unwrap().success());
    forces
        .iter()
        .for_each(|&force| ["dir", "fifo", "/dev/null"].iter().for_each(|name| refused(name, force)));
    // What it reads, under any of its names.
    for read in case.words.split_whitespace().filter(|word| dir.join(word).is_file()) {
        let _ = fs::remove_file(dir.join("link"));
        let _ = fs::remove_file(dir.join("hard"));
        symlink(read, dir.join("link")).unwrap();
        fs::hard_link(dir.join(read), dir.join("hard")).unwrap();
        forces.iter().for_each(|&force| [read, "link", "hard"].iter().for_each(|name| refused(name, force)));
    }
    ["notes", "empty", "m.gguf"].iter().for_each(|name| refused(name, false));
    // A name that is free; then the same kind; then any kind, if that is offered.
    let write = |name: &str, force: bool| {
        let rest: &[&str] = if force { &[name, "--force"] } else { &[name] };
        let output = run(dir, case.words, rest);
        let (code, error) = (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned());
        assert!(code == Some(0) || case.words.contains("--check"), "{} {rest:?}: {error}", case.words);
        assert!(!dir.join(format!("{name}.partial")).exists());
    };
    write("fresh", false);
    match case.replaces_kind {
        true => write(case.same_kind, false),
        false => refused(case.same_kind, false),
    }
    if case.offers_force {
        write("notes", true);
        assert_ne!(fs::read(dir.join("notes")).unwrap(), b"dear diary", "{}", case.words);
    }
}

#[test]
fn no_output_destroys_what_it_must_not() {
    CASES.iter().chain([&IMPORT]).for_each(check);
}
