//! Killed at any moment while saving, a ledger is the one before or the one after.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hotset_base::SequenceId;
use hotset_ledger::{Snapshot, load, save};
use hotset_outputs::{FileKind, Force, Outputs, Target};
use hotset_policy::contexts::{Contexts, ContextsOptions, ContextsShape};

/// The one text that is followed.
const TEXT: SequenceId = SequenceId(0);

/// Tells the child's run of [`the_old_or_the_new_one_is_there`] where to write.
const TARGET: &str = "HOTSET_TEST_LEDGER";
const KILLS: u64 = 60;

/// Everything in the snapshot follows from its number.
fn numbered(n: u64) -> Snapshot {
    let shape = ContextsShape { layers: 8, experts: 64 };
    let mut ledger = Contexts::new(shape, ContextsOptions::default());
    ledger.advance(TEXT, ContextsOptions::default().context_window);
    let mut snapshot = Snapshot::of(&ledger, [n as u8; 32]);
    snapshot.tokens = n;
    snapshot.records.iter_mut().for_each(|record| record.mass = n as f32);
    snapshot
}

fn target(path: &Path) -> Arc<Target> {
    Outputs::new(Force::NotOffered).claim_repeated(FileKind::TrustLedger, path).unwrap()
}

fn save_for_ever(path: &Path) {
    let target = target(path);
    for n in 1.. {
        save(target.create().unwrap(), &numbered(n)).unwrap();
    }
}

#[test]
fn the_old_or_the_new_one_is_there() {
    if let Some(path) = std::env::var_os(TARGET) {
        return save_for_ever(Path::new(&path));
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    save(target(&path).create().unwrap(), &numbered(1)).unwrap();
    let mut last = 0;
    // On a busy machine a child takes longer until it saves: it is given more time until one has saved twice.
    for kill in 0.. {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_old_or_the_new_one_is_there", "--nocapture"])
            .env(TARGET, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(4_000 + 731 * kill));
        child.kill().unwrap();
        child.wait().unwrap();
        let found = load(&path).unwrap().unwrap();
        assert_eq!(found, numbered(found.tokens), "after kill {kill}");
        last = last.max(found.tokens);
        if kill >= KILLS && last > 1 {
            break;
        }
        assert!(kill < 20 * KILLS, "no child lived long enough to save twice");
    }
}
