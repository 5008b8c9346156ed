//! `hotset run`: one answer, or a chat.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use clap::Args;
use hotset_base::limits::{MAX_PROMPT, MAX_TEMPLATE};
use hotset_engine::{Engine, Generation, Session};
use hotset_text::{ChatMessage, ChatTemplate, Sampler};

use crate::console::Console;
use crate::engine_args::EngineArgs;
use crate::figures::{RunReport, closing_line};
use crate::output::Usage;
use crate::sampling_args::SamplingArgs;
use crate::stream::Stream;
use crate::trace_args::TraceArgs;
use crate::{commands::chat, input, model_args, output};

/// Answer a prompt, or chat when there is none
///
/// The prompt is continued as it stands; --chat wraps it in the model's chat template. Without a
/// prompt, standard input is the prompt, or, on a terminal, a chat begins (/? lists its commands).
#[derive(Args)]
#[command(after_help = "EXAMPLES:
    hotset run \"Once upon a time\" -n 64
    hotset run model.gguf \"Hello\" --chat --memory 8GiB
    echo \"fn main() {\" | hotset run --temp 0
    hotset run                                  chat with the model that ships")]
pub struct RunArgs {
    /// [MODEL] [PROMPT]: a GGUF file, a Hugging Face directory or a packed store, then the text to
    /// continue. A single one is the model if it exists as a file, else the prompt
    #[arg(value_name = "MODEL or PROMPT", num_args = 0..=2)]
    positional: Vec<String>,

    /// The model [default: the one that ships]
    #[arg(short = 'm', long, env = "HOTSET_MODEL", value_name = "PATH")]
    model: Option<PathBuf>,

    /// The prompt
    #[arg(short = 'p', long, value_name = "TEXT")]
    prompt: Option<String>,

    /// Read the prompt from a file
    #[arg(short = 'f', long, value_name = "PATH", conflicts_with = "prompt")]
    file: Option<PathBuf>,

    /// Wrap the prompt in the model's chat template
    #[arg(long)]
    chat: bool,

    /// System message (with --chat or in a chat) (-sys)
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,

    /// Use this Jinja file in place of the model's chat template
    #[arg(long, value_name = "PATH")]
    chat_template_file: Option<PathBuf>,

    /// Tokens to generate at most; -1 until the model ends or the context is full
    #[arg(short = 'n', long = "predict", visible_alias = "n-predict", value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
    predict: i64,

    /// One JSON object with text and figures on standard output, nothing else there
    #[arg(long)]
    json: bool,

    /// No plan and no closing line
    #[arg(short = 'q', long)]
    quiet: bool,

    #[command(flatten)]
    sampling: SamplingArgs,

    #[command(flatten)]
    engine: EngineArgs,

    #[command(flatten)]
    trace: TraceArgs,
}

pub fn run(args: &RunArgs) -> Result<()> {
    let (model, prompt) = args.model_and_prompt()?;
    let sampling = args.sampling.checked()?;
    let max_tokens = args.max_tokens()?;
    let (_, checkpoint) = model_args::open(model.as_deref())?;
    let template = args.template(checkpoint.chat_template.as_deref())?;
    let options = args.engine.options()?;
    let mut engine = args.engine.open(&checkpoint, options, args.quiet || args.json)?;
    args.trace.begin(&mut engine)?;
    let vocab = checkpoint.config.vocab;
    let cancel = watch_interrupts()?;
    let Some(prompt) = prompt else {
        let settings = chat::Settings {
            sampling: args.sampling.clone(),
            max_tokens,
            system: args.system.clone(),
            quiet: args.quiet,
            vocab,
        };
        chat::converse(&mut engine, &checkpoint, &template, settings, &cancel)?;
        return args.close(&mut engine, args.quiet);
    };
    let tokens = args.encode(&engine, &template, prompt)?;
    let mut session = engine.session()?;
    let mut sampler = Sampler::new(sampling, vocab)?;
    let mut stream = Stream::new(!args.json);
    if !args.json && !args.chat_mode() && Console::Out.is_terminal() {
        // On a terminal the answer reads as the prompt's continuation.
        stream.echo(&engine.tokenizer().decode(&tokens, true))?;
    }
    let generation =
        answer(&mut engine, &mut session, &tokens, &mut sampler, max_tokens, &cancel, &mut stream)?;
    args.report(&engine, &generation, &stream)?;
    args.close(&mut engine, args.quiet || args.json)
}

