//! Everything that is printed passes one place: `console.rs`.

use std::fs;
use std::path::{Path, PathBuf};

/// The sources of every crate of the program.
fn sources(under: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(under).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn nothing_prints_but_the_console() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    // The campaign is in no program.
    let in_program = |path: &PathBuf| !path.ends_with("fuzz");
    for path in fs::read_dir(crates).unwrap().map(|entry| entry.unwrap().path()).filter(in_program) {
        sources(&path.join("src"), &mut files);
    }
    assert!(files.len() > 150);
    let ways = [
        "print!(",
        "println!(",
        "eprint!(",
        "eprintln!(",
        "dbg!(",
        "stdout()",
        " stderr()",
        "io::stderr()",
        "Term::",
    ];
    // The bars of a library draw themselves; they show words of the program and numbers. Looking is not printing.
    let harmless = ["ProgressDrawTarget::stderr()", "fstat(", "rustix::stdio::stderr()"];
    let is_harmless =
        |line: &str| harmless.iter().any(|way| line.contains(way)) || line.trim().starts_with("//");
    for file in files.iter().filter(|file| !file.ends_with("console.rs")) {
        let text = fs::read_to_string(file).unwrap();
        // Tests print as they like.
        let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for line in program.lines().filter(|line| !is_harmless(line)) {
            let way = ways.iter().find(|way| line.contains(**way));
            assert!(way.is_none(), "{} prints past the console: {line}", file.display());
        }
    }
}
