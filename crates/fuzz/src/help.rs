//! What `--help` says of a subcommand's flags.

use std::io;
use std::path::Path;
use std::process::Command;

/// A flag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flag {
    /// With one dash and with two, as there are.
    pub names: Vec<String>,
    /// What stands for its value, if it has one.
    pub value: Option<String>,
    /// Values it names, if it names them.
    pub possible: Vec<String>,
}

/// Flags of a subcommand, but `--help`.
///
/// # Errors
/// If the program cannot be run.
pub fn flags(program: &Path, words: &[&str]) -> io::Result<Vec<Flag>> {
    let output = Command::new(program).args(words).arg("--help").env_clear().output()?;
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

fn parse(help: &str) -> Vec<Flag> {
    let mut flags: Vec<Flag> = Vec::new();
    for line in help.lines().map(str::trim_start) {
        if line.starts_with("--") || (line.starts_with('-') && !line.starts_with("- ")) {
            flags.push(flag(line));
        } else if let Some((value, _)) = line.strip_prefix("- ").and_then(|line| line.split_once(':'))
            && let Some(flag) = flags.last_mut()
        {
            flag.possible.push(value.to_owned());
        }
    }
    flags.retain(|flag| !flag.names.iter().any(|name| name == "--help"));
    flags
}

fn flag(line: &str) -> Flag {
    let (names, rest) = line.split_once('<').map_or((line, None), |(names, rest)| (names, Some(rest)));
    // What follows two spaces explains it.
    let names = names.trim_end().split("  ").next().unwrap_or_default();
    Flag {
        names: names.split(", ").map(|name| name.trim().to_owned()).collect(),
        value: rest.and_then(|rest| rest.split_once('>')).map(|(value, _)| value.to_owned()),
        possible: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_found_with_their_values() {
        let help = "Options:\n  -m, --model <PATH>\n          The model\n\n      --json  One object\n      --evict <EVICT>\n          \
                    Which\n\n          Possible values:\n          - lru:  Least\n          - lfu:  Others\n  -h, --help\n";
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let found = parse(help);
        assert_eq!(found.len(), 3);
        assert_eq!((&found[0].names, found[0].value.as_deref()), (&texts(&["-m", "--model"]), Some("PATH")));
        assert_eq!(found[1], Flag { names: texts(&["--json"]), ..Flag::default() });
        assert_eq!(found[2].possible, texts(&["lru", "lfu"]));
    }
}
