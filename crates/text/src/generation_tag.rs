//! `{% generation %}` blocks: training marks in published chat templates.
//!
//! The reference implementation renders their body in a scope of its own and records where it
//! ended up. For inference only the scope matters, so each tag becomes a `with` tag of the same
//! whitespace control. Text inside `{% raw %}` is not told apart.

use std::borrow::Cow;

/// Replaces the tags; borrows where there are none.
pub(crate) fn strip(source: &str) -> Cow<'_, str> {
    if !source.contains("generation") {
        return Cow::Borrowed(source);
    }
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(open) = rest.find("{%") {
        let (before, tag) = rest.split_at(open);
        out.push_str(before);
        match parse(tag) {
            Some((word, bytes)) => {
                out.push_str(&tag[..bytes].replacen(
                    word,
                    if word == "generation" { "with" } else { "endwith" },
                    1,
                ));
                rest = &tag[bytes..];
            }
            None => {
                out.push_str("{%");
                rest = &tag[2..];
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The tag's word and length, if `tag` starts with a generation tag.
fn parse(tag: &str) -> Option<(&'static str, usize)> {
    let inner = tag.strip_prefix("{%")?.trim_start_matches(['-', '+']).trim_start();
    let (word, after) = ["generation", "endgeneration"]
        .into_iter()
        .find_map(|word| Some((word, inner.strip_prefix(word)?)))?;
    let after = after.trim_start().trim_start_matches(['-', '+']).strip_prefix("%}")?;
    Some((word, tag.len() - after.len()))
}

#[cfg(test)]
mod tests {
    use super::strip;

    #[test]
    fn tags_become_scopes_and_all_else_stays() {
        assert_eq!(
            strip("a{% generation %}b{%- endgeneration -%}c{%generation%}"),
            "a{% with %}b{%- endwith -%}c{%with%}"
        );
        for same in
            ["", "{%", "{% generation", "{{ add_generation_prompt }}", "{% if generation %}é{% endif %}"]
        {
            assert_eq!(strip(same), same);
        }
    }
}
