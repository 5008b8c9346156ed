//! Chat templates: a conversation in, the prompt the model was trained on out.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicBool;

use hotset_base::Bytes;
use hotset_base::limits::{MAX_RENDERED, MAX_TEMPLATE, TEMPLATE_MEMORY, TEMPLATE_WORK};
use serde::{Deserialize, Serialize};

use crate::jinja::{Clock, Dict, Fault, Meter, Renderer, Result as Rendered, STEP, Template, Value, compile};
use crate::variables::Variables;

/// ChatML without a default system prompt: what models without a template of their own get.
const CHATML: &str = "\
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}";

/// Work that a rendering gets, at most `TEMPLATE_WORK`: published templates take a few hundred
/// steps for a message, and look at every byte of one some ten times.
const WORK_BASE: u64 = 1_000_000 * STEP;
const WORK_PER_MESSAGE: u64 = 2_000 * STEP;
const WORK_PER_BYTE: u64 = 64;

/// Memory that the values of a rendering get, at most `TEMPLATE_MEMORY`.
const MEMORY_BASE: u64 = 64 << 20;
const MEMORY_PER_BYTE: u64 = 16;

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
    #[error("chat template is invalid at line {line}: {detail}")]
    Syntax { line: usize, detail: String },
    /// The template called `raise_exception`.
    #[error("chat template refuses the conversation: {0}")]
    Raised(String),
    /// Rendering used up its work.
    #[error("chat template does too much work: it was stopped at line {line} after {steps} steps")]
    OutOfWork { line: usize, steps: u64 },
    /// Its values take too much memory.
    #[error("chat template does too much work: at line {line} its values take more than {limit}")]
    OutOfMemory { line: usize, limit: Bytes },
    /// The result is too long.
    #[error("chat template writes more than {limit}")]
    OutputTooLong { limit: Bytes },
    /// The flag was set.
    #[error("interrupted while the chat template was being rendered")]
    Cancelled,
    /// Anything else that went wrong while rendering.
    #[error("chat template failed at line {line}: {detail}")]
    Failed { line: usize, detail: String },
}

/// A compiled chat template, rendered as Hugging Face transformers renders it.
pub struct ChatTemplate {
    template: Template,
    clock: Option<Box<Clock>>,
}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatTemplate").finish_non_exhaustive()
    }
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
        let template = compile(source)
            .map_err(|error| TemplateError::Syntax { line: error.line, detail: one_line(&error.detail) })?;
        Ok(Self { template, clock: None })
    }

    /// Lets the template ask for the time: `now` formats it by a `strftime` pattern. Without it
    /// `strftime_now` is not defined.
    pub fn with_clock(mut self, now: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        self.clock = Some(Box::new(now));
        self
    }

    /// The prompt for `messages`. `extra` are further variables (`enable_thinking`, `tools`,
    /// `bos_token`); they do not replace `messages` and `add_generation_prompt`. `tools` and
    /// `documents` are none where they are not given. Setting `cancel` ends it.
    pub fn render(
        &self,
        messages: &[ChatMessage],
        add_generation_prompt: bool,
        extra: &Variables,
        cancel: &AtomicBool,
    ) -> Result<String, TemplateError> {
        let texts: usize = messages.iter().map(|message| message.role.len() + message.content.len()).sum();
        let bytes = (texts + extra.bytes()) as u64;
        let work = WORK_BASE + WORK_PER_MESSAGE * messages.len() as u64 + WORK_PER_BYTE * bytes;
        let work = work.min(TEMPLATE_WORK);
        let memory = Bytes((MEMORY_BASE + MEMORY_PER_BYTE * bytes).min(TEMPLATE_MEMORY.0));
        let meter = Meter::new(work, memory.index(), cancel);
        let variables = variables(&meter, messages, add_generation_prompt, extra);
        let renderer = variables
            .and_then(|variables| Renderer::new(&self.template, &meter, self.clock.as_deref(), variables));
        let mut renderer = renderer.map_err(|fault| failed(fault, 1, work, memory))?;
        renderer.render().map_err(|fault| failed(fault, renderer.line, work, memory))
    }
}

fn variables(
    meter: &Meter,
    messages: &[ChatMessage],
    add_generation_prompt: bool,
    extra: &Variables,
) -> Rendered<HashMap<Box<str>, Value>> {
    let message = |message: &ChatMessage| {
        let mut dict = Dict::new(meter)?;
        for (key, text) in [("role", &message.role), ("content", &message.content)] {
            dict.insert(meter, Value::text(meter, key)?, Value::text(meter, text.as_str())?)?;
        }
        Ok(Value::Dict(dict.into()))
    };
    let messages = messages.iter().map(message).collect::<Rendered<_>>()?;
    let mut variables: HashMap<Box<str>, Value> =
        [("tools".into(), Value::None), ("documents".into(), Value::None)].into();
    variables.extend(extra.values(meter)?);
    variables.insert("messages".into(), Value::list(meter, messages)?);
    variables.insert("add_generation_prompt".into(), Value::Bool(add_generation_prompt));
    Ok(variables)
}

fn failed(fault: Fault, line: usize, work: u64, memory: Bytes) -> TemplateError {
    match fault {
        Fault::Failed(detail) => TemplateError::Failed { line, detail: one_line(&detail) },
        Fault::Raised(message) => TemplateError::Raised(one_line(&message)),
        Fault::Work => TemplateError::OutOfWork { line, steps: work / STEP },
        Fault::Memory => TemplateError::OutOfMemory { line, limit: memory },
        Fault::Output => TemplateError::OutputTooLong { limit: MAX_RENDERED },
        Fault::Cancelled => TemplateError::Cancelled,
    }
}

/// Messages may quote the template or the conversation: one short line of them is enough.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}
