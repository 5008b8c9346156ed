//! A ledger survives a round trip, and no damage to its file is believed or fatal.

use std::fs;
use std::path::{Path, PathBuf};

use hotset_base::limits::MAX_LEDGER_CONTEXTS;
use hotset_base::{Choice, Contribution, ExpertId, LayerId, SequenceId};
use hotset_ledger::{LedgerError, Snapshot, load};
use hotset_outputs::{FileKind, Force, Outputs};
use hotset_policy::Record;
use hotset_policy::contexts::{Context, Contexts, ContextsOptions, ContextsShape};
use proptest::prelude::*;

/// The one text that is followed.
const TEXT: SequenceId = SequenceId(0);

const SHAPE: ContextsShape = ContextsShape { layers: 2, experts: 8 };
const IDENTITY: [u8; 32] = [7; 32];

fn options() -> ContextsOptions {
    ContextsOptions { context_window: 8, contexts: 4, ..ContextsOptions::default() }
}

/// A ledger with two contexts.
fn learnt() -> Contexts {
    let mut ledger = Contexts::new(SHAPE, options());
    for token in 0..128u16 {
        for layer in [LayerId(0), LayerId(1)] {
            let expert = ExpertId(token / 64 * 4 + token % 4);
            ledger.observe(TEXT, layer, 0, &[Choice { expert, weight: 1.0 }]);
            ledger.contribute(
                TEXT,
                layer,
                &[Contribution { expert, weight: 1.0, share: 1.0 + f32::from(token) }],
            );
        }
        ledger.advance(TEXT, 1);
    }
    assert_eq!(ledger.known().len(), 2);
    ledger
}

fn save(path: &Path, snapshot: &Snapshot) -> Result<(), LedgerError> {
    let file = Outputs::new(Force::NotOffered).claim(FileKind::TrustLedger, path);
    hotset_ledger::save(file.unwrap(), snapshot)
}

fn written(dir: &Path) -> (PathBuf, Vec<u8>) {
    let path = dir.join("ledger");
    save(&path, &Snapshot::of(&learnt(), IDENTITY)).unwrap();
    let bytes = fs::read(&path).unwrap();
    (path, bytes)
}

#[test]
fn comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (path, bytes) = written(dir.path());
    let snapshot = load(&path).unwrap().unwrap();
    assert_eq!(snapshot, Snapshot::of(&learnt(), IDENTITY));
    assert_eq!(Snapshot::of(&snapshot.into_contexts(options()), IDENTITY).to_bytes(), bytes);
    assert!(load(&dir.path().join("absent")).unwrap().is_none());
}

#[test]
fn numbers_at_their_limits_go_on_and_what_is_learnt_from_them_is_a_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let mut snapshot = Snapshot::of(&learnt(), IDENTITY);
    snapshot.tokens = u64::MAX;
    for context in &mut snapshot.contexts {
        (context.tokens, context.last, context.windows) = (u64::MAX, u64::MAX, u32::MAX);
    }
    let most = Record::MAX;
    let largest = Record { mass: most, uses: most, seen: most, mean: most, variance: most * most };
    snapshot.records.fill(largest);
    save(&path, &snapshot).unwrap();
    let mut ledger = load(&path).unwrap().unwrap().into_contexts(options());
    for share in [0.0, f32::MAX, 1.0, f32::MAX] {
        for _ in 0..8 {
            let expert = ExpertId(1);
            ledger.observe(TEXT, LayerId(0), 0, &[Choice { expert, weight: 1.0 }]);
            ledger.contribute(TEXT, LayerId(0), &[Contribution { expert, weight: 1.0, share }]);
            ledger.advance(TEXT, 1);
        }
    }
    save(&path, &Snapshot::of(&ledger, IDENTITY)).unwrap();
    load(&path).unwrap().unwrap();
    for record in [Record { mean: 2.0 * most, ..largest }, Record { variance: 4.0 * most * most, ..largest }]
    {
        snapshot.records[3] = record;
        assert_eq!(snapshot.check(), Err("context 0, L0/E3: no possible record".to_owned()));
    }
}

#[test]
fn another_models_is_refused() {
    let snapshot = Snapshot::of(&learnt(), IDENTITY);
    let path = Path::new("x");
    snapshot.check_model(path, IDENTITY, SHAPE).unwrap();
    let error = snapshot.check_model(path, [8; 32], SHAPE).unwrap_err();
    assert!(error.to_string().contains("another model"), "{error}");
    let error = snapshot.check_model(path, IDENTITY, ContextsShape { experts: 9, ..SHAPE }).unwrap_err();
    assert!(error.to_string().contains("2 layers of 8 experts, this one has 2 of 9"), "{error}");
}

#[test]
fn every_truncation_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (path, bytes) = written(dir.path());
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        // What has not even the magic is anybody's.
        match load(&path) {
            Err(LedgerError::Damaged { .. }) => assert!(length >= 8, "{length} bytes"),
            Err(LedgerError::NotALedger(_)) => assert!(length < 8, "{length} bytes"),
            other => panic!("{length} bytes: {other:?}"),
        }
    }
    fs::write(&path, [&bytes[..], &[0]].concat()).unwrap();
    assert!(matches!(load(&path), Err(LedgerError::Damaged { .. })));
}

#[test]
fn every_flipped_bit_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (path, mut bytes) = written(dir.path());
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bytes).unwrap();
        assert!(load(&path).is_err(), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

/// A file with whole checksums may still say what cannot be.
#[test]
fn impossible_numbers_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let good = Snapshot::of(&learnt(), IDENTITY);
    for bad in [f32::NAN, f32::INFINITY, -1.0] {
        let mut snapshot = good.clone();
        snapshot.records[9].mass = bad;
        save(&path, &snapshot).unwrap();
        let error = load(&path).unwrap_err().to_string();
        assert!(error.contains("context 0, L1/E1"), "{error}");
        let mut snapshot = good.clone();
        snapshot.contexts[1].usual = bad;
        save(&path, &snapshot).unwrap();
        assert!(load(&path).is_err());
    }
}

#[test]
fn as_many_contexts_as_the_limit_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let with = |contexts: usize| Snapshot {
        contexts: vec![Context::default(); contexts],
        records: vec![Record::default(); contexts * SHAPE.all()],
        ..Snapshot::of(&learnt(), IDENTITY)
    };
    save(&path, &with(MAX_LEDGER_CONTEXTS)).unwrap();
    assert_eq!(load(&path).unwrap().unwrap().contexts.len(), MAX_LEDGER_CONTEXTS);
    save(&path, &with(MAX_LEDGER_CONTEXTS + 1)).unwrap();
    assert!(load(&path).unwrap_err().to_string().contains("33 contexts; 0 to 32 are possible"));
}

proptest! {
    /// Any bytes at all, and any behind a true beginning: an error, never a panic.
    #[test]
    fn arbitrary_files_are_errors(
        bytes in proptest::collection::vec(any::<u8>(), 0..512),
        kept in 0usize..128,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (path, good) = written(dir.path());
        fs::write(&path, &bytes).unwrap();
        prop_assert!(load(&path).is_err());
        fs::write(&path, [&good[..kept], &bytes].concat()).unwrap();
        prop_assert!(load(&path).is_err());
    }
}
