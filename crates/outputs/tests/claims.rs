//! Nothing is destroyed that hotset did not make, and a file is there whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use hotset_outputs::{FileKind, Force, OutputError, Outputs, PARTIAL_MARK, remove};
use tempfile::TempDir;

const OLD: &[u8] = b"HOTTRC\r\n an old trace";
const NEW: &[u8] = b"HOTTRC\r\n a new trace, whole";

struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.at(name), bytes).unwrap();
        self.at(name)
    }
}

fn write(outputs: &mut Outputs, path: &Path) -> Result<(), OutputError> {
    let file = outputs.claim(FileKind::Trace, path)?;
    file.write_at(NEW, 0)?;
    file.commit()
}

/// Refused as wrong usage, and the file is as it was.
fn refused(outputs: &mut Outputs, path: &Path) -> String {
    let before = fs::metadata(path).unwrap().is_file().then(|| fs::read(path).unwrap());
    let error = write(outputs, path).expect_err(&path.display().to_string());
    assert!(error.is_refusal(), "{error}");
    assert_eq!(fs::metadata(path).unwrap().is_file().then(|| fs::read(path).unwrap()), before);
    error.to_string()
}

#[test]
fn only_the_same_kind_is_replaced_unless_forced() {
    let place = Place::new();
    let trace = place.file("t", OLD);
    fs::set_permissions(&trace, fs::Permissions::from_mode(0o600)).unwrap();
    write(&mut Outputs::new(Force::NotOffered), &trace).unwrap();
    assert_eq!(fs::read(&trace).unwrap(), NEW);
    assert_eq!(fs::metadata(&trace).unwrap().permissions().mode() & 0o777, 0o600, "who may read it stays");
    let others: [(&[u8], &str); 5] = [
        (b"dear diary", "a text file"),
        (b"", "an empty file"),
        (b"GGUF\x03\0\0\0", "a GGUF file"),
        (b"HOTTRU\r\n", "a trust ledger"),
        (b"\x00\xff\x00\xff\x10\x11\x12\x13", "a file of another kind"),
    ];
    for (bytes, what) in others {
        let path = place.file("other", bytes);
        for (force, help) in [(Force::No, true), (Force::NotOffered, false)] {
            let told = refused(&mut Outputs::new(force), &path);
            assert!(told.contains(&format!("is {what}, not a trace")), "{told}");
            let error = Outputs::new(force).claim(FileKind::Trace, &path).err().unwrap();
            assert!(
                matches!(error, OutputError::Refused { force_would_help, .. } if force_would_help == help)
            );
        }
        write(&mut Outputs::new(Force::Yes), &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), NEW);
    }
    assert!(!place.at("t.partial").exists() && !place.at("other.partial").exists());
}

#[test]
fn what_must_be_new_replaces_nothing_not_even_what_appears_meanwhile() {
    let place = Place::new();
    let path = place.file("t", OLD);
    let error = Outputs::new(Force::No).claim_new(FileKind::Trace, &path).err().unwrap();
    assert!(error.is_refusal());
    let later = place.at("later");
    let file = Outputs::new(Force::No).claim_new(FileKind::Trace, &later).unwrap();
    file.write_at(NEW, 0).unwrap();
    fs::write(&later, OLD).unwrap();
    file.commit().unwrap_err();
    assert_eq!(fs::read(&later).unwrap(), OLD);
    // And what may replace its kind does not replace what has become another.
    let file = Outputs::new(Force::No).claim(FileKind::Trace, &later).unwrap();
    file.write_at(NEW, 0).unwrap();
    fs::write(&later, "dear diary").unwrap();
    file.commit().unwrap_err();
    assert_eq!(fs::read(&later).unwrap(), b"dear diary");
}

#[test]
fn special_files_are_refused_with_force_too() {
    let place = Place::new();
    fs::create_dir(place.at("dir")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(place.at("fifo")).status().unwrap();
    assert!(made.success());
    for force in [Force::NotOffered, Force::No, Force::Yes] {
        let mut outputs = Outputs::new(force);
        assert!(refused(&mut outputs, &place.at("dir")).contains("is a directory"));
        assert!(refused(&mut outputs, &place.at("fifo")).contains("is a FIFO"));
        assert!(refused(&mut outputs, Path::new("/dev/null")).contains("is a device"));
        let pipe = std::io::pipe().unwrap().1;
        let unnamed = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&pipe));
        assert!(outputs.claim(FileKind::Trace, Path::new(&unnamed)).err().unwrap().is_refusal());
        let slash = place.at("dir").join("");
        assert!(outputs.claim(FileKind::Trace, &slash).err().unwrap().is_refusal());
    }
}

#[test]
fn what_the_command_reads_is_never_written() {
    let place = Place::new();
    let source = place.file("source", OLD);
    symlink(&source, place.at("link")).unwrap();
    fs::hard_link(&source, place.at("hard")).unwrap();
    fs::create_dir(place.at("model")).unwrap();
    let shard = place.file("model/shard", OLD);
    let mut outputs = Outputs::new(Force::Yes);
    outputs.reads(&source);
    outputs.reads(&place.at("model"));
    for name in [&source, &place.at("link"), &place.at("hard"), &shard] {
        assert!(refused(&mut outputs, name).contains("read by this command"));
    }
    // Neither is its place taken by the partial of another name.
    let partial = place.file("b.partial", OLD);
    outputs.reads(&partial);
    assert!(write(&mut outputs, &place.at("b")).unwrap_err().is_refusal());
    assert_eq!(fs::read(&partial).unwrap(), OLD);
}

