//! `hotset run`: one answer, or a chat.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use clap::Args;
use hotset_engine::{Engine, EngineError, Generation, Prepared};
use hotset_outputs::Force;
use hotset_text::{ChatMessage, ChatTemplate, Variables};

use crate::answer::{answer, message};
use crate::console::Console;
use crate::engine_args::{self, EngineArgs};
use crate::output::Usage;
use crate::prompt::{self, Prompt};
use crate::run_report::{RunReport, closing_line};
use crate::sampling_args::SamplingArgs;
use crate::stream::Stream;
use crate::template_args::{TemplateArgs, with_special_tokens};
use crate::trace_args::TraceArgs;
use crate::{claims, commands::chat, ending, model_args, output, stop};

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

    #[command(flatten)]
    template: TemplateArgs,

    /// Tokens to generate at most; -1 until the model ends or the context is full
    #[arg(short = 'n', long = "predict", visible_alias = "n-predict", value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
    predict: i64,

    /// One JSON object with text and figures on standard output, nothing else there
    #[arg(long)]
    json: bool,

    /// No plan and no closing line
    #[arg(short = 'q', long)]
    quiet: bool,

    /// The seed in the closing line, too
    #[arg(short = 'v', long, conflicts_with = "quiet")]
    verbose: bool,

    #[command(flatten)]
    sampling: SamplingArgs,

    #[command(flatten)]
    engine: EngineArgs,

    #[command(flatten)]
    trace: TraceArgs,
}

pub fn run(args: &RunArgs) -> Result<()> {
    let (model, prompt) = args.model_and_prompt()?;
    args.sampling.check()?;
    let max_tokens = args.max_tokens()?;
    let variables = args.template.variables()?;
    let (path, checkpoint) = model_args::open(model.as_deref())?;
    let template = args.template.template(&checkpoint)?;
    let variables = with_special_tokens(variables, &checkpoint);
    let mut outputs = claims::of_model(&path, &checkpoint, Force::NotOffered)?;
    [&args.file, &args.template.chat_template_file]
        .into_iter()
        .flatten()
        .for_each(|path| outputs.reads(path));
    let trace = args.trace.claim(&mut outputs)?;
    if prompt.is_some() && !args.chat_mode() {
        args.template.warn_unused();
    }
    let prepared = engine_args::prepare(&checkpoint, args.engine.options(&mut outputs)?)?;
    // Before anything is loaded: a prompt that does not fit should cost nothing.
    let tokens = prompt.map(|prompt| args.encode(&prepared, &template, &variables, prompt)).transpose()?;
    let (mut sampler, seed) =
        args.sampling.sampler(prepared.tokenizer(), checkpoint.config.vocab, prepared.plan().context)?;
    let mut stops = args.sampling.stops(prepared.tokenizer())?;
    let mut engine = engine_args::open(prepared, args.quiet || args.json)?;
    TraceArgs::begin(&mut engine, trace)?;
    let Some(tokens) = tokens else {
        let settings = chat::Settings {
            sampling: args.sampling.clone(),
            max_tokens,
            system: args.system.clone(),
            quiet: args.quiet,
            verbose: args.verbose,
            vocab: checkpoint.config.vocab,
            variables,
        };
        let talked = chat::converse(&mut engine, &checkpoint, &template, settings);
        return ending::end(&mut engine, (&args.trace, &args.engine.ledger), args.quiet, talked);
    };
    let mut session = engine.session()?;
    let mut stream = Stream::new(!args.json);
    if !args.json && !args.chat_mode() && Console::Out.is_terminal() {
        // On a terminal the answer reads as the prompt's continuation.
        stream.echo(&engine.tokenizer().decode(&tokens, true))?;
    }
    let (until, cancel) = ((max_tokens, &mut stops), stop::gently().cancel());
    let answered = answer(&mut engine, &mut session, &tokens, &mut sampler, until, cancel, &mut stream)
        .and_then(|generation| args.report(&engine, &generation, seed, &stream));
    ending::end(&mut engine, (&args.trace, &args.engine.ledger), args.quiet || args.json, answered)
}

impl RunArgs {
    /// Sorts the positional arguments out and reads the prompt from wherever it comes.
    fn model_and_prompt(&self) -> Result<(Option<PathBuf>, Option<Prompt>)> {
        let (mut model, mut prompt) = (self.model.clone(), self.prompt.clone().map(Prompt::Given));
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
            prompt = Some(Prompt::Given(word.clone()));
        }
        if let Some(word) = words.next() {
            return Err(Usage(format!(
                "`{word}` is one argument too many: model and prompt are named already"
            ))
            .into());
        }
        if let Some(path) = &self.file {
            prompt = Some(Prompt::file(path)?);
        }
        if prompt.is_none() && !io::stdin().is_terminal() {
            prompt = Some(Prompt::standard_input());
        }
        if matches!(&prompt, Some(Prompt::Given(text)) if text.is_empty()) && !self.chat_mode() {
            return Err(Usage(EngineError::EmptyPrompt.to_string()).into());
        }
        Ok((model, prompt))
    }

    fn max_tokens(&self) -> Result<Option<usize>> {
        match self.predict {
            // llama.cpp's -2, until the context is full, is what -1 comes to.
            -2 | -1 => Ok(None),
            n => usize::try_from(n)
                .map(Some)
                .map_err(|_| Usage(format!("-n {n} is out of range: -1 for no limit, or 0 and up")).into()),
        }
    }

    fn chat_mode(&self) -> bool {
        self.chat || self.system.is_some()
    }

    fn encode(
        &self,
        prepared: &Prepared<'_>,
        template: &ChatTemplate,
        variables: &Variables,
        prompt: Prompt,
    ) -> Result<Vec<u32>> {
        let (tokenizer, plan) = (prepared.tokenizer(), prepared.plan());
        if !self.chat_mode() {
            return prompt.encode(tokenizer, plan.context);
        }
        let system = self.system.iter().map(|text| message("system", text));
        let messages: Vec<ChatMessage> =
            system.chain([message("user", &prompt.text(plan.chat_text())?)]).collect();
        // Until an answer begins, a signal ends the program by itself.
        let text = template.render(&messages, true, variables, &AtomicBool::new(false))?;
        prompt::encode(tokenizer, &text, plan.context)
    }

    fn report(&self, engine: &Engine, generation: &Generation, seed: u64, stream: &Stream) -> Result<()> {
        let planned = engine.plan().total();
        if self.json {
            let stops = &self.sampling.stop;
            return output::print_json(&RunReport::new(stream.text(), generation, stops, seed, planned));
        }
        output::print_line("")?;
        if !self.quiet {
            output::note(closing_line(generation, planned, self.verbose.then_some(seed)));
        }
        Ok(())
    }
}

/// A positional argument is a model if it is there, or looks like a path to one.
fn names_a_model(word: &String) -> bool {
    let path = Path::new(word);
    path.exists() || word.ends_with(".gguf") || word.ends_with(".hotset")
}
