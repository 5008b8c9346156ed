//! Files that the command itself reads: router settings, ledgers in JSON, locality curves.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hotset_base::WeightType;
use hotset_testkit::Random;
use serde_json::{Value, json};

use super::{ledger, model, process, trace};
use crate::mutate::{bytes, json as change, once_in, text};
use crate::target::{Outcome, Target, Workshop};

const NAME: &str = "input";

/// The sound file: JSON, or lines of numbers.
enum Sound {
    Json(Vec<Value>),
    Lines(&'static str),
}

struct CommandFile {
    sound: Sound,
    hotset: PathBuf,
    /// The command's words; `INPUT` stands for the input's path.
    words: Vec<String>,
}

fn boxed(workshop: &Workshop, sound: Sound, words: &[&str]) -> io::Result<Box<dyn Target>> {
    let words = words.iter().map(|&word| word.to_owned()).collect();
    Ok(Box::new(CommandFile { sound, hotset: workshop.hotset.clone(), words }))
}

fn text_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// `replay --router-config`, on a trace with scores.
pub fn router(workshop: &Workshop) -> io::Result<Box<dyn Target>> {
    let path = workshop.sound.join("t.trace");
    trace::sound(&path, true)?;
    let sound = vec![
        json!({"router": "drop", "drop-factor": 0.7}),
        json!({"router": "cache-prior", "lambda": 0.5, "sacred": 1, "window": 8}),
        json!({"router": "strict", "hot": 3, "refresh": 16, "horizon": 8, "family-share": 0.0}),
        json!({"router": "trust", "tolerance": 0.05, "mismatch": 0.1, "caution": 1.0, "sacred": 1, "window": 8, "admission": 1.0,
            "cost": 0.5, "swap-budget": 4096, "swap-window": 64, "explore": 2, "explore-window": 64, "horizon": 256}),
    ];
    let trace = text_of(&path);
    boxed(
        workshop,
        Sound::Json(sound),
        &[
            "replay",
            &trace,
            "--experts-per-layer",
            "4",
            "--policy",
            "lru",
            "--json",
            "--router-config",
            "INPUT",
        ],
    )
}

/// `trust import`.
pub fn trust(workshop: &Workshop) -> io::Result<Box<dyn Target>> {
    let (path, exported) = (workshop.sound.join("l.ledger"), workshop.sound.join("l.json"));
    fs::write(&path, ledger::sound())?;
    let mut command = process::hotset(&workshop.hotset, &workshop.sound);
    command.args(["trust", "export", "l.ledger", "l.json", "--force"]);
    process::run(command, &workshop.sound).map_err(io::Error::other)?;
    let sound = serde_json::from_slice(&fs::read(exported)?)?;
    boxed(workshop, Sound::Json(vec![sound]), &["trust", "import", "INPUT", "made.ledger"])
}

/// `plan --locality`.
pub fn locality(workshop: &Workshop) -> io::Result<Box<dyn Target>> {
    let path = workshop.sound.join("m.gguf");
    model::tiny().write_gguf(&path, &|_| WeightType::Q8_0, 1)?;
    let sound = "fraction,hit_rate\n# measured\n0.125,0.53\n0.25, 0.74\n\n0.5,0.9\n1,1\n";
    let model = text_of(&path);
    let words = [
        "plan",
        &model,
        "--memory",
        "64MiB",
        "--disk-gbps",
        "1",
        "--memory-gbps",
        "9",
        "--compute-ms",
        "1",
        "--json",
        "--locality",
        "INPUT",
    ];
    boxed(workshop, Sound::Lines(sound), &words)
}

impl Target for CommandFile {
    fn prepare(&mut self, random: &mut Random, place: &Path) -> io::Result<()> {
        let file = match &self.sound {
            Sound::Json(values) => {
                let mut value = values[random.below(values.len())].clone();
                change::mutate(random, &mut value);
                change::to_text(random, &value)
            }
            Sound::Lines(lines) => {
                let words = [",", "\n", "\r\n", "#", "fraction", "nan", "-0", "1e-400", "0.5,0.9\n", "inf"];
                let mut file = text::mutate(random, lines, &words).into_bytes();
                if once_in(random, 10) {
                    bytes::mutate(random, &mut file, &[]);
                }
                file
            }
        };
        fs::write(place.join(NAME), file)
    }

    fn run(&mut self, place: &Path) -> Result<Outcome, String> {
        let mut command = process::hotset(&self.hotset, place);
        command.args(self.words.iter().map(|word| if word == "INPUT" { NAME } else { word }));
        Ok(process::run(command, place)?.0)
    }
}
