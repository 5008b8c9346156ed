//! One reader in each.

mod command;
mod csv;
mod gguf;
mod huggingface;
mod json;
mod ledger;
mod model;
mod process;
mod store;
mod template;
mod template_source;
mod tokenizer;
mod trace;

use std::io;

use crate::target::{Entry, Target, Workshop};

const fn entry(
    name: &'static str,
    about: &'static str,
    make: fn(&Workshop) -> io::Result<Box<dyn Target>>,
) -> Entry {
    Entry { name, about, in_command: false, make }
}

const fn command_entry(
    name: &'static str,
    about: &'static str,
    make: fn(&Workshop) -> io::Result<Box<dyn Target>>,
) -> Entry {
    Entry { in_command: true, ..entry(name, about, make) }
}

/// Every target.
pub const ALL: [Entry; 12] = [
    entry("store", "packed stores; half are sealed again", store::make),
    entry("gguf", "GGUF files", gguf::make),
    entry("huggingface", "config, tokenizer and index JSON, safetensors headers", huggingface::make),
    entry("trace", "traces: summary, export, demand; half are sealed again", trace::make),
    entry("csv", "routing traces in CSV", csv::make),
    entry("ledger", "trust ledgers; half are sealed again", ledger::make),
    entry("template", "chat templates, changed and made by a grammar", template::make),
    entry("tokenizer", "texts to tokenise", tokenizer::make),
    command_entry("router", "hotset replay --router-config", json::router),
    command_entry("trust", "hotset trust import", json::trust),
    command_entry("locality", "hotset plan --locality", json::locality),
    command_entry("command", "command lines of every subcommand, beside files that must stay", command::make),
];
