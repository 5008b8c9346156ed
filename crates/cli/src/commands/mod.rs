//! One file per command.

pub mod bench;
pub mod chat;
pub mod doctor;
pub mod pack;
pub mod perplexity;
pub mod plan;
pub mod replay;
pub mod run;
pub mod show;
pub mod synth;
pub mod trace;
pub mod trust;
pub mod verify;
