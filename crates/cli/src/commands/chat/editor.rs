//! Lines from a terminal, read by a thread of their own: a signal ends the chat while it waits for one.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use anyhow::{Context, Result};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use crate::stop::Stop;

/// See the module's text. Dropped, it leaves the terminal as it was.
pub struct Editor {
    asks: Sender<()>,
    heard: Receiver<Heard>,
    /// A line has been asked for and not been heard.
    waiting: bool,
    before: Option<Termios>,
}

enum Heard {
    Message(Result<String, ReadlineError>),
    Signal,
}

impl Editor {
    /// Starts the thread that waits for lines.
    pub fn start(stop: &'static Stop) -> Result<Self> {
        let before = tcgetattr(io::stdin()).ok();
        let mut editor = DefaultEditor::new()?;
        let (asks, asked) = mpsc::channel::<()>();
        let (tells, heard) = mpsc::channel();
        let signals = Sender::clone(&tells);
        // Whoever listened may have left.
        stop.tell(move || drop(signals.send(Heard::Signal)));
        let read = move || {
            while asked.recv().is_ok() && tells.send(Heard::Message(read_message(&mut editor))).is_ok() {}
        };
        let thread = thread::Builder::new().name("lines".to_owned()).spawn(read);
        thread.context("cannot start a thread that waits for lines")?;
        Ok(Self { asks, heard, waiting: false, before })
    }

    /// The next message, or `None` if a signal came first.
    pub fn read(&mut self) -> Option<Result<String, ReadlineError>> {
        if !self.waiting {
            self.asks.send(()).ok()?;
            self.waiting = true;
        }
        match self.heard.recv() {
            Ok(Heard::Message(message)) => {
                self.waiting = false;
                Some(message)
            }
            Ok(Heard::Signal) | Err(_) => None,
        }
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // A terminal that is gone needs nothing.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// One line, or several between `"""`.
fn read_message(editor: &mut DefaultEditor) -> Result<String, ReadlineError> {
    let line = editor.readline(">>> ")?;
    let Some(first) = line.trim_start().strip_prefix("\"\"\"") else {
        return Ok(remembered(editor, line));
    };
    if let Some(whole) = first.strip_suffix("\"\"\"") {
        return Ok(remembered(editor, whole.to_owned()));
    }
    let mut text = first.to_owned();
    loop {
        let line = editor.readline("... ")?;
        if !text.is_empty() {
            text.push('\n');
        }
        match line.trim_end().strip_suffix("\"\"\"") {
            Some(last) => {
                text.push_str(last);
                return Ok(remembered(editor, text));
            }
            None => text.push_str(&line),
        }
    }
}

fn remembered(editor: &mut DefaultEditor, message: String) -> String {
    if !message.trim().is_empty() {
        // History is a comfort: a message that is not in it was said all the same.
        let _ = editor.add_history_entry(message.trim_end());
    }
    message
}
