//! An answer of the model: what `run` and a conversation ask for alike.

use std::sync::atomic::AtomicBool;

use anyhow::Result;
use hotset_engine::{Engine, Generation, Session};
use hotset_text::{ChatMessage, Sampler, StopStrings};

use crate::stream::Stream;

/// One message of a conversation.
pub fn message(role: &str, content: &str) -> ChatMessage {
    ChatMessage { role: role.to_owned(), content: content.to_owned() }
}

/// Generates an answer into the stream. A closed standard output cancels it.
pub fn answer(
    engine: &mut Engine,
    session: &mut Session,
    prompt: &[u32],
    sampler: &mut Sampler,
    until: (Option<usize>, &mut StopStrings),
    cancel: &AtomicBool,
    stream: &mut Stream,
) -> Result<Generation> {
    let mut listener = stream.listen(cancel);
    let generation = engine.generate_until(session, prompt, sampler, until, cancel, &mut listener)?;
    listener.finish()?;
    Ok(generation)
}
