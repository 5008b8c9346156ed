//! The chat on a terminal: commands as in Ollama, Ctrl-C ends the answer and not the chat.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use hotset_engine::{Engine, Session};
use hotset_format::Checkpoint;
use hotset_text::{ChatMessage, ChatTemplate, Sampler};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use crate::commands::run::{answer, message};
use crate::commands::show;
use crate::figures::closing_line;
use crate::output;
use crate::sampling_args::SamplingArgs;
use crate::stream::Stream;

const HELP: &str = "\
/?                            this list
/set parameter NAME VALUE     temperature, top_k, top_p, min_p, repeat_penalty, repeat_last_n, seed, num_predict
/set system TEXT              system message, from the next /clear on
/show                         the model;  /show parameters, /show system, /show template, /show memory
/clear                        forget the conversation
/bye                          leave (also Ctrl-D)
\"\"\"                           begins and ends a message of several lines";

/// What a chat starts with and `/set` changes.
pub struct Settings {
    pub sampling: SamplingArgs,
    pub max_tokens: Option<usize>,
    pub system: Option<String>,
    pub quiet: bool,
    pub vocab: usize,
}

/// A chat in progress.
struct Chat<'a> {
    engine: &'a mut Engine,
    checkpoint: &'a Checkpoint,
    template: &'a ChatTemplate,
    settings: Settings,
    session: Session,
    messages: Vec<ChatMessage>,
    cancel: &'a AtomicBool,
}

/// What a line of input asks for.
enum Next {
    Continue,
    Leave,
}

/// Talks until the user leaves.
pub fn converse(
    engine: &mut Engine,
    checkpoint: &Checkpoint,
    template: &ChatTemplate,
    settings: Settings,
    cancel: &AtomicBool,
) -> Result<()> {
    let session = engine.session()?;
    let mut chat = Chat { engine, checkpoint, template, settings, session, messages: Vec::new(), cancel };
    chat.clear();
    let mut editor = DefaultEditor::new()?;
    loop {
        let line = match read_message(&mut editor) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => {
                output::note("(/bye or Ctrl-D to leave)");
                continue;
            }
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if line.trim().is_empty() {
            continue;
        }
        let _ = editor.add_history_entry(line.trim_end());
        match chat.take(&line)? {
            Next::Continue => {}
            Next::Leave => return Ok(()),
        }
    }
}

/// One line, or several between `"""`.
fn read_message(editor: &mut DefaultEditor) -> Result<String, ReadlineError> {
    let line = editor.readline(">>> ")?;
    let Some(first) = line.trim_start().strip_prefix("\"\"\"") else { return Ok(line) };
    if let Some(whole) = first.strip_suffix("\"\"\"") {
        return Ok(whole.to_owned());
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
                return Ok(text);
            }
            None => text.push_str(&line),
        }
    }
}

