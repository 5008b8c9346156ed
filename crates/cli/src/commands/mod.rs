//! One file per command.

pub mod chat;
pub mod pack;
pub mod perplexity;
pub mod run;
pub mod show;
pub mod synth;
pub mod verify;
