//! Command lines: any flags of any subcommand, beside files that must stay as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hotset_base::WeightType;
use hotset_outputs::FileKind;
use hotset_testkit::Random;

use super::{ledger, model, process, trace};
use crate::help::{Flag, flags};
use crate::mutate::{once_in, pick};
use crate::target::{Bounds, Outcome, Target, Workshop};

/// Where the command runs, and where what it said goes.
const WORK: &str = "work";
const SAID: &str = "said";
/// One argument in a line, of the input.
const ARGUMENTS: &str = "arguments";

/// A subcommand with sound arguments, and flags that keep its work small.
struct Subcommand {
    words: &'static [&'static str],
    arguments: &'static [&'static str],
    bounded: &'static [(&'static str, &'static str)],
}

const MEASURE: (&str, &str) = ("--measure-seconds", "0.01");
/// Probes of memory take what the budget has.
const MEMORY: (&str, &str) = ("--memory", "64MiB");
const SUBCOMMANDS: [Subcommand; 16] = [
    Subcommand { words: &["run"], arguments: &["m.gguf", "The hat"], bounded: &[("-n", "2"), ("-c", "32")] },
    Subcommand {
        words: &["run"],
        arguments: &["m.hotset", "--chat", "hat"],
        bounded: &[("-n", "2"), ("-c", "48")],
    },
    Subcommand { words: &["perplexity"], arguments: &["m.gguf", "text.txt"], bounded: &[("-c", "16")] },
    Subcommand { words: &["pack"], arguments: &["m.gguf", "new.hotset"], bounded: &[] },
    Subcommand { words: &["verify"], arguments: &["m.hotset"], bounded: &[] },
    Subcommand { words: &["show"], arguments: &["hf"], bounded: &[] },
    Subcommand {
        words: &["bench"],
        arguments: &["m.gguf"],
        bounded: &[("-p", "2"), ("-n", "1"), ("-r", "1"), ("--warmup", "0"), ("-c", "32"), MEASURE, MEMORY],
    },
    Subcommand { words: &["plan"], arguments: &["m.hotset"], bounded: &[("-c", "32"), MEASURE, MEMORY] },
    Subcommand {
        words: &["synth"],
        arguments: &["new.gguf", "--preset", "tiny"],
        bounded: &[("--layers", "1")],
    },
    Subcommand { words: &["trace", "show"], arguments: &["t.trace"], bounded: &[] },
    Subcommand { words: &["trace", "export"], arguments: &["t.trace", "--csv", "new.csv"], bounded: &[] },
    Subcommand { words: &["trace", "import"], arguments: &["t.csv", "new.trace"], bounded: &[] },
    Subcommand { words: &["replay"], arguments: &["t.trace"], bounded: &[] },
    Subcommand { words: &["trust", "show"], arguments: &["l.ledger"], bounded: &[] },
    Subcommand { words: &["trust", "export"], arguments: &["l.ledger", "new.json"], bounded: &[] },
    Subcommand { words: &["trust", "reset"], arguments: &["l.ledger"], bounded: &[] },
];

/// Names for arguments that are files. Some are not there, some are no files.
const FILES: [&str; 20] = [
    "m.gguf",
    "m.hotset",
    "hf",
    "hf/config.json",
    "t.trace",
    "t.csv",
    "l.ledger",
    "l.json",
    "text.txt",
    "notes",
    "key",
    "empty",
    "link",
    "new",
    "new.partial",
    "no/such",
    "",
    "-",
    "/dev/null",
    ".",
];
const SIZES: [&str; 9] =
    ["0", "1", "48MiB", "64MiB", "1GiB", "-1", "1e3", "18446744073709551615", "99999999999TiB"];
const NUMBERS: [&str; 14] =
    ["0", "1", "2", "3", "16", "-1", "0.5", "1.5", "nan", "inf", "x", "", "18446744073709551616", "1,2"];