#[test]
fn two_outputs_are_two_files() {
    let place = Place::new();
    symlink(place.at("t"), place.at("link")).unwrap();
    for (first, second) in [("t", "t"), ("t", "link"), ("link", "t"), ("t", "t.partial")] {
        let mut outputs = Outputs::new(Force::Yes);
        let _held = outputs.claim(FileKind::ReplayCsv, &place.at(first)).unwrap();
        let error = outputs.claim(FileKind::ReplaySvg, &place.at(second)).err().unwrap();
        assert!(error.is_refusal(), "{first} and {second}: {error}");
    }
}

#[test]
fn links_are_followed_and_stay() {
    let place = Place::new();
    fs::create_dir(place.at("sub")).unwrap();
    symlink("sub/real", place.at("inner")).unwrap();
    symlink("inner", place.at("outer")).unwrap();
    for _ in 0..2 {
        write(&mut Outputs::new(Force::No), &place.at("outer")).unwrap();
        assert!(fs::symlink_metadata(place.at("outer")).unwrap().is_symlink());
        assert_eq!(fs::read(place.at("sub/real")).unwrap(), NEW);
    }
    fs::write(place.at("sub/real"), "dear diary").unwrap();
    refused(&mut Outputs::new(Force::No), &place.at("outer"));
    symlink("round", place.at("round")).unwrap();
    write(&mut Outputs::new(Force::Yes), &place.at("round")).unwrap_err();
}

#[test]
fn a_partial_that_is_not_ours_is_left_alone() {
    let place = Place::new();
    let precious = place.file("precious", b"precious");
    symlink(&precious, place.at("t.partial")).unwrap();
    assert!(write(&mut Outputs::new(Force::Yes), &place.at("t")).unwrap_err().is_refusal());
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
    for foreign in [&b"x"[..], NEW, &[0; 64]] {
        let partial = place.file("u.partial", foreign);
        assert!(write(&mut Outputs::new(Force::Yes), &place.at("u")).unwrap_err().is_refusal());
        assert_eq!(fs::read(&partial).unwrap(), foreign);
    }
    for ours in [&b""[..], &PARTIAL_MARK, b"HOTPRT\r\n and some"] {
        place.file("u.partial", ours);
        write(&mut Outputs::new(Force::Yes), &place.at("u")).unwrap();
        assert_eq!(fs::read(place.at("u")).unwrap(), NEW);
    }
}

#[test]
fn until_it_is_whole_a_file_says_that_it_is_not() {
    let place = Place::new();
    let (path, partial) = (place.at("t"), place.at("t.partial"));
    let mut outputs = Outputs::new(Force::No);
    let mut file = outputs.claim(FileKind::Trace, &path).unwrap();
    for piece in NEW.chunks(3) {
        file.write_all(piece).unwrap();
        let so_far = fs::read(&partial).unwrap();
        assert!(so_far.starts_with(&PARTIAL_MARK) && !path.exists());
    }
    file.commit().unwrap();
    assert_eq!(fs::read(&path).unwrap(), NEW);
    // Shorter than the mark, and empty.
    for text in ["abc", ""] {
        let file = Outputs::new(Force::Yes).claim(FileKind::Trace, &path).unwrap();
        file.write_at(text.as_bytes(), 0).unwrap();
        file.commit().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    // Given up.
    drop(Outputs::new(Force::Yes).claim(FileKind::Trace, &path).unwrap());
    assert!(!partial.exists() && path.exists());
}

#[test]
fn of_many_writers_of_one_name_each_leaves_a_whole_file_or_is_refused() {
    const WRITERS: u8 = 8;
    let place = Place::new();
    let path = place.at("t");
    write(&mut Outputs::new(Force::No), &path).unwrap();
    let whole =
        |bytes: &[u8]| bytes == NEW || bytes.len() == 4096 && bytes[8..].iter().all(|b| *b == bytes[8]);
    std::thread::scope(|scope| {
        for number in 0..WRITERS {
            let path = &path;
            scope.spawn(move || {
                let mut text = FileKind::Trace.begins().to_vec();
                text.resize(4096, number);
                for _ in 0..60 {
                    match Outputs::new(Force::No).claim(FileKind::Trace, path) {
                        Ok(file) => {
                            file.write_at(&text, 0).unwrap();
                            file.commit().unwrap();
                        }
                        Err(OutputError::Locked { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                    assert!(whole(&fs::read(path).unwrap()));
                }
            });
        }
    });
    assert!(whole(&fs::read(&path).unwrap()) && !place.at("t.partial").exists());
}

#[test]
fn only_the_kind_is_removed() {
    let place = Place::new();
    let ledger = place.file("ledger", b"HOTTRU\r\n");
    symlink(&ledger, place.at("link")).unwrap();
    for bytes in [&b"dear diary"[..], b"", b"HOTTRC\r\n", b"HOTTR"] {
        let path = place.file("other", bytes);
        assert!(remove(FileKind::TrustLedger, &path).unwrap_err().is_refusal());
        assert!(path.exists());
    }
    remove(FileKind::TrustLedger, &place.at("link")).unwrap();
    assert!(!ledger.exists() && fs::symlink_metadata(place.at("link")).is_ok());
    remove(FileKind::TrustLedger, &ledger).unwrap_err();
}

#[test]
fn what_standard_output_goes_to_is_not_written() {
    // The harness may have a terminal or a pipe there: then there is nothing to protect.
    let Ok(out) = fs::read_link("/proc/self/fd/1") else { return };
    if File::open(&out).and_then(|file| file.metadata()).is_ok_and(|metadata| metadata.is_file()) {
        assert!(Outputs::new(Force::Yes).claim(FileKind::Trace, &out).is_err());
    }
}
