//! Which chat template is used, and what it is given beside the conversation.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use hotset_base::limits::MAX_TEMPLATE;
use hotset_format::Checkpoint;
use hotset_text::{ChatTemplate, Variables};

use crate::output::Usage;
use crate::{clock, input, output};

/// As llama.cpp names it.
const KWARGS_VARIABLE: &str = "LLAMA_CHAT_TEMPLATE_KWARGS";

#[derive(Args)]
pub struct TemplateArgs {
    /// Use this Jinja file in place of the model's chat template
    #[arg(long, value_name = "PATH")]
    pub chat_template_file: Option<PathBuf>,

    /// Variables for the chat template, an object in JSON: '{"enable_thinking": false}'
    #[arg(long, env = KWARGS_VARIABLE, hide_env_values = true, value_name = "JSON")]
    pub chat_template_kwargs: Option<String>,
}

impl TemplateArgs {
    /// Says that no template is used, to who asked for something of one on this command line.
    pub fn warn_unused(&self) {
        let kwargs = self.chat_template_kwargs.is_some() && std::env::var_os(KWARGS_VARIABLE).is_none();
        let named =
            [(self.chat_template_file.is_some(), "--chat-template-file"), (kwargs, "--chat-template-kwargs")];
        for (_, flag) in named.into_iter().filter(|(given, _)| *given) {
            output::warn(format_args!(
                "{flag} does nothing without --chat: the prompt is continued as it stands"
            ));
        }
    }

    /// What the user gives the template.
    pub fn variables(&self) -> Result<Variables> {
        let Some(json) = self.chat_template_kwargs.as_deref().filter(|json| !json.is_empty()) else {
            return Ok(Variables::default());
        };
        Variables::from_json(json).map_err(|error| Usage(format!("--chat-template-kwargs: {error}")).into())
    }

    /// The template that the user names, or the model's own, or ChatML.
    pub fn template(&self, checkpoint: &Checkpoint) -> Result<ChatTemplate> {
        let template = match &self.chat_template_file {
            None => ChatTemplate::new(checkpoint.chat_template.as_deref())?,
            Some(path) => {
                let source = input::text(path, MAX_TEMPLATE)?;
                ChatTemplate::new(Some(&source)).with_context(|| path.display().to_string())?
            }
        };
        Ok(template.with_clock(clock::now))
    }
}

/// `variables` and the special tokens of the model that they do not name.
pub fn with_special_tokens(mut variables: Variables, checkpoint: &Checkpoint) -> Variables {
    for (name, text) in checkpoint.tokenizer.special.named() {
        variables.set_text_if_missing(name, text);
    }
    variables
}