/// Values with which no work becomes large.
const HARMLESS: [&str; 6] = ["0", "-1", "x", "", "18446744073709551616", "nan"];

struct CommandLine {
    hotset: PathBuf,
    /// Name and bytes of what must stay.
    precious: BTreeMap<String, Vec<u8>>,
    /// Of every subcommand.
    flags: Vec<Vec<Flag>>,
    arguments: Vec<String>,
}

pub fn make(workshop: &Workshop) -> io::Result<Box<dyn Target>> {
    let dir = workshop.sound.join("precious");
    fs::create_dir_all(&dir)?;
    let tiny = model::tiny();
    tiny.write_gguf(&dir.join("m.gguf"), &|_| WeightType::Q8_0, 1)?;
    tiny.write_hf(&dir.join("hf"), WeightType::BF16, 1)?;
    model::pack_keep(&dir.join("hf"), &dir.join("m.hotset")).map_err(io::Error::other)?;
    trace::sound(&dir.join("t.trace"), true)?;
    let texts: [(&str, &[u8]); 6] = [
        (
            "text.txt",
            b"The hat then, and the tea that the hen had. Then the hat and the den, and the tent.\n",
        ),
        ("notes", b"to remember\n"),
        ("key", &[7; 32]),
        ("empty", b""),
        ("l.ledger", &ledger::sound()),
        ("new.partial", b"not of ours"),
    ];
    texts.iter().try_for_each(|(name, text)| fs::write(dir.join(name), text))?;
    for words in
        [&["trace", "export", "t.trace", "--csv", "t.csv"][..], &["trust", "export", "l.ledger", "l.json"]]
    {
        let mut command = process::hotset(&workshop.hotset, &dir);
        command.args(words);
        process::run(command, &workshop.sound).map_err(io::Error::other)?;
    }
    let flags = SUBCOMMANDS.iter().map(|subcommand| {
        let mut flags = flags(&workshop.hotset, subcommand.words)?;
        // Inside a control group a benchmark measures with as much memory as the group has.
        flags.retain(|flag| !flag.names.iter().any(|name| name == "--limit"));
        Ok(flags)
    });
    Ok(Box::new(CommandLine {
        hotset: workshop.hotset.clone(),
        precious: contents(&dir)?,
        flags: flags.collect::<io::Result<_>>()?,
        arguments: Vec::new(),
    }))
}

/// Every file of a directory and of those in it, by its name from there.
fn contents(dir: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.file_type()? {
            kind if kind.is_dir() => {
                let inner = contents(&entry.path())?;
                files.extend(inner.into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
            }
            kind if kind.is_file() => drop(files.insert(name, fs::read(entry.path())?)),
            _ => {}
        }
    }
    Ok(files)
}

impl Target for CommandLine {
    /// What a plan of a tiny model and the probes of a disk take.
    fn bounds(&self) -> Bounds {
        Bounds { memory: 128 << 20, ..Bounds::default() }
    }

    fn prepare(&mut self, random: &mut Random, place: &Path) -> io::Result<()> {
        let at = random.below(SUBCOMMANDS.len());
        self.arguments = arguments(random, &SUBCOMMANDS[at], &self.flags[at]);
        let work = place.join(WORK);
        fs::create_dir_all(work.join("hf"))?;
        fs::create_dir(place.join(SAID))?;
        self.precious.iter().try_for_each(|(name, bytes)| fs::write(work.join(name), bytes))?;
        std::os::unix::fs::symlink("notes", work.join("link"))?;
        fs::write(place.join(ARGUMENTS), self.arguments.join("\n"))
    }

