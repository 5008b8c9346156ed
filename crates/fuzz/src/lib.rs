//! The fuzz campaign: hostile files and command lines for every reader, made of sound ones.
//!
//! Owns how inputs are made, tried, watched and counted. It is in no program, may see every library crate, and holds
//! the readers to rules of its own: no panic, no signal, no hang, no memory out of proportion, no refusal that is a
//! book, no answer of a damaged store that differs from the sound one's, no file destroyed.
#![forbid(unsafe_code)]

pub mod campaign;
mod formats;
mod help;
mod mutate;
pub mod target;
mod targets;
pub mod worker;

pub use targets::ALL;