impl RunArgs {
    /// Sorts the positional arguments out and reads the prompt from wherever it comes.
    fn model_and_prompt(&self) -> Result<(Option<PathBuf>, Option<String>)> {
        let (mut model, mut prompt) = (self.model.clone(), self.prompt.clone());
        let mut words = self.positional.iter();
        if model.is_none()
            && (self.positional.len() == 2 || self.positional.first().is_some_and(names_a_model))
        {
            model = words.next().map(PathBuf::from);
        }
        if let Some(word) = words.next() {
            if prompt.is_some() || self.file.is_some() {
                return Err(Usage(format!("two prompts: `{word}` and -p or -f")).into());
            }
            prompt = Some(word.clone());
        }
        if let Some(word) = words.next() {
            return Err(Usage(format!(
                "`{word}` is one argument too many: model and prompt are named already"
            ))
            .into());
        }
        if let Some(path) = &self.file {
            prompt = Some(as_prompt(input::text(path, MAX_PROMPT)?));
        }
        if prompt.is_none() && !io::stdin().is_terminal() {
            let text = hotset_inputs::read_from(io::stdin(), MAX_PROMPT).and_then(hotset_inputs::text);
            prompt = Some(as_prompt(text.map_err(|error| Usage(format!("standard input: {error}")))?));
        }
        if prompt.as_deref() == Some("") && !self.chat_mode() {
            return Err(Usage("the prompt is empty: give some text to start from".to_owned()).into());
        }
        Ok((model, prompt))
    }

    fn max_tokens(&self) -> Result<Option<usize>> {
        match self.predict {
            -1 => Ok(None),
            n => usize::try_from(n)
                .map(Some)
                .map_err(|_| Usage(format!("-n {n} is out of range: -1 for no limit, or 0 and up")).into()),
        }
    }

    fn chat_mode(&self) -> bool {
        self.chat || self.system.is_some()
    }

    fn template(&self, own: Option<&str>) -> Result<ChatTemplate> {
        let Some(path) = &self.chat_template_file else { return Ok(ChatTemplate::new(own)?) };
        let source = input::text(path, MAX_TEMPLATE)?;
        Ok(ChatTemplate::new(Some(&source))?)
    }

    fn encode(&self, engine: &Engine, template: &ChatTemplate, prompt: String) -> Result<Vec<u32>> {
        if !self.chat_mode() {
            return Ok(engine.tokenizer().encode(&prompt, true)?);
        }
        let system = self.system.iter().map(|text| message("system", text));
        let messages: Vec<ChatMessage> = system.chain([message("user", &prompt)]).collect();
        let text = template.render(&messages, true, &serde_json::Map::new())?;
        Ok(engine.tokenizer().encode(&text, true)?)
    }

    /// Ends what is written beside the answer.
    fn close(&self, engine: &mut Engine, quiet: bool) -> Result<()> {
        self.trace.end(engine, quiet)?;
        self.engine.ledger.save(engine, quiet)
    }

    fn report(&self, engine: &Engine, generation: &Generation, stream: &Stream) -> Result<()> {
        let planned = engine.plan().total();
        if self.json {
            return output::print_json(&RunReport::new(stream.text(), generation, planned));
        }
        output::print_line("")?;
        if !self.quiet {
            output::note(closing_line(generation, planned));
        }
        Ok(())
    }
}

/// A positional argument is a model if it is there, or looks like a path to one.
fn names_a_model(word: &String) -> bool {
    let path = Path::new(word);
    path.exists() || word.ends_with(".gguf") || word.ends_with(".hotset")
}

/// One message of a conversation.
pub fn message(role: &str, content: &str) -> ChatMessage {
    ChatMessage { role: role.to_owned(), content: content.to_owned() }
}

/// The newline that `echo` appends is not part of the prompt.
fn as_prompt(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
    }
    text
}

/// Generates an answer into the stream. A closed standard output cancels it.
pub fn answer(
    engine: &mut Engine,
    session: &mut Session,
    prompt: &[u32],
    sampler: &mut Sampler,
    max_tokens: Option<usize>,
    cancel: &AtomicBool,
    stream: &mut Stream,
) -> Result<Generation> {
    let mut listener = stream.listen(cancel);
    let generation = engine.generate(session, prompt, sampler, max_tokens, cancel, &mut listener)?;
    listener.finish()?;
    Ok(generation)
}

/// Ctrl-C sets the flag; a second one before anybody has looked ends the program.
fn watch_interrupts() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .context("cannot watch for Ctrl-C")?;
    Ok(flag)
}
