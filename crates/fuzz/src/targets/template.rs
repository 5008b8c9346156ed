//! Chat templates: compiled, and rendered for a conversation with and without a tool.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hotset_testkit::Random;
use hotset_text::{ChatMessage, ChatTemplate, Variables};
use serde_json::json;

use super::template_source::{SEEDS, WORDS, grown};
use crate::mutate::{once_in, pick, text};
use crate::target::{Bounds, Outcome, Target, Workshop};

const NAME: &str = "chat.jinja";

struct Template {
    messages: Vec<ChatMessage>,
    variables: Vec<Variables>,
}

pub fn make(_: &Workshop) -> io::Result<Box<dyn Target>> {
    let message =
        |role: &str, content: &str| ChatMessage { role: role.to_owned(), content: content.to_owned() };
    let tool = json!({"type": "function", "function": {"name": "f", "description": "does\nit", "parameters":
        {"type": "object", "properties": {"x": {"type": "number"}, "b": {"type": ["string", "null"]}}, "required": ["x"]}}});
    let variables = [json!({}), json!({"tools": [tool], "bos_token": "<s>", "enable_thinking": false})];
    let variables = variables.iter().map(|json| Variables::from_json(&json.to_string()));
    Ok(Box::new(Template {
        messages: vec![
            message("system", "You help."),
            message("user", "What is 2 < 3?\n"),
            message("assistant", "<think>\nhm\n</think>\n\nTrue & so on"),
            message("user", &"word ".repeat(40)),
        ],
        variables: variables.collect::<Result<_, _>>().map_err(io::Error::other)?,
    }))
}

impl Target for Template {
    /// 2 s and 256 MiB: what a template of any size may take.
    fn bounds(&self) -> Bounds {
        Bounds { time: Duration::from_secs(2), memory: 256 << 20, per_byte: 0 }
    }

    fn prepare(&mut self, random: &mut Random, place: &Path) -> io::Result<()> {
        let mut source = match once_in(random, 3) {
            true => (*pick(random, &SEEDS)).to_owned(),
            false => grown(random),
        };
        if once_in(random, 2) {
            source = text::mutate(random, &source, &WORDS);
        }
        fs::write(place.join(NAME), source)
    }

    fn run(&mut self, place: &Path) -> Result<Outcome, String> {
        let source = fs::read_to_string(place.join(NAME)).map_err(|e| e.to_string())?;
        let template = match ChatTemplate::new(Some(&source)) {
            Ok(template) => template,
            Err(error) => return Ok(Outcome::here::<()>(Err(error.to_string()))),
        };
        let mut result = Ok(());
        for variables in &self.variables {
            let rendered = template.render(&self.messages, true, variables, &AtomicBool::new(false));
            result = result.and(rendered.map(drop).map_err(|error| error.to_string()));
        }
        Ok(Outcome::here(result))
    }
}
