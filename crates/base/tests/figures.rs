//! The table of figures in the documents is the one in the code.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use hotset_base::figures::FIGURES;

const BEGIN: &str = "<!-- figures -->\n";
const END: &str = "<!-- end -->";

fn table() -> String {
    let mut out = String::from("| name | label | of | per | what it is |\n|---|---|---|---|---|\n");
    for figure in FIGURES {
        let (unit, per) = (figure.unit.name(), figure.per.name());
        writeln!(out, "| `{}` | {} | {unit} | {per} | {} |", figure.name, figure.label, figure.doc).unwrap();
    }
    out
}

#[test]
fn the_documents_have_the_table_of_figures() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/figures.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    if std::env::var_os("HOTSET_TEST_FIGURES").is_some_and(|word| word == "write") {
        return fs::write(&path, [before, BEGIN, &table(), END, after].concat()).unwrap();
    }
    assert_eq!(found, table(), "HOTSET_TEST_FIGURES=write writes it");
}
