//! Ended at any moment, a command leaves what was there before or the whole new file, and nothing between.
//!
//! A few moments for every command and signal; `HOTSET_TEST_KILLS=50` makes it a campaign.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hotset_testkit::Random;

/// Moments for every command and signal, unless the environment says otherwise.
const MOMENTS: usize = 3;

const SIGNALS: [(&str, i32); 4] = [("KILL", 9), ("INT", 2), ("TERM", 15), ("HUP", 1)];

fn hotset(dir: &Path, words: &str) -> Command {
    let mut command = common::hotset();
    command.current_dir(dir).args(words.split_whitespace());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn succeed(dir: &Path, words: &str) {
    assert!(hotset(dir, words).status().unwrap().success(), "{words}");
}

/// How a finished file is known.
enum Whole {
    /// By its bytes: the command writes the same every time.
    Same,
    /// By a command that reads it.
    Read(&'static str),
}

/// A command, what it writes, and how that is known to be whole.
const CASES: [(&str, &[(&str, Whole)]); 10] = [
    ("pack m.gguf o.hotset --quant q8_0 --force", &[("o.hotset", Whole::Same)]),
    ("synth o.gguf --preset tiny --seed 7 --force", &[("o.gguf", Whole::Same)]),
    ("trace export m.trace --csv o.csv", &[("o.csv", Whole::Same)]),
    ("trace export m.trace --parquet o.parquet", &[("o.parquet", Whole::Same)]),
    ("trace import m.csv o.trace", &[("o.trace", Whole::Same)]),
    ("replay m.trace --csv r.csv --svg r.svg", &[("r.csv", Whole::Same), ("r.svg", Whole::Same)]),
    ("trust export m.ledger o.json", &[("o.json", Whole::Same)]),
    ("trust import m.json o.ledger --force", &[("o.ledger", Whole::Same)]),
    (
        "run m.gguf ba -n 150 --temp 0 --trace w.trace --trust-ledger w.ledger",
        &[("w.trace", Whole::Read("trace show")), ("w.ledger", Whole::Read("trust show"))],
    ),
    (
        "perplexity m.gguf text --trace w.trace --trust-ledger w.ledger",
        &[("w.trace", Whole::Read("trace show")), ("w.ledger", Whole::Read("trust show"))],
    ),
];

/// A directory with what the commands read.
fn prepare(dir: &Path) {
    succeed(dir, "synth m.gguf --preset tiny");
    succeed(dir, "run m.gguf ba -n 300 --temp 0 --trace m.trace --trust-ledger m.ledger");
    succeed(dir, "trace export m.trace --csv m.csv");
    succeed(dir, "trust export m.ledger m.json");
    fs::write(dir.join("text"), "ba da ga ".repeat(200)).unwrap();
}

/// The file is what it was, or whole.
fn check(dir: &Path, name: &str, whole: &Whole, old: &[u8], new: &[u8], told: &str) {
    let found = fs::read(dir.join(name)).unwrap_or_else(|error| panic!("{told}: {name}: {error}"));
    match whole {
        Whole::Same => assert!(found == old || found == new, "{told}: {name} has {} bytes", found.len()),
        Whole::Read(reader) => {
            let output = hotset(dir, &format!("{reader} {name}")).stderr(Stdio::piped()).output().unwrap();
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && !error.contains("cut off"), "{told}: {name}: {error}");
        }
    }
}

#[test]
fn what_is_there_is_whole_whenever_a_command_ends() {
    let moments = std::env::var("HOTSET_TEST_KILLS").map_or(MOMENTS, |text| text.parse().unwrap());
    let (dir, seed) = (tempfile::tempdir().unwrap(), Random::fresh_seed());
    let (dir, mut random) = (dir.path(), Random::new(seed));
    prepare(dir);
    for (words, files) in CASES {
        let start = Instant::now();
        succeed(dir, words);
        let took = start.elapsed();
        let read = |name: &str| fs::read(dir.join(name)).unwrap();
        let new: Vec<Vec<u8>> = files.iter().map(|(name, _)| read(name)).collect();
        let mut ended = 0;
        for (signal, number) in SIGNALS {
            for _ in 0..moments {
                let old: Vec<Vec<u8>> = files.iter().map(|(name, _)| read(name)).collect();
                let moment = Duration::from_nanos(random.bits() % (took.as_nanos() as u64 * 11 / 10));
                let mut child = hotset(dir, words).spawn().unwrap();
                std::thread::sleep(moment);
                let id = child.id().to_string();
                Command::new("kill").args([format!("-{signal}"), id]).stderr(Stdio::null()).status().unwrap();
                let status = child.wait().unwrap();
                let told = format!("seed {seed}: {words}: {signal} after {moment:?}: {status}");
                // Before it watches for signals the system ends it.
                let ends = [Some(0), Some(128 + number), None];
                assert!(ends.contains(&status.code()), "{told}");
                ended += usize::from(status.code() != Some(0));
                for (((name, whole), old), new) in files.iter().zip(&old).zip(&new) {
                    check(dir, name, whole, old, new, &told);
                    let partial = dir.join(format!("{name}.partial"));
                    assert!(signal == "KILL" || !partial.exists(), "{told}: {name}.partial is left");
                    // All but named, it may be whole: then it is in the way until somebody moves it.
                    let _ = fs::remove_file(partial);
                }
            }
        }
        assert!(ended > 0, "{words}: every signal came too late");
    }
}
