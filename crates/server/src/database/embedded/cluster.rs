//! The directory of an embedded Postgres: who may use it, how the cluster in it is made, what its files say.
//!
//! ```text
//! <directory>/lock           held while a server uses the directory
//! <directory>/password       of the superuser, readable only by us
//! <directory>/data           the cluster, owned by whoever Postgres runs as
//! <directory>/data.new       one that is being made, or was when we died
//! <directory>/postgres.log   what Postgres says, and .old before that
//! ```

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::account::Account;
use super::binaries::Binaries;
use super::error::Error;
use super::{DATABASE, USER};

/// Random bytes in the password.
const PASSWORD_BYTES: usize = 32;
/// When a log reaches this, the next start sets it aside.
const LOG_BYTES: u64 = 8 << 20;
/// How much of a log an error shows.
const TAIL_BYTES: u64 = 2_000;
/// How many lines of it.
const TAIL_LINES: usize = 8;

/// The directory, locked for us.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    _lock: File,
}

impl Directory {
    /// Makes the directory if there is none, and takes it for this process.
    pub(super) fn take(root: &Path) -> Result<Self, Error> {
        fs::create_dir_all(root).map_err(Error::file("make", root))?;
        let root = root.canonicalize().map_err(Error::file("resolve", root))?;
        let path = root.join("lock");
        let lock = private_file().open(&path).map_err(Error::file("open", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { root, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse { directory: root }),
            Err(TryLockError::Error(source)) => Err(Error::file("lock", path)(source)),
        }
    }

    /// The cluster.
    pub(super) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// What Postgres says.
    pub(super) fn log(&self) -> PathBuf {
        self.root.join("postgres.log")
    }

    /// Sets permissions so that we and the account can use the directory, and checks the way to it.
    pub(super) fn admit(&self, account: &Account) -> Result<(), Error> {
        fs::set_permissions(&self.root, Permissions::from_mode(account.directory_mode()))
            .map_err(Error::file("set the permissions of", &self.root))?;
        account.check_may_enter(&self.root)
    }

    /// The major version that made the cluster; none if there is no cluster yet.
    pub(super) fn made_by(&self) -> Result<Option<u32>, Error> {
        let path = self.data().join("PG_VERSION");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::file("read", path)(error)),
        }
    }

    /// The password of the cluster that is there.
    pub(super) fn password(&self) -> Result<Zeroizing<String>, Error> {
        let path = self.root.join("password");
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::NoPassword { path }),
            Err(error) => return Err(Error::file("open", path)(error)),
        };
        let mode = file.metadata().map_err(Error::file("look at", &path))?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Error::PasswordExposed { path, mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text).map_err(Error::file("read", path))?;
        Ok(text)
    }

    /// Makes a cluster. It appears as `data` only when whole, so a crash on the way leaves nothing half made;
    /// the password is written first, since it counts only once there is a cluster to go with it.
    pub(super) fn make(&self, binaries: &Binaries, account: &Account) -> Result<Zeroizing<String>, Error> {
        let (new, hint) = (self.root.join("data.new"), self.root.join("password.initdb"));
        remove(fs::remove_dir_all(&new), &new)?;
        let password = random_password()?;
        self.write_password(&self.root.join("password"), &password)?;
        fs::create_dir(&new).map_err(Error::file("make", &new))?;
        account.own(&new)?;
        self.write_password(&hint, &password)?;
        account.own(&hint)?;
        let made = initdb(binaries, account, &new, &hint);
        remove(fs::remove_file(&hint), &hint)?;
        made?;
        create_database(binaries, account, &new)?;
        fs::rename(&new, self.data()).map_err(Error::file("rename", &new))?;
        let root = File::open(&self.root).and_then(|directory| directory.sync_all());
        root.map_err(Error::file("sync", &self.root))?;
        Ok(password)
    }

    /// Opens the log at its end, after setting aside one that has grown large.
    pub(super) fn open_log(&self) -> Result<File, Error> {
        let path = self.log();
        if fs::metadata(&path).is_ok_and(|found| found.len() > LOG_BYTES) {
            fs::rename(&path, self.root.join("postgres.log.old")).map_err(Error::file("rename", &path))?;
        }
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(Error::file("open", path))
    }

    /// The last lines of the log, for an error.
    pub(super) fn log_tail(&self) -> String {
        let read = || -> io::Result<String> {
            let mut file = File::open(self.log())?;
            let start = file.metadata()?.len().saturating_sub(TAIL_BYTES);
            file.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::new();
            file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok(last_lines(&bytes))
        };
        read().unwrap_or_else(|error| format!("(unreadable: {error})"))
    }

    fn write_password(&self, path: &Path, password: &str) -> Result<(), Error> {
        remove(fs::remove_file(path), path)?;
        let write = |mut file: File| {
            file.write_all(password.as_bytes())?;
            file.sync_all()
        };
        private_file().create_new(true).open(path).and_then(write).map_err(Error::file("write", path))
    }
}

