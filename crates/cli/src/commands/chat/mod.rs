//! The chat on a terminal: commands as in Ollama, Ctrl-C ends the answer and not the chat.

mod editor;

use std::fmt::Write as _;

use anyhow::Result;
use hotset_engine::{Engine, Session};
use hotset_format::Checkpoint;
use hotset_text::{ChatMessage, ChatTemplate, Variables};
use rustyline::error::ReadlineError;

use self::editor::Editor;
use crate::answer::{answer, message};
use crate::commands::show;
use crate::output;
use crate::plan_text;
use crate::prompt;
use crate::run_report::closing_line;
use crate::sampling_args::SamplingArgs;
use crate::stop::{self, Stop};
use crate::stream::Stream;

const HELP: &str = "\
/?                            this list
/set parameter NAME VALUE     temperature, top_k, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty,
                              repeat_last_n, logit_bias, ignore_eos, stop (none: no more of them), seed, num_predict
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
    pub verbose: bool,
    pub vocab: usize,
    pub variables: Variables,
}

/// A chat in progress.
struct Chat<'a> {
    engine: &'a mut Engine,
    checkpoint: &'a Checkpoint,
    template: &'a ChatTemplate,
    settings: Settings,
    session: Session,
    messages: Vec<ChatMessage>,
    stop: &'static Stop,
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
) -> Result<()> {
    let session = engine.session()?;
    let stop = stop::gently();
    let mut chat = Chat { engine, checkpoint, template, settings, session, messages: Vec::new(), stop };
    chat.clear();
    let mut editor = Editor::start(stop)?;
    while stop.go_on() {
        let line = match editor.read() {
            Some(Ok(line)) => line,
            Some(Err(ReadlineError::Interrupted)) => {
                output::note("(/bye or Ctrl-D to leave)");
                continue;
            }
            Some(Err(ReadlineError::Eof)) => return Ok(()),
            Some(Err(error)) => return Err(error.into()),
            None => continue,
        };
        if line.trim().is_empty() {
            continue;
        }
        match chat.take(&line)? {
            Next::Continue => {}
            Next::Leave => return Ok(()),
        }
    }
    Ok(())
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
        let (sampling, context) = (&self.settings.sampling, self.session.context());
        let (mut sampler, seed) = sampling.sampler(self.engine.tokenizer(), self.settings.vocab, context)?;
        let mut stops = sampling.stops(self.engine.tokenizer())?;
        let text =
            self.template.render(&self.messages, true, &self.settings.variables, self.stop.cancel())?;
        let prompt = prompt::encode(self.engine.tokenizer(), &text, self.session.context())?;
        let mut stream = Stream::new(true);
        let generation = answer(
            self.engine,
            &mut self.session,
            &prompt,
            &mut sampler,
            (self.settings.max_tokens, &mut stops),
            self.stop.cancel(),
            &mut stream,
        )?;
        output::print_line("")?;
        if !self.settings.quiet {
            let seed = self.settings.verbose.then_some(seed);
            output::note(closing_line(&generation, self.engine.plan().total(), seed));
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
            "presence_penalty" => changed.presence_penalty = parse(name, value)?,
            "frequency_penalty" => changed.frequency_penalty = parse(name, value)?,
            "ignore_eos" => changed.ignore_eos = parse(name, value)?,
            "logit_bias" if value == "none" => changed.logit_bias.clear(),
            "logit_bias" => changed.logit_bias.push(parse(name, value)?),
            "stop" if value == "none" => changed.stop.clear(),
            "stop" => changed.stop.push(value.trim_matches('"').to_owned()),
            "repeat_last_n" => changed.repeat_last_n = parse(name, value)?,
            "seed" => changed.seed = parse(name, value)?,
            "num_predict" => {
                let n: i64 = parse(name, value)?;
                self.settings.max_tokens = usize::try_from(n).ok();
            }
            other => return Err(format!("`{other}` is not a parameter; /? lists them")),
        }
        let (tokenizer, context) = (self.engine.tokenizer(), self.session.context());
        let usable = changed
            .check()
            .and_then(|()| changed.stops(tokenizer))
            .and_then(|_| changed.sampler(tokenizer, self.settings.vocab, context));
        usable.map_err(|error| error.to_string())?;
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
            "memory" => output::print_line(plan_text::text(self.engine.plan())),
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
        let biases = s.logit_bias.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let stops = s.stop.iter().map(|stop| format!("{stop:?}")).collect::<Vec<_>>().join(" ");
        let or_none = |list: String| if list.is_empty() { "none".to_owned() } else { list };
        let rows: [(&str, &dyn std::fmt::Display); 13] = [
            ("temperature", &s.temp),
            ("top_k", &s.top_k),
            ("top_p", &s.top_p),
            ("min_p", &s.min_p),
            ("repeat_penalty", &s.repeat_penalty),
            ("presence_penalty", &s.presence_penalty),
            ("frequency_penalty", &s.frequency_penalty),
            ("repeat_last_n", &s.repeat_last_n),
            ("logit_bias", &or_none(biases)),
            ("ignore_eos", &s.ignore_eos),
            ("stop", &or_none(stops)),
            ("seed", &s.seed),
            ("num_predict", &limit),
        ];
        for (name, value) in rows {
            let _ = writeln!(text, "{name:<17} {value}");
        }
        text.trim_end().to_owned()
    }
}

fn parse<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("`{value}` is not a value for {name}"))
}
