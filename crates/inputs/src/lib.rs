//! Opening what the user or a model names: the one place that does.
//!
//! A path may lead to a pipe, a device or a file without an end. What a file is decides before it is opened, for
//! opening some waits for ever; and what is read whole is read to a limit that is looked at meanwhile. It must
//! never write, nor know what is in a file.
#![forbid(unsafe_code)]

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use hotset_base::Bytes;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl, statfs};

/// Opens a regular file. The error of anything else is [`ErrorKind::InvalidInput`] and says what it is.
///
/// # Errors
/// If it is no regular file, or the system refuses.
pub fn open(path: &Path) -> io::Result<File> {
    open_as(path, Metadata::is_file)
}

/// Opens a regular file, or a pipe of the shell (`<(command)`, `/dev/stdin`).
///
/// # Errors
/// As [`open`].
pub fn open_stream(path: &Path) -> io::Result<File> {
    open_as(path, |metadata| metadata.is_file() || is_nameless_pipe(path, metadata))
}

/// Reads a whole file, or what a pipe of the shell (`<(command)`, `/dev/stdin`) gives. More than `limit` is
/// [`ErrorKind::FileTooLarge`].
///
/// # Errors
/// As [`open`], or if it is longer than `limit`.
pub fn read(path: &Path, limit: Bytes) -> io::Result<Vec<u8>> {
    read_file(&open_stream(path)?, limit)
}

/// Reads an open file from where it is to its end; its length spares the reading of what will be refused.
///
/// # Errors
/// As [`read`].
pub fn read_file(file: &File, limit: Bytes) -> io::Result<Vec<u8>> {
    if file.metadata()?.len() > limit.0 {
        return Err(too_long(limit));
    }
    read_from(file, limit)
}

fn too_long(limit: Bytes) -> io::Error {
    io::Error::new(ErrorKind::FileTooLarge, format!("it is longer than {limit}"))
}

/// As [`read`], as text.
///
/// # Errors
/// As [`read`], or if it is not UTF-8 ([`ErrorKind::InvalidData`]).
pub fn read_text(path: &Path, limit: Bytes) -> io::Result<String> {
    text(read(path, limit)?)
}

/// Reads to the end of something that is open.
///
/// # Errors
/// If it is longer than `limit` or the system refuses.
pub fn read_from(source: impl Read, limit: Bytes) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(limit.0.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit.0 {
        return Err(too_long(limit));
    }
    Ok(bytes)
}

/// Bytes as text.
///
/// # Errors
/// If they are not UTF-8.
pub fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// Whether it was refused for what it is, and the system had nothing against it.
pub fn is_refusal(error: &io::Error) -> bool {
    let kinds = [ErrorKind::InvalidInput, ErrorKind::FileTooLarge, ErrorKind::InvalidData];
    error.raw_os_error().is_none() && kinds.contains(&error.kind())
}

fn open_as(path: &Path, wanted: impl Fn(&Metadata) -> bool) -> io::Result<File> {
    let check = |metadata: Metadata| match wanted(&metadata) {
        true => Ok(metadata),
        false => Err(refusal(&metadata)),
    };
    check(fs::metadata(path)?)?;
    // Should it be a pipe or a device by now, opening it does not wait.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    check(file.metadata()?)?;
    // Reads may wait: of files for their disk, of pipes for who writes.
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

/// A pipe that a process holds and hands over, as shells do it. One with a name in a directory waits for
/// whoever may come to write.
fn is_nameless_pipe(path: &Path, metadata: &Metadata) -> bool {
    /// `PIPEFS_MAGIC` of linux/magic.h
    const PIPES: i128 = 0x5049_5045;
    metadata.file_type().is_fifo() && statfs(path).is_ok_and(|system| system.f_type as i128 == PIPES)
}

fn refusal(metadata: &Metadata) -> io::Error {
    let kind = metadata.file_type();
    let what = if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "something else"
    };
    io::Error::new(ErrorKind::InvalidInput, format!("it is {what}, not a regular file"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use rustix::fs::{FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn what_is_no_file_is_refused_by_its_type_and_never_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        for (path, what) in [
            (fifo.as_path(), "a pipe"),
            (&socket, "a socket"),
            (&link, "a device"),
            (dir.path(), "a directory"),
        ] {
            for error in [open(path).unwrap_err(), read(path, Bytes(10)).unwrap_err()] {
                assert_eq!(error.to_string(), format!("it is {what}, not a regular file"));
                assert!(is_refusal(&error));
            }
        }
        let gone = open(&dir.path().join("gone")).unwrap_err();
        assert!(gone.kind() == ErrorKind::NotFound && !is_refusal(&gone));
    }

    #[test]
    fn a_limit_holds_at_its_byte_for_files_and_pipes() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"0123456789").unwrap();
        assert_eq!(read(file.path(), Bytes(10)).unwrap(), b"0123456789");
        let error = read(file.path(), Bytes(9)).unwrap_err();
        assert!(is_refusal(&error) && error.to_string().contains("longer than 9 B"), "{error}");
        let pipe = |text: &'static [u8]| {
            let (reader, writer) = rustix::pipe::pipe().unwrap();
            File::from(writer).write_all(text).unwrap();
            reader
        };
        let reader = pipe(b"abc");
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        assert_eq!(read_text(Path::new(&path), Bytes(3)).unwrap(), "abc");
        assert_eq!(open(Path::new(&path)).unwrap_err().kind(), ErrorKind::InvalidInput);
        let endless = read_from(io::repeat(b'x'), Bytes(1000)).unwrap_err();
        assert_eq!(endless.kind(), ErrorKind::FileTooLarge);
        assert!(is_refusal(&text(vec![0xff]).unwrap_err()));
    }
}
