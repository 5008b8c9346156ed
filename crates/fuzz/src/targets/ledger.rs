//! Trust ledgers: loaded, and learnt on from.

use std::fs;
use std::io;
use std::path::Path;

use hotset_base::{Choice, Contribution, ExpertId, LayerId, SequenceId};
use hotset_ledger::{Snapshot, load};
use hotset_policy::contexts::{ContextId, Contexts, ContextsOptions, ContextsShape};
use hotset_testkit::Random;

use crate::formats::ledger;
use crate::mutate::{bytes, once_in};
use crate::target::{Outcome, Target, Workshop};

/// The one text that is followed.
const TEXT: SequenceId = SequenceId(0);

const NAME: &str = "l.ledger";
const SHAPE: ContextsShape = ContextsShape { layers: 2, experts: 8 };

struct LedgerFile {
    sound: Vec<u8>,
}

pub fn make(_: &Workshop) -> io::Result<Box<dyn Target>> {
    Ok(Box::new(LedgerFile { sound: sound() }))
}

fn options() -> ContextsOptions {
    ContextsOptions { context_window: 8, contexts: 4, ..ContextsOptions::default() }
}

/// Bytes of a ledger with two contexts.
pub fn sound() -> Vec<u8> {
    let mut contexts = Contexts::new(SHAPE, options());
    learn(&mut contexts, SHAPE, 128);
    Snapshot::of(&contexts, [7; 32]).to_bytes()
}

fn learn(contexts: &mut Contexts, shape: ContextsShape, tokens: u16) {
    for token in 0..tokens {
        for layer in 0..shape.layers as u16 {
            let expert = ExpertId((token / 64 * 4 + token % 4) % shape.experts as u16);
            contexts.observe(TEXT, LayerId(layer), 0, &[Choice { expert, weight: 1.0 }]);
            let contribution = Contribution { expert, weight: 1.0, share: 1.0 + f32::from(token) };
            contexts.contribute(TEXT, LayerId(layer), &[contribution]);
        }
        contexts.advance(TEXT, 1);
    }
}

impl Target for LedgerFile {
    fn prepare(&mut self, random: &mut Random, place: &Path) -> io::Result<()> {
        let mut file = self.sound.clone();
        match once_in(random, 2) {
            true => bytes::mutate_in_place(random, &mut file, &ledger::fields()),
            false => bytes::mutate(random, &mut file, &ledger::fields()),
        }
        if once_in(random, 2) {
            ledger::reseal(&mut file);
        }
        fs::write(place.join(NAME), file)
    }

    fn run(&mut self, place: &Path) -> Result<Outcome, String> {
        match load(&place.join(NAME)) {
            Ok(snapshot) => go_on(snapshot.ok_or("there is no such file")?).map(|()| Outcome::here(Ok(()))),
            Err(error) => Ok(Outcome::here::<()>(Err(error.to_string()))),
        }
    }
}

/// As a run does: the ledger goes on from the file, learns, tells its hot sets and is saved again. What is then saved
/// must be a ledger, too.
fn go_on(snapshot: Snapshot) -> Result<(), String> {
    let shape = snapshot.shape;
    let mut contexts = snapshot.into_contexts(options());
    contexts.begin(TEXT);
    learn(&mut contexts, shape, 24);
    let mut hot = Vec::new();
    (0..contexts.known().len()).for_each(|i| contexts.hot_set(ContextId(i as u16), &mut hot));
    Snapshot::of(&contexts, [7; 32])
        .check()
        .map_err(|error| format!("what is learnt from it is no ledger: {error}"))
}
