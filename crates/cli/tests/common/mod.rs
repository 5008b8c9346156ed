//! The program under test.

use std::process::{Command, Stdio};

/// The command with nothing on standard input and none of its variables set.
pub fn hotset() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hotset"));
    command.stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HOTSET_")) {
        command.env_remove(name);
    }
    command
}
