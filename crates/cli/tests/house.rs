//! The house is as ARCHITECTURE.md says: who sees whom, where `unsafe` is, which limits are tested.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The root of the clone.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path.as_ref())).unwrap_or_else(|e| panic!("{:?}: {e}", path.as_ref()))
}

/// All Rust files under these places, with their contents.
fn sources(places: &[PathBuf]) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut left = places.to_vec();
    while let Some(place) = left.pop() {
        if place.is_dir() {
            left.extend(fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()));
        } else if place.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&place).unwrap();
            found.insert(place, text);
        }
    }
    found
}

fn crates() -> BTreeSet<String> {
    let entries = fs::read_dir(root().join("crates")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The rows `| crate | owns | sees |` of ARCHITECTURE.md, in their order.
fn rows() -> Vec<(String, BTreeSet<String>)> {
    let text = read("ARCHITECTURE.md");
    let table = text.split_once("| crate | owns | sees |\n|---|---|---|\n").expect("the table of crates").1;
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let sees = cells[2].split(", ").filter(|name| *name != "-").map(str::to_owned).collect();
        (cells[0].to_owned(), sees)
    };
    table.lines().take_while(|line| line.starts_with('|')).map(row).collect()
}

/// Crates of ours that a manifest's `[dependencies]` name.
fn declared(name: &str) -> BTreeSet<String> {
    let manifest = read(format!("crates/{name}/Cargo.toml"));
    let (_, after) = manifest.split_once("[dependencies]\n").unwrap_or_default();
    let names = after.lines().take_while(|line| !line.starts_with('['));
    let ours = names.filter_map(|line| line.strip_prefix("hotset-"));
    ours.filter_map(|line| line.split(['.', ' ']).next()).map(str::to_owned).collect()
}

/// Crates of ours that a crate's sources name.
fn used(name: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for text in sources(&[root().join(format!("crates/{name}/src"))]).values() {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for piece in code.flat_map(|line| line.split("hotset_").skip(1)) {
            let (other, rest) = piece.split_at(piece.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(0));
            if rest.starts_with("::") && other != name {
                found.insert(other.to_owned());
            }
        }
    }
    found
}

#[test]
fn crates_see_whom_the_table_says_and_arrows_point_up_in_it() {
    let rows = rows();
    let listed: BTreeSet<String> = rows.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(listed, crates(), "ARCHITECTURE.md has a row for every crate");
    let mut above = BTreeSet::new();
    for (name, sees) in rows {
        assert!(sees.is_subset(&above), "{name} sees what stands below it: {sees:?}");
        assert_eq!(sees, declared(&name), "{name}: the table and its manifest");
        assert_eq!(sees, used(&name), "{name}: the table and its sources");
        above.insert(name);
    }
}

/// The compiler sees to it where the root forbids it.
#[test]
fn unsafe_is_where_the_invariants_say() {
    for name in crates() {
        let allowed = ["kernels", "io", "residency"].contains(&name.as_str());
        let lib = root().join(format!("crates/{name}/src/lib.rs"));
        let text = fs::read_to_string(&lib).unwrap_or_else(|_| read(format!("crates/{name}/src/main.rs")));
        assert_eq!(text.contains("#![forbid(unsafe_code)]"), !allowed, "{name}");
    }
}

/// Circles of files that were cut: whoever reads one of these need not know the others.
#[test]
fn circles_stay_cut() {
    let cut: [(&str, &[&str], &[&str]); 8] = [
        ("policy", &["contexts"], &["crate::route"]),
        ("policy", &["route"], &["crate::contexts"]),
        ("policy", &["record.rs", "families"], &["crate::contexts", "crate::route"]),
        ("format", &["file.rs"], &["directory", "gguf", "huggingface", "open::", "store::"]),
        ("format", &["gguf", "huggingface", "store", "directory.rs"], &["crate::open", "open::open"]),
        ("io", &["shared.rs"], &["crate::reader", "Reader", "pread", "uring"]),
        ("io", &["pread.rs", "uring.rs"], &["crate::reader", "Reader"]),
        ("cli", &["commands/chat", "answer.rs"], &["commands::run"]),
    ];
    for (name, places, hidden) in cut {
        let places: Vec<PathBuf> =
            places.iter().map(|place| root().join(format!("crates/{name}/src/{place}"))).collect();
        assert!(places.iter().all(|place| place.exists()), "{places:?}");
        for (path, text) in sources(&places) {
            let uses = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in uses {
                let known = hidden.iter().find(|word| line.contains(*word));
                assert!(known.is_none(), "{} knows {known:?}: {line}", path.display());
            }
        }
    }
}

/// A limit that no code names bounds nothing.
#[test]
fn every_limit_is_enforced_somewhere() {
    let limits = read("crates/base/src/limits.rs");
    let names = limits.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    let places: Vec<PathBuf> =
        crates().iter().map(|name| root().join(format!("crates/{name}/src"))).collect();
    let mut sources = sources(&places);
    sources.retain(|path, _| !path.ends_with("base/src/limits.rs"));
    for name in names {
        let named =
            |text: &String| text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|w| w == name);
        assert!(sources.values().any(named), "nobody enforces {name}");
    }
}

/// Libraries say what is wrong, the command what helps (`crates/cli/src/advice.rs`): another front has other
/// flags.
#[test]
fn no_text_of_a_library_names_a_flag_or_a_command() {
    let fronts = ["cli", "fuzz", "testkit"];
    for name in crates().into_iter().filter(|name| !fronts.contains(&name.as_str())) {
        for (path, text) in sources(&[root().join(format!("crates/{name}/src"))]) {
            let text = text.split("#[cfg(test)]").next().unwrap();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                let follows =
                    |(at, _): (usize, &str)| line[at + 2..].starts_with(|c: char| c.is_ascii_lowercase());
                let flag = line.match_indices("--").any(follows);
                let named = flag || line.contains("-c/") || line.contains("`hotset ");
                assert!(!named, "{}: {line}", path.display());
            }
        }
    }
}
