//! The agent's log beside standard error: two files in the data directory, of which the older goes when the newer has
//! grown to half of what both may take. From their end the server is sent what it asks for.
//!
//! Each line is handed to the system as one piece when it is written; nothing waits in memory.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use crate::locked;
use crate::redaction::redact;

const NEWER: &str = "agent.log";
const OLDER: &str = "agent.log.1";
const FILE_MODE: u32 = 0o600;
/// What is read beyond what is sent, so that a secret is recognised that the cut would divide.
const MARGIN: u64 = 64 * 1024;

/// The log files; nothing is kept until they are opened.
#[derive(Debug, Clone, Default)]
pub struct LogFile(Arc<Mutex<Option<Open>>>);

#[derive(Debug)]
struct Open {
    directory: PathBuf,
    file: File,
    written: u64,
    half: u64,
}

impl LogFile {
    /// Keeps the log in a directory from now on, in files of so many bytes in all.
    pub(crate) fn open(&self, directory: &Path, bytes: u64) -> io::Result<()> {
        let open = Open::begin(directory, bytes / 2)?;
        *locked(&self.0) = Some(open);
        Ok(())
    }

    /// The end of the log: whole lines, without secrets, at most so many bytes. Empty where no log is kept.
    pub(crate) fn end(&self, most: usize) -> io::Result<String> {
        let Some(directory) = locked(&self.0).as_ref().map(|open| open.directory.clone()) else {
            return Ok(String::new());
        };
        let wanted = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(MARGIN);
        let newer = tail(&directory.join(NEWER), wanted)?;
        let left = wanted.saturating_sub(u64::try_from(newer.len()).unwrap_or(u64::MAX));
        let mut bytes = tail(&directory.join(OLDER), left)?;
        bytes.extend(newer);
        Ok(last_lines(&redact(&String::from_utf8_lossy(&bytes)), most).to_owned())
    }
}

impl Open {
    fn begin(directory: &Path, half: u64) -> io::Result<Self> {
        let path = directory.join(NEWER);
        let file = File::options().create(true).append(true).mode(FILE_MODE).open(path)?;
        let written = file.metadata()?.len();
        Ok(Self { directory: directory.to_owned(), file, written, half })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.written > 0 && self.written.saturating_add(length) > self.half {
            fs::rename(self.directory.join(NEWER), self.directory.join(OLDER))?;
            *self = Self::begin(&self.directory, self.half)?;
        }
        self.file.write_all(line)?;
        self.written = self.written.saturating_add(length);
        Ok(())
    }
}

/// The end of a file; nothing where there is none.
fn tail(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The last whole lines that fit; of one that does not fit alone, its end.
fn last_lines(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let begin = text.ceil_char_boundary(text.len() - most);
    let end = &text[begin..];
    if text[..begin].ends_with('\n') {
        return end;
    }
    match end.find('\n') {
        Some(cut) if cut + 1 < end.len() => &end[cut + 1..],
        _ => end,
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = Lines<'a>;

    fn make_writer(&'a self) -> Lines<'a> {
        Lines(self)
    }
}

/// Writes one event. What cannot be written is lost here, and still on standard error.
#[derive(Debug)]
pub struct Lines<'a>(&'a LogFile);

impl Write for Lines<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(open) = locked(&self.0.0).as_mut() {
            let _ = open.write(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(bytes: u64, lines: u32) -> (tempfile::TempDir, LogFile) {
        let directory = tempfile::tempdir().unwrap();
        let log = LogFile::default();
        log.make_writer().write_all(b"before it was opened\n").unwrap();
        log.open(directory.path(), bytes).unwrap();
        for number in 0..lines {
            log.make_writer().write_all(format!("line {number:05}\n").as_bytes()).unwrap();
        }
        (directory, log)
    }

    #[test]
    fn the_files_stay_within_their_budget_and_keep_the_end() {
        let (directory, log) = filled(1100, 500);
        let size = |name| fs::metadata(directory.path().join(name)).unwrap().len();
        assert!(size(NEWER) <= 550 && size(OLDER) <= 550, "{} {}", size(NEWER), size(OLDER));
        let end = log.end(10_000).unwrap();
        assert!(end.ends_with("line 00499\n") && end.lines().count() > 50, "{end}");
        let reopened = LogFile::default();
        reopened.open(directory.path(), 1100).unwrap();
        reopened.make_writer().write_all(b"after\n").unwrap();
        assert_eq!(reopened.end(17).unwrap(), "line 00499\nafter\n");
    }

    #[test]
    fn what_is_sent_is_whole_lines_without_secrets() {
        let (_directory, log) = filled(1 << 20, 3);
        assert_eq!(log.end(30).unwrap(), "line 00001\nline 00002\n");
        log.make_writer().write_all("öffnet password=canary-ü\n".as_bytes()).unwrap();
        let end = log.end(30).unwrap();
        assert_eq!(end, "öffnet password=[removed]\n");
        log.make_writer().write_all("é".repeat(100).as_bytes()).unwrap();
        assert_eq!(log.end(11).unwrap(), "é".repeat(5));
        assert_eq!(LogFile::default().end(100).unwrap(), "");
    }
}
