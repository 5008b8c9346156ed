//! Renders chat templates for `scripts/compare-templates.py`: JSON lines `{"template", "messages",
//! "add_generation_prompt", "variables"}` in, JSON lines `{"text"}` or `{"refused"}` out.

use std::io::{self, BufRead, Write};
use std::sync::atomic::AtomicBool;

use hotset_text::{ChatMessage, ChatTemplate, TemplateError, Variables};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Line<'l> {
    template: String,
    #[serde(default)]
    messages: Vec<ChatMessage>,
    #[serde(default)]
    add_generation_prompt: bool,
    #[serde(borrow)]
    variables: Option<&'l RawValue>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let line: Line = serde_json::from_str(&line)?;
        let answer = match render(&line)? {
            Ok(text) => json!({ "text": text }),
            Err(error) => json!({ "refused": error.to_string() }),
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn render(line: &Line) -> Result<Result<String, TemplateError>, Box<dyn std::error::Error>> {
    let variables = Variables::from_json(line.variables.map_or("{}", RawValue::get))?;
    let template = ChatTemplate::new(Some(&line.template));
    Ok(template.and_then(|template| {
        let template = template.with_clock(|pattern| format!("T({pattern})"));
        template.render(&line.messages, line.add_generation_prompt, &variables, &AtomicBool::new(false))
    }))
}
