//! The local time, for chat templates that ask for it.

use std::fmt::Write;

use chrono::{Local, NaiveDateTime};

/// The present local time by a `strftime` pattern, as Python's `datetime.now().strftime(pattern)` writes it.
pub fn now(pattern: &str) -> String {
    format(Local::now().naive_local(), pattern)
}

fn format(time: NaiveDateTime, pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let flags = rest[at + 1..].bytes().take_while(|flag| matches!(flag, b'-' | b'_' | b'0')).count();
        let end = rest[at + 1 + flags..].chars().next().map_or(rest.len(), |c| at + 1 + flags + c.len_utf8());
        directive(&mut out, time, &rest[at..end]);
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// One directive; what is none stays as it is.
fn directive(out: &mut String, time: NaiveDateTime, directive: &str) {
    let before = out.len();
    let written = match directive {
        // Microseconds; and a time without a zone has no name of one.
        "%f" => write!(out, "{}", time.format("%6f")),
        "%z" | "%Z" | "%:z" => Ok(()),
        "%+" | "%v" | "%" => Err(std::fmt::Error),
        _ => write!(out, "{}", time.format(directive)),
    };
    if written.is_err() {
        out.truncate(before);
        out.push_str(directive);
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::format;

    #[test]
    fn patterns_give_what_python_gives() {
        let time = NaiveDate::from_ymd_opt(2024, 7, 4).unwrap().and_hms_micro_opt(9, 5, 3, 42).unwrap();
        for (pattern, wanted) in [
            ("%d %b %Y", "04 Jul 2024"),
            ("%Y-%m-%d %H:%M:%S", "2024-07-04 09:05:03"),
            ("%-d. %B %y, %A %a", "4. July 24, Thursday Thu"),
            ("%I %p %j %U %w %% %f", "09 AM 186 26 4 % 000042"),
            ("%c|%x|%X|%z|%Z|", "Thu Jul  4 09:05:03 2024|07/04/24|09:05:03|||"),
            ("%Q % é% %", "%Q % é% %"),
            ("", ""),
        ] {
            assert_eq!(format(time, pattern), wanted, "{pattern}");
        }
    }
}
