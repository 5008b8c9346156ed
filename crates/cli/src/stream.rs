//! Where an answer goes while it is generated: a bar for the prompt, then text as it comes.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use hotset_engine::Listener;

use crate::console::Console;
use crate::output;

/// The text of an answer so far.
pub struct Stream {
    live: bool,
    text: String,
}

/// A stream while one answer is generated.
pub struct Listening<'a> {
    stream: &'a mut Stream,
    cancel: &'a AtomicBool,
    bar: Option<output::Bar>,
    failure: Option<io::Error>,
}

impl Stream {
    /// A live stream prints as text comes.
    pub fn new(live: bool) -> Self {
        Self { live, text: String::new() }
    }

    /// Shows text that is not part of the answer.
    pub fn echo(&self, text: &str) -> io::Result<()> {
        Console::Out.print(text)
    }

    /// The answer.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The answer.
    pub fn into_text(self) -> String {
        self.text
    }

    /// Ready for an answer. If standard output closes, `cancel` is set.
    pub fn listen<'a>(&'a mut self, cancel: &'a AtomicBool) -> Listening<'a> {
        Listening { stream: self, cancel, bar: None, failure: None }
    }
}

impl Listening<'_> {
    /// The first failure to print, if there was one.
    pub fn finish(self) -> io::Result<()> {
        self.failure.map_or(Ok(()), Err)
    }
}

impl Listener for Listening<'_> {
    fn prefill(&mut self, done: usize, total: usize) {
        // A prompt of one chunk is over before a bar could be read.
        if done < total && self.stream.live {
            let bar = self.bar.get_or_insert_with(|| output::count_bar("prompt", total as u64));
            bar.set_position(done as u64);
        } else if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn text(&mut self, piece: &str) {
        self.stream.text.push_str(piece);
        if !self.stream.live || piece.is_empty() {
            return;
        }
        if let Err(error) = self.stream.echo(piece) {
            self.failure.get_or_insert(error);
            self.cancel.store(true, Ordering::Relaxed);
        }
    }
}
