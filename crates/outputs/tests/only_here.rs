//! No other crate of the program opens a file to write, renames or removes one.

use std::fs;
use std::path::{Path, PathBuf};

/// What does so, in any spelling that the standard library and rustix have.
const WAYS: [&str; 14] = [
    "File::create",
    "OpenOptions",
    "File::options",
    "fs::write(",
    "fs::rename",
    "fs::copy",
    "fs::hard_link",
    "remove_file",
    "remove_dir_all",
    "create_dir_all",
    "set_len",
    "renameat",
    "unlink",
    "OFlags::CREATE",
];

/// Control groups are files of the kernel's, and direct reads are opened with a flag.
const ALLOWED: [&str; 2] = ["engine/src/machine/control_group.rs", "engine/src/machine/system.rs"];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn files_are_written_in_one_place() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir(crates).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        // Inputs are opened by options, to be read; the others are in no program.
        let exempt = ["outputs", "inputs", "testkit", "fuzz"].iter().any(|exempt| name == *exempt);
        if !exempt && entry.path().join("src").is_dir() {
            sources(&entry.path().join("src"), &mut found);
        }
    }
    assert!(found.len() > 200, "the sources were not found");
    for path in found {
        let name = path.strip_prefix(crates).unwrap().display().to_string();
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for way in WAYS {
            let line =
                code.lines().position(|line| line.contains(way) && !line.trim_start().starts_with("//"));
            assert!(
                line.is_none() || ALLOWED.contains(&name.as_str()),
                "{name}:{}: {way}",
                line.unwrap() + 1
            );
        }
    }
}