/// What Postgres keeps in `postmaster.pid`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PostmasterFile {
    /// Process id of the server.
    pub(super) process: i32,
    /// Whether it accepts connections.
    pub(super) ready: bool,
}

impl PostmasterFile {
    /// The file's path.
    pub(super) fn path(data: &Path) -> PathBuf {
        data.join("postmaster.pid")
    }

    /// Reads it; none if it is missing or only half written.
    pub(super) fn read(data: &Path) -> Option<Self> {
        let text = fs::read_to_string(Self::path(data)).ok()?;
        let process = text.lines().next()?.trim().parse().ok()?;
        Some(Self { process, ready: text.lines().nth(7).is_some_and(|line| line.trim() == "ready") })
    }
}

fn initdb(binaries: &Binaries, account: &Account, data: &Path, password: &Path) -> Result<(), Error> {
    let mut command = account.command(&binaries.initdb());
    command.arg("-D").arg(data).arg("--pwfile").arg(password);
    command.args(["-U", USER, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-instructions"]);
    finish("initdb", spawn_captured(command.stdin(Stdio::null()))?, data)
}

/// In single-user mode, so that the cluster is whole before anyone can connect.
fn create_database(binaries: &Binaries, account: &Account, data: &Path) -> Result<(), Error> {
    let mut command = account.command(&binaries.postgres());
    command.args(["--single", "-D"]).arg(data).arg("postgres").stdin(Stdio::piped());
    let mut child = spawn_captured(&mut command)?;
    if let Some(mut input) = child.stdin.take() {
        // A child that is already gone says why in its output.
        let _ = writeln!(input, "CREATE DATABASE {DATABASE}");
    }
    finish("CREATE DATABASE", child, data)
}

fn finish(step: &'static str, child: Child, data: &Path) -> Result<(), Error> {
    let output =
        child.wait_with_output().map_err(|source| Error::Process { program: step.to_owned(), source })?;
    // Single-user mode reports a failed statement, but ends well.
    if output.status.success() && !String::from_utf8_lossy(&output.stderr).contains("ERROR:") {
        return Ok(());
    }
    let status = output.status.to_string();
    Err(Error::NotMade { step, status, data: data.to_owned(), output: last_lines(&output.stderr) })
}

fn spawn_captured(command: &mut Command) -> Result<Child, Error> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(not_spawned)
}

/// Everything is started through `setpriv`, so it is what may be missing.
pub(super) fn not_spawned(source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::NotFound => Error::NoSetpriv,
        _ => Error::Process { program: "setpriv".to_owned(), source },
    }
}

fn random_password() -> Result<Zeroizing<String>, Error> {
    let mut bytes = Zeroizing::new([0_u8; PASSWORD_BYTES]);
    rand::fill(bytes.as_mut_slice()).map_err(|_unspecified| Error::Random)?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())))
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

fn remove(result: io::Result<()>, path: &Path) -> Result<(), Error> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("remove", path)(error)),
        _ => Ok(()),
    }
}

fn last_lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, text: &str) {
        File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn reads_what_postgres_writes() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(PostmasterFile::read(data.path()), None);
        let path = PostmasterFile::path(data.path());
        put(&path, "77\n/srv/data\n1700000000\n5433\n\n127.0.0.1\n  1234 5\nstarting\n");
        assert_eq!(PostmasterFile::read(data.path()), Some(PostmasterFile { process: 77, ready: false }));
        put(&path, "77\n/srv/data\n1700000000\n5433\n\n127.0.0.1\n  1234 5\nready   \n");
        assert_eq!(PostmasterFile::read(data.path()), Some(PostmasterFile { process: 77, ready: true }));
        put(&path, "");
        assert_eq!(PostmasterFile::read(data.path()), None);
    }

    #[test]
    fn a_directory_is_taken_once() {
        let root = tempfile::tempdir().unwrap();
        let first = Directory::take(root.path()).unwrap();
        assert!(matches!(Directory::take(root.path()), Err(Error::InUse { .. })));
        drop(first);
        assert!(Directory::take(root.path()).is_ok());
    }

    #[test]
    fn a_password_that_others_can_read_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::take(root.path()).unwrap();
        assert!(matches!(directory.password(), Err(Error::NoPassword { .. })));
        let path = root.path().join("password");
        directory.write_password(&path, "invented").unwrap();
        assert_eq!(directory.password().unwrap().as_str(), "invented");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(directory.password(), Err(Error::PasswordExposed { mode: 0o644, .. })));
    }

    #[test]
    fn a_large_log_is_set_aside() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::take(root.path()).unwrap();
        directory.open_log().unwrap().set_len(LOG_BYTES + 1).unwrap();
        directory.open_log().unwrap().write_all(b"first\nsecond\n").unwrap();
        assert_eq!(directory.log_tail(), "first | second");
        assert_eq!(fs::metadata(root.path().join("postgres.log.old")).unwrap().len(), LOG_BYTES + 1);
    }
}
