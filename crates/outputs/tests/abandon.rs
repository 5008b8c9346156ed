//! A program that has to end at once leaves nothing unfinished. A test by itself: it ends every file of its
//! process.

use hotset_outputs::{FileKind, Force, Outputs, abandon};

#[test]
fn unfinished_files_are_removed_and_finished_ones_stay() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let claim = |name: &str| Outputs::new(Force::No).claim(FileKind::Trace, &at(name)).unwrap();
    claim("done").commit().unwrap();
    let (first, second) = (claim("first"), claim("second"));
    assert!(at("first.partial").exists() && at("second.partial").exists());
    abandon();
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["done"]);
    drop((first, second));
    assert!(
        Outputs::new(Force::No).claim(FileKind::Trace, &at("late")).is_err() && !at("late.partial").exists()
    );
}