impl Chat<'_> {
    fn take(&mut self, line: &str) -> Result<Next> {
        let Some(command) = line.trim().strip_prefix('/') else {
            // A failed answer ends the answer, not the chat.
            if let Err(error) = self.answer(line) {
                output::complain(&error);
            }
            return Ok(Next::Continue);
        };
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        match name {
            "bye" | "exit" | "quit" => return Ok(Next::Leave),
            "?" | "help" => output::print_line(HELP)?,
            "clear" => self.clear(),
            "set" => self.set(rest.trim()),
            "show" => self.show(rest.trim())?,
            other => output::note(format_args!("/{other} is not a command; /? lists them")),
        }
        Ok(Next::Continue)
    }

    fn clear(&mut self) {
        self.session.clear();
        self.messages.clear();
        self.messages.extend(self.settings.system.iter().map(|text| message("system", text)));
    }

    fn answer(&mut self, text: &str) -> Result<()> {
        self.messages.push(message("user", text));
        let result = self.generate();
        match &result {
            Ok(answer) => self.messages.push(message("assistant", answer)),
            Err(_) => {
                self.messages.pop();
            }
        }
        result.map(|_| ())
    }

    fn generate(&mut self) -> Result<String> {
        let mut sampler = Sampler::new(self.settings.sampling.checked()?, self.settings.vocab)?;
        let text = self.template.render(&self.messages, true, &serde_json::Map::new())?;
        let prompt = self.engine.tokenizer().encode(&text, true)?;
        let mut stream = Stream::new(true);
        self.cancel.store(false, Ordering::Relaxed);
        let generation = answer(
            self.engine,
            &mut self.session,
            &prompt,
            &mut sampler,
            self.settings.max_tokens,
            self.cancel,
            &mut stream,
        )?;
        self.cancel.store(false, Ordering::Relaxed);
        output::print_line("")?;
        if !self.settings.quiet {
            output::note(closing_line(&generation, self.engine.plan().total()));
        }
        Ok(stream.into_text())
    }

    fn set(&mut self, rest: &str) {
        let result = match rest.split_once(char::is_whitespace) {
            Some(("system", text)) => {
                self.settings.system = Some(text.trim().trim_matches('"').to_owned());
                Ok(())
            }
            Some(("parameter", assignment)) => self.set_parameter(assignment.trim()),
            _ => Err("write /set parameter NAME VALUE or /set system TEXT".to_owned()),
        };
        if let Err(problem) = result {
            output::note(problem);
        }
    }

    fn set_parameter(&mut self, assignment: &str) -> Result<(), String> {
        let (name, value) = assignment
            .split_once(char::is_whitespace)
            .ok_or_else(|| "write /set parameter NAME VALUE; /? lists the names".to_owned())?;
        let value = value.trim();
        let mut changed = self.settings.sampling.clone();
        match name {
            "temperature" | "temp" => changed.temp = parse(name, value)?,
            "top_k" => changed.top_k = parse(name, value)?,
            "top_p" => changed.top_p = parse(name, value)?,
            "min_p" => changed.min_p = parse(name, value)?,
            "repeat_penalty" => changed.repeat_penalty = parse(name, value)?,
            "repeat_last_n" => changed.repeat_last_n = parse(name, value)?,
            "seed" => changed.seed = parse(name, value)?,
            "num_predict" => {
                let n: i64 = parse(name, value)?;
                self.settings.max_tokens = usize::try_from(n).ok();
            }
            other => return Err(format!("`{other}` is not a parameter; /? lists them")),
        }
        changed.checked().map_err(|error| error.to_string())?;
        self.settings.sampling = changed;
        Ok(())
    }

    fn show(&self, what: &str) -> Result<()> {
        match what {
            "" | "info" => output::print_line(show::describe(self.checkpoint)),
            "parameters" => output::print_line(self.parameters()),
            "system" => output::print_line(self.settings.system.as_deref().unwrap_or("(none)")),
            "template" => output::print_line(
                self.checkpoint.chat_template.as_deref().unwrap_or("(none of its own: ChatML)"),
            ),
            "memory" => output::print_line(self.engine.plan()),
            other => {
                output::note(format_args!("/show {other} is not known; /? lists what is"));
                Ok(())
            }
        }
    }

    fn parameters(&self) -> String {
        let s = &self.settings.sampling;
        let mut text = String::new();
        let limit = self.settings.max_tokens.map_or_else(|| "-1".to_owned(), |n| n.to_string());
        let rows: [(&str, &dyn std::fmt::Display); 8] = [
            ("temperature", &s.temp),
            ("top_k", &s.top_k),
            ("top_p", &s.top_p),
            ("min_p", &s.min_p),
            ("repeat_penalty", &s.repeat_penalty),
            ("repeat_last_n", &s.repeat_last_n),
            ("seed", &s.seed),
            ("num_predict", &limit),
        ];
        for (name, value) in rows {
            let _ = writeln!(text, "{name:<16} {value}");
        }
        text.trim_end().to_owned()
    }
}

fn parse<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("`{value}` is not a value for {name}"))
}
