//! A short campaign with a fresh seed over every reader that is a library. Those of the command: crates/cli/tests/fuzz.rs.

use std::process::Command;

#[test]
fn no_library_reader_is_harmed_by_hostile_inputs() {
    let libraries = hotset_fuzz::ALL.iter().filter(|entry| !entry.in_command).map(|entry| entry.name);
    let keep = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_hotset-fuzz"))
        .args(["--inputs", "200", "--jobs", "2", "--keep"])
        .arg(keep.path())
        .args(libraries)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        // What failed is worth more than a clean directory.
        let kept = keep.keep();
        panic!("inputs are in {}\n{text}{}", kept.display(), String::from_utf8_lossy(&output.stderr));
    }
    println!("{text}");
}

#[test]
fn a_seed_and_a_number_are_the_same_input_again_and_a_bad_target_is_named() {
    let run = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_hotset-fuzz")).args(args).output().unwrap();
    let table = |args: &[&str]| {
        let text = String::from_utf8(run(args).stdout).unwrap();
        text.lines().nth(2).unwrap().split_whitespace().take(5).map(str::to_owned).collect::<Vec<_>>()
    };
    let only = ["ledger", "--seed", "3", "--only", "5"];
    assert_eq!(table(&only), table(&only));
    let output = run(&["nothing"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing is no target"));
}
