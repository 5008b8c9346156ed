//! Routing traces in CSV.

use std::fs;
use std::io;
use std::path::Path;

use hotset_outputs::FileKind;
use hotset_testkit::{Random, claim};
use hotset_trace::{TraceSource, export_csv};

use super::trace;
use crate::mutate::{bytes, once_in, pick, text};
use crate::target::{Outcome, Target, Workshop};

const NAME: &str = "t.csv";
const WORDS: [&str; 14] = [
    ",",
    "\n",
    "\r\n",
    "#",
    "# layer=0 expert_bytes=7\n",
    "# layer=511 expert_bytes=0\n",
    " n_layer=512",
    " n_expert=1024",
    " n_expert_used=64",
    "4294967295",
    "-0",
    "1e-40",
    "nan",
    "0,1,28,0,0,49,0.221297,1,3059712\n",
];

struct Csv {
    sound: String,
}

pub fn make(workshop: &Workshop) -> io::Result<Box<dyn Target>> {
    let (from, to) = (workshop.sound.join("t.trace"), workshop.sound.join(NAME));
    trace::sound(&from, false)?;
    let mut source = TraceSource::open(&from).map_err(io::Error::other)?;
    export_csv(&mut source, claim(FileKind::RoutingCsv, &to)).map_err(io::Error::other)?;
    Ok(Box::new(Csv { sound: fs::read_to_string(&to)? }))
}

impl Target for Csv {
    fn prepare(&mut self, random: &mut Random, place: &Path) -> io::Result<()> {
        let mut file = match random.below(3) {
            0 => text::mutate(random, &self.sound, &WORDS),
            1 => changed_cell(random, &self.sound),
            _ => changed_lines(random, &self.sound),
        }
        .into_bytes();
        if once_in(random, 10) {
            bytes::mutate(random, &mut file, &[]);
        }
        fs::write(place.join(NAME), file)
    }

    fn run(&mut self, place: &Path) -> Result<Outcome, String> {
        Ok(Outcome::here(trace::read(&place.join(NAME), place)))
    }
}

/// A cell or a setting of the head gets another value.
fn changed_cell(random: &mut Random, csv: &str) -> String {
    let mut lines: Vec<String> = csv.lines().map(str::to_owned).collect();
    for _ in 0..1 + random.below(3) {
        let at = if once_in(random, 2) { random.below(5) } else { random.below(lines.len()) };
        let cells: Vec<&str> = lines[at].split_inclusive([',', '=', ' ']).collect();
        let cell = random.below(cells.len());
        let other = text::mutate(random, cells[cell], &WORDS);
        lines[at] =
            [&cells[..cell].concat(), &other, &cells[cell + 1..].concat()].map(String::as_str).concat();
    }
    lines.join("\n")
}

/// Lines go, come twice, change places, or become many.
fn changed_lines(random: &mut Random, csv: &str) -> String {
    let mut lines: Vec<&str> = csv.split_inclusive('\n').collect();
    for _ in 0..1 + random.below(6) {
        let (at, to) = (random.below(lines.len()), random.below(lines.len()));
        match random.below(5) {
            0 if lines.len() > 1 => drop(lines.remove(at)),
            1 => lines.insert(to, lines[at]),
            2 => lines.swap(at, to),
            3 if once_in(random, 8) => {
                let (line, times) = (lines[at], 1 << random.below(12));
                lines.splice(to..to, std::iter::repeat_n(line, times));
            }
            _ => lines.insert(to, *pick(random, &WORDS)),
        }
    }
    lines.concat()
}
