//! What lies where a model's file should be: downloads leave pointers, pages and pieces under its name.

use std::os::unix::fs::FileExt;

use crate::ModelFile;
use crate::printable::one_line;

/// Bytes looked at.
const HEAD: usize = 512;
const EMPTY: &str = "is empty: nothing of it was downloaded; get it again";
const POINTER: &str = "is a Git LFS pointer, a few lines in place of the file: `git lfs pull` in that repository fetches the file itself";
const PAGE: &str = "is a web page (HTML or XML) in place of the file: a server answered with it; sign in or accept the model's terms if it asks for that, and download the file itself";
const ZEROS: &str = "begins with zeros: its download did not finish; get it again";

/// A phrase that says what a file is that is not what it should be, if that is one of the usual things.
pub(crate) fn known(head: &[u8]) -> Option<&'static str> {
    let head = &head[..head.len().min(HEAD)];
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| text.starts_with(beginning));
    if head.is_empty() {
        Some(EMPTY)
    } else if begins(&["version https://git-lfs", "version https://hawser", "# xet version"]) {
        Some(POINTER)
    } else if begins(&["<!doctype", "<html", "<head", "<body", "<?xml", "<!--"]) {
        Some(PAGE)
    } else if head.len() >= 16 && head.iter().all(|byte| *byte == 0) {
        Some(ZEROS)
    } else {
        None
    }
}

/// The same for a file that is open.
pub(crate) fn of_file(file: &ModelFile) -> Option<&'static str> {
    known(&head(file)?)
}

fn head(file: &ModelFile) -> Option<Vec<u8>> {
    let mut head = vec![0; file.bytes.0.min(HEAD as u64) as usize];
    file.file.read_exact_at(&mut head, 0).ok()?;
    Some(head)
}

/// The same for a file of weights, which may also be of a kind that is not read, or text.
pub(crate) fn of_weights(file: &ModelFile) -> Option<String> {
    let head = head(file)?;
    known(&head).map(str::to_owned).or_else(|| other_kind(&head)).or_else(|| text(&head))
}

fn other_kind(head: &[u8]) -> Option<String> {
    let kinds: [(&[u8], &str); 9] = [
        (b"GGUF", "a GGUF file"),
        (b"PK\x03\x04", "a ZIP archive, as PyTorch's .bin and .pth files are"),
        (b"\x80\x02", "a Python pickle, as PyTorch's .bin and .pth files are"),
        (b"\x1f\x8b", "compressed with gzip"),
        (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
        (b"\x89HDF", "an HDF5 file"),
        (b"tjgg", "a GGML file of before GGUF (GGJT)"),
        (b"lmgg", "a GGML file of before GGUF"),
        (b"fmgg", "a GGML file of before GGUF (GGMF)"),
    ];
    if head.len() > 8 && head[7] == 0 && head[8] == b'{' {
        return Some("is a safetensors file: name the directory of its checkpoint".to_owned());
    }
    let (_, kind) = kinds.iter().find(|(magic, _)| head.starts_with(magic))?;
    Some(format!("is {kind}"))
}

/// Servers also answer in plain words (`Entry not found`) and in JSON.
fn text(head: &[u8]) -> Option<String> {
    const SHOWN: usize = 60;
    let plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t');
    if !head.iter().all(plain) {
        return None;
    }
    let line = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty())?;
    let line = one_line(&String::from_utf8_lossy(&line[..line.len().min(SHOWN)]));
    Some(format!("is text in place of weights and begins with `{line}`: download the file itself"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_downloads_leave_is_recognised() {
        let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
        for (head, expected) in [
            (&b""[..], EMPTY),
            (lfs, POINTER),
            (b"\xef\xbb\xbf \n<!DOCTYPE HTML>", PAGE),
            (b"\r\n<Html lang=en>", PAGE),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", PAGE),
            (&[0; 600], ZEROS),
        ] {
            assert_eq!(known(head), Some(expected));
        }
        for head in [&b"{}"[..], b"GGUF\x03\0\0\0", &[0; 8], b"version 3", b"x"] {
            assert_eq!(known(head), None);
        }
        assert!(text(b"\nEntry not found\n").unwrap().contains("`Entry not found`"));
        assert!(other_kind(b"\x10\0\0\0\0\0\0\0{\"a\"").unwrap().contains("safetensors"));
        assert_eq!(text(b"\x08\0\0\0\0\0\0\0{}"), None);
    }
}