    fn run(&mut self, place: &Path) -> Result<Outcome, String> {
        let work = place.join(WORK);
        let mut command = process::hotset(&self.hotset, &work);
        command.args(&self.arguments);
        let (outcome, code) = process::run(command, &place.join(SAID))?;
        let after = contents(&work).map_err(|e| e.to_string())?;
        self.check_precious(&after)?;
        if !work.join("link").is_symlink() {
            return Err("the link is no link any more".to_owned());
        }
        let new = after.keys().find(|name| !self.precious.contains_key(*name));
        match new {
            Some(name) if code == 2 => Err(format!("{name} was made in spite of wrong usage")),
            Some(name) if name.ends_with(".partial") => Err(format!("{name} was left")),
            _ => Ok(outcome),
        }
    }
}

fn arguments(random: &mut Random, subcommand: &Subcommand, flags: &[Flag]) -> Vec<String> {
    let mut out: Vec<String> = subcommand.words.iter().map(|&word| word.to_owned()).collect();
    for &argument in subcommand.arguments {
        let other = once_in(random, 5);
        out.push((if other { *pick(random, &FILES) } else { argument }).to_owned());
    }
    for &(flag, value) in subcommand.bounded {
        let other = once_in(random, 12);
        out.extend([flag, if other { *pick(random, &HARMLESS) } else { value }].map(str::to_owned));
    }
    for _ in 0..random.below(5) {
        let Some(flag) = flags.get(random.below(flags.len())) else { break };
        if subcommand.bounded.iter().any(|(bounded, _)| flag.names.iter().any(|name| name == bounded)) {
            continue;
        }
        out.push(pick(random, &flag.names).clone());
        if let Some(placeholder) = &flag.value {
            out.push(value(random, placeholder, flag));
        }
    }
    if once_in(random, 6) {
        out.push("--force".to_owned());
    }
    out
}

fn value(random: &mut Random, placeholder: &str, flag: &Flag) -> String {
    let pool: &[&str] = match placeholder {
        _ if !flag.possible.is_empty() && !once_in(random, 6) => return pick(random, &flag.possible).clone(),
        "FILE" | "PATH" | "MODEL" => &FILES,
        "SIZE" => &SIZES,
        "PLAN" => &["seed=1", "seed=1,short=500", "seed=2,error=100", "x=1", ""],
        "KIND=TYPE" => &["ffn_down=q8_0", "attn_q=f16", "x=q8_0", "=", "ffn_down=", "q8_0"],
        "RECIPE" => &["keep", "q8_0", "q4_k_m", "q4_0", "x"],
        "NAME,..." => &["lru", "global-lfu,belady", "lru,lru", "x", ""],
        "H,..." => &["1", "4,8", "4,4", "0", "1024", "x", ""],
        "NAME" => &["tiny", "x", ""],
        "TEXT" => &["hat", "", "\u{1b}[2J"],
        _ => &NUMBERS,
    };
    (*pick(random, pool)).to_owned()
}

impl CommandLine {
    /// A file may be replaced by one of its kind, by anything of ours with `--force`, and a ledger may be forgotten;
    /// never what the command reads, too.
    fn check_precious(&self, after: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
        for (name, before) in &self.precious {
            let now = after.get(name);
            if now == Some(before) {
                continue;
            }
            let named = |argument: &String| argument == name || (argument == "link" && name == "notes");
            // Of a repeated flag the last counts: a file is one output however often its flag names it.
            let roles: BTreeSet<&String> = (0..self.arguments.len())
                .filter(|&i| named(&self.arguments[i]))
                .map(|i| &self.arguments[i.saturating_sub(1)])
                .collect();
            let is = |word: &str| self.arguments.iter().any(|argument| argument == word);
            let old_kind = FileKind::of(before);
            let allowed = match now.map(|now| FileKind::of(now)) {
                None => is("reset") && old_kind == Some(FileKind::TrustLedger),
                Some(None) => false,
                Some(kind) if kind == old_kind => {
                    is("--force") || !matches!(kind, Some(FileKind::Store | FileKind::Gguf))
                }
                Some(Some(_)) => is("--force"),
            };
            if !allowed || roles.len() != 1 {
                return Err(format!("{name} was destroyed by {:?}", self.arguments));
            }
        }
        Ok(())
    }
}
