//! The parent: gives inputs to a worker, watches it, and goes on with another behind an input that killed it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::target::Entry;
use crate::worker::{self, PATIENCE, Said};

/// A worker that has not said a word for so long hangs: the longest time an input may take.
const HANG: Duration = Duration::from_secs(10 * PATIENCE as u64);
/// What making the sound files may take.
const START: Duration = Duration::from_secs(300);
/// Failures after which a target is given up: the rest would be more of the same.
const MANY: usize = 100;
/// How much of what a worker said when it died is told.
const LAST_WORDS: usize = 600;
/// What a worker prints when it dies.
const STDERR: &str = "worker-stderr";

/// What is tried.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// Decides every input.
    pub seed: u64,
    /// Numbers of the inputs of every target.
    pub numbers: std::ops::Range<u64>,
    /// The program that has the worker.
    pub program: PathBuf,
    /// The `hotset` command.
    pub hotset: PathBuf,
    /// Where inputs that failed are kept.
    pub keep: PathBuf,
}

/// An input that did harm.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Of the input.
    pub number: u64,
    /// What happened.
    pub why: String,
    /// Where its files are kept.
    pub kept: PathBuf,
}

/// What became of a target's inputs.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Inputs tried.
    pub inputs: u64,
    /// Refused in words.
    pub refused: u64,
    /// The last of these words.
    pub refusal: Option<String>,
    /// Those that did harm.
    pub failures: Vec<Failure>,
    /// Longest processor time, and of which input.
    pub slowest: (Duration, u64),
    /// Most memory in bytes, and of which input.
    pub largest: (u64, u64),
}

impl Report {
    fn add(&mut self, said: &Said) {
        self.inputs += 1;
        if let Some(refusal) = said.refusal.as_ref().filter(|_| said.failure.is_none()) {
            self.refused += 1;
            self.refusal = Some(refusal.clone());
        }
        self.slowest = self.slowest.max((said.cpu, said.number));
        self.largest = self.largest.max((said.peak, said.number));
    }

    /// Inputs read to their end.
    pub fn accepted(&self) -> u64 {
        self.inputs - self.refused - self.failures.len() as u64
    }
}

/// A worker and what it says.
struct Worker {
    child: Child,
    lines: Receiver<Said>,
    dir: tempfile::TempDir,
}

impl Campaign {
    /// Tries all inputs of a target; `progress` is told of every one.
    ///
    /// # Errors
    /// If a worker cannot be started, or cannot make its inputs.
    pub fn run(&self, entry: &Entry, progress: &dyn Fn()) -> io::Result<Report> {
        let mut report = Report::default();
        let mut next = self.numbers.start;
        while next < self.numbers.end && report.failures.len() < MANY {
            let mut worker = self.start(entry, next)?;
            let harm = worker.follow(&mut next, self.numbers.end, &mut report, progress)?;
            if let Some(why) = harm {
                if !worker::place(worker.dir.path()).exists() {
                    return Err(io::Error::other(format!("{}: {why}", entry.name)));
                }
                let kept = self.keep.join(format!("{}-{}-{next}", entry.name, self.seed));
                copy(&worker::place(worker.dir.path()), &kept)?;
                report.failures.push(Failure { number: next, why, kept });
                next += 1;
            }
        }
        Ok(report)
    }

    fn start(&self, entry: &Entry, from: u64) -> io::Result<Worker> {
        let dir = tempfile::tempdir()?;
        let mut command = Command::new(&self.program);
        command.args(["--worker", entry.name, "--seed", &self.seed.to_string()]);
        command.args(["--from", &from.to_string(), "--to", &self.numbers.end.to_string()]);
        command.arg("--dir").arg(dir.path()).arg("--hotset").arg(&self.hotset);
        command
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(dir.path().join(STDERR))?);
        // A group of its own, so that what it has started ends with it.
        let mut child = command.process_group(0).spawn()?;
        let stdout =
            child.stdout.take().ok_or_else(|| io::Error::other("a worker without standard output"))?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let Ok(said) = serde_json::from_str(&line) else { break };
                if sender.send(said).is_err() {
                    break;
                }
            }
        });
        Ok(Worker { child, lines, dir })
    }
}

impl Worker {
    /// Counts what it says from input `next` on, until it has done all, or one did harm: that is `next` then.
    fn follow(
        &mut self,
        next: &mut u64,
        end: u64,
        report: &mut Report,
        progress: &dyn Fn(),
    ) -> io::Result<Option<String>> {
        let mut patience = START;
        while *next < end {
            match self.lines.recv_timeout(patience) {
                Ok(said) => {
                    report.add(&said);
                    progress();
                    if said.failure.is_some() {
                        return Ok(said.failure);
                    }
                    *next += 1;
                }
                Err(why) => {
                    report.inputs += 1;
                    progress();
                    return match why {
                        RecvTimeoutError::Timeout => Ok(Some(format!("no end after {patience:?}"))),
                        RecvTimeoutError::Disconnected => self.last_words().map(Some),
                    };
                }
            }
            patience = HANG;
        }
        Ok(None)
    }

    /// How it ended, and the beginning of what it printed.
    fn last_words(&mut self) -> io::Result<String> {
        let status = self.child.wait()?;
        let text = String::from_utf8_lossy(&fs::read(self.dir.path().join(STDERR))?).into_owned();
        let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(format!("{status}: {}", text.chars().take(LAST_WORDS).collect::<String>()))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It has ended already, or nobody waits for it any more.
        if let Ok(None) = self.child.try_wait() {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Copies a directory of files, directories and links.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()? {
            kind if kind.is_dir() => copy(&entry.path(), &to)?,
            kind if kind.is_file() => drop(fs::copy(entry.path(), to)?),
            _ => {}
        }
    }
    Ok(())
}
