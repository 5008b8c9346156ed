//! A short fuzz campaign with a fresh seed over what the command reads itself, and over command lines. The rest:
//! crates/fuzz.

use std::path::PathBuf;

use hotset_fuzz::worker::{Task, work};
use hotset_testkit::Random;

const INPUTS: u64 = 60;

#[test]
fn no_reader_of_the_command_is_harmed_by_hostile_inputs() {
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    for entry in hotset_fuzz::ALL.iter().filter(|entry| entry.in_command) {
        let dir = tempfile::tempdir().unwrap();
        let hotset = PathBuf::from(env!("CARGO_BIN_EXE_hotset"));
        let task = Task { seed, numbers: 0..INPUTS, dir: dir.path().to_owned(), hotset };
        let mut tried = 0;
        work(entry, &task, &mut |said| {
            tried += 1;
            assert_eq!(said.failure, None, "hotset-fuzz {} --seed {seed} --only {}", entry.name, said.number);
            Ok(())
        })
        .unwrap();
        assert_eq!(tried, INPUTS, "{}", entry.name);
    }
}
