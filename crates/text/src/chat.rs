//! Chat templates: a conversation in, the prompt the model was trained on out.

use std::fmt;
use std::io;

use hotset_base::Bytes;
use hotset_base::limits::{MAX_RENDERED, MAX_TEMPLATE, TEMPLATE_FUEL};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, Value};
use serde::{Deserialize, Serialize};

use crate::python::{self, Raised};
use crate::template_source;

/// ChatML without a default system prompt: what models without a template of their own get.
const CHATML: &str = "\
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}";

/// Nesting of blocks, and a quarter of that of macros. Published templates nest below 20.
const MAX_RECURSION: usize = 200;

const NAME: &str = "chat";

/// Fuel a rendering gets, at most `TEMPLATE_FUEL`. Qwen3's template takes 80 for a message and a
/// tenth for a byte of it. The engine does not charge every operation by its size, so a budget in
/// proportion leaves a hostile template little even there.
const FUEL_BASE: u64 = 20_000;
const FUEL_PER_MESSAGE: u64 = 2_000;
const FUEL_PER_BYTE: u64 = 1;

/// One message of a conversation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChatMessage {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// The text.
    pub content: String,
}

/// Why a template or a conversation was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the fields are named by the messages
pub enum TemplateError {
    /// The source is too long.
    #[error("chat template has {bytes}, at most {limit} are supported")]
    TooLarge { bytes: Bytes, limit: Bytes },
    /// The source is not a template.
    #[error("chat template is invalid{at}: {detail}", at = Line(*line))]
    Syntax { line: Option<usize>, detail: String },
    /// The template called `raise_exception`.
    #[error("chat template refuses the conversation: {0}")]
    Raised(String),
    /// Rendering used up its fuel.
    #[error("chat template does too much work: it was stopped after {fuel} steps")]
    OutOfFuel { fuel: u64 },
    /// The result is too long.
    #[error("chat template writes more than {limit}")]
    OutputTooLong { limit: Bytes },
    /// Anything else that went wrong while rendering.
    #[error("chat template failed{at}: {detail}", at = Line(*line))]
    Failed { line: Option<usize>, detail: String },
}

struct Line(Option<usize>);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, " at line {line}"))
    }
}

/// A compiled chat template with the whitespace rules and helpers of Hugging Face transformers.
pub struct ChatTemplate {
    environment: Environment<'static>,
}

impl ChatTemplate {
    /// Compiles `source`, or the built-in ChatML. Source: tokenizer_config.json, GGUF metadata,
    /// a store or a file the user names.
    pub fn new(source: Option<&str>) -> Result<Self, TemplateError> {
        let source = source.unwrap_or(CHATML);
        let bytes = Bytes(source.len() as u64);
        if bytes > MAX_TEMPLATE {
            return Err(TemplateError::TooLarge { bytes, limit: MAX_TEMPLATE });
        }
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        let syntax = syntax.map_err(|error| syntax_error(&error))?;
        let source = template_source::prepare(source, &syntax)?;
        let mut environment = Environment::new();
        environment.set_syntax(syntax);
        environment.set_recursion_limit(MAX_RECURSION);
        python::install(&mut environment);
        environment.add_template_owned(NAME, source).map_err(|error| syntax_error(&error))?;
        Ok(Self { environment })
    }

    /// Lets the template ask for the time: `now` formats it by a `strftime` pattern. Without it
    /// `strftime_now` is not defined, which templates that use it provide for.
    pub fn with_clock(mut self, now: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        self.environment.add_function("strftime_now", move |format: &str| now(format));
        self
    }

    /// The prompt for `messages`. `extra` are further variables (`enable_thinking`, `tools`,
    /// `bos_token`); they do not replace `messages` and `add_generation_prompt`.
    pub fn render(
        &self,
        messages: &[ChatMessage],
        add_generation_prompt: bool,
        extra: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<String, TemplateError> {
        let own = [
            ("messages", Value::from(Serde(messages))),
            ("add_generation_prompt", Value::from(add_generation_prompt)),
        ];
        let fuel = fuel(messages, extra);
        let extra = extra.iter().map(|(key, value)| (key.as_str(), Value::from(Serde(value))));
        let variables = Value::from_pairs(extra.chain(own));
        let mut environment = self.environment.clone(); // shares the compiled template
        environment.set_fuel(Some(fuel));
        let failed = |error: Error| failed(&error, fuel);
        let mut output = Output { text: Vec::new(), full: false };
        let template = environment.get_template(NAME).map_err(failed)?;
        let rendered = template.render_captured_to(variables, &mut output).map(drop);
        if output.full {
            return Err(TemplateError::OutputTooLong { limit: MAX_RENDERED });
        }
        rendered.map_err(failed)?;
        String::from_utf8(output.text)
            .map_err(|_| TemplateError::Failed { line: None, detail: "output is not UTF-8".to_owned() })
    }
}

fn fuel(messages: &[ChatMessage], extra: &serde_json::Map<String, serde_json::Value>) -> u64 {
    let texts: usize = messages.iter().map(|message| message.role.len() + message.content.len()).sum();
    let extra = serde_json::to_string(extra).map_or(0, |json| json.len());
    let sizes = FUEL_PER_MESSAGE * messages.len() as u64 + FUEL_PER_BYTE * (texts + extra) as u64;
    (FUEL_BASE + sizes).min(TEMPLATE_FUEL)
}

/// Collects up to [`MAX_RENDERED`] bytes.
struct Output {
    text: Vec<u8>,
    full: bool,
}

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() > MAX_RENDERED.index() {
            self.full = true;
            return Err(io::Error::other("output limit"));
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn syntax_error(error: &Error) -> TemplateError {
    TemplateError::Syntax { line: error.line(), detail: detail(error) }
}

fn failed(error: &Error, fuel: u64) -> TemplateError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(Raised(message)) = current.downcast_ref() {
            return TemplateError::Raised(one_line(message));
        }
        if current.downcast_ref::<Error>().is_some_and(|error| error.kind() == ErrorKind::OutOfFuel) {
            return TemplateError::OutOfFuel { fuel };
        }
        cause = current.source();
    }
    TemplateError::Failed { line: error.line(), detail: detail(error) }
}

fn detail(error: &Error) -> String {
    match error.detail() {
        Some(detail) => one_line(&format!("{}: {detail}", error.kind())),
        None => error.kind().to_string(),
    }
}

/// Messages may quote the template or the conversation: one short line of them is enough.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}
