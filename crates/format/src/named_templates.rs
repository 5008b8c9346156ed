//! Models with several chat templates, each with a name, and none for when no name is given.

/// What stands for the template of such a model: whoever renders it is told to choose. To take another template
/// instead, or none, would be a prompt that the model does not know.
pub(crate) fn without_default<'n>(names: impl Iterator<Item = &'n str>) -> Option<String> {
    const SHOWN: usize = 8;
    let plain = |c: &char| c.is_ascii_alphanumeric() || "_-.".contains(*c);
    let mut names: Vec<String> = names.map(|name| name.chars().filter(plain).take(64).collect()).collect();
    names.sort_unstable();
    names.truncate(SHOWN);
    let names = (!names.is_empty()).then(|| names.join(", "))?;
    let what = format!("the model has chat templates by name ({names}) and none to use without one");
    Some(format!("{{{{ raise_exception('{what}') }}}}"))
}
