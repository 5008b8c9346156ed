//! What contexts cost per token: 48 layers of 128 experts, 8 of them used, all contexts taken.
//! `cargo bench -p hotset-policy --bench contexts`.

use std::time::Instant;

use hotset_base::{Choice, Contribution, ExpertId, LayerId, SequenceId};
use hotset_policy::contexts::{Contexts, ContextsOptions, ContextsShape};

/// The one text that is followed.
const TEXT: SequenceId = SequenceId(0);

const SHAPE: ContextsShape = ContextsShape { layers: 48, experts: 128 };
const TOKENS: usize = 32 * 64;

fn main() {
    let options = ContextsOptions::default();
    let mut contexts = Contexts::new(SHAPE, options);
    for domain in 0..options.contexts {
        read(&mut contexts, domain, 32 * 8);
    }
    let start = Instant::now();
    read(&mut contexts, 0, TOKENS);
    let mean = start.elapsed().as_secs_f64() * 1e6 / TOKENS as f64;
    println!("{mean:.1} us per token on average, {} contexts", contexts.known().len());
    let worst = (0..64).map(|_| {
        read(&mut contexts, 0, options.context_window as usize - 1);
        let start = Instant::now();
        read(&mut contexts, 0, 1);
        start.elapsed()
    });
    println!("{:.1} us for the worst token that ends a window", worst.max().unwrap().as_secs_f64() * 1e6);
}

fn read(contexts: &mut Contexts, domain: usize, tokens: usize) {
    for token in 0..tokens {
        for layer in 0..SHAPE.layers {
            let expert =
                |rank: usize| ExpertId(((domain * 8 + rank * (1 + token % 2)) % SHAPE.experts) as u16);
            let native: [Choice; 8] = std::array::from_fn(|r| Choice { expert: expert(r), weight: 0.125 });
            let used = native.map(|c| Contribution { expert: c.expert, weight: c.weight, share: 0.1 });
            contexts.observe(TEXT, LayerId(layer as u16), 0, &native);
            contexts.contribute(TEXT, LayerId(layer as u16), &used);
        }
        contexts.advance(TEXT, 1);
    }
}
