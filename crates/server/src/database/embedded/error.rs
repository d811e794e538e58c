//! Why the embedded Postgres could not be started. What happens to it later is only logged.

use std::io;
use std::path::PathBuf;

/// A start that failed. Each message names the place and the way out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No server binaries are installed and `PG_BIN` is not set.
    #[error(
        "no Postgres found: set DATABASE_URL to a database of your own, \
         or install one (apt-get install postgresql), \
         or set PG_BIN to a directory that holds initdb and postgres"
    )]
    NoBinaries,
    /// `PG_BIN` names a directory without the server binaries.
    #[error(
        "PG_BIN is {directory}, where there is no {missing}: name a directory that holds initdb and postgres"
    )]
    IncompleteBinaries {
        /// What `PG_BIN` says.
        directory: PathBuf,
        /// The binary that was looked for.
        missing: &'static str,
    },
    /// `postgres --version` said something unknown.
    #[error("{binary} --version answered {answer:?}: set PG_BIN to a working Postgres")]
    UnknownVersion {
        /// The binary that was asked.
        binary: PathBuf,
        /// What it said.
        answer: String,
    },
    /// The cluster was made by another major version than the one found.
    #[error(
        "{data} was made by Postgres {made_by} but {binaries} holds Postgres {found}: \
         set PG_BIN to Postgres {made_by}, or dump there and load into a new directory"
    )]
    OtherVersion {
        /// The cluster.
        data: PathBuf,
        /// Major version that made it.
        made_by: u32,
        /// Where binaries were found.
        binaries: PathBuf,
        /// Their major version.
        found: u32,
    },
    /// `setpriv` is what ties Postgres to this process.
    #[error(
        "setpriv is missing, without which Postgres would outlive this server: apt-get install util-linux"
    )]
    NoSetpriv,
    /// Postgres refuses to run as root and there is nobody else.
    #[error(
        "Postgres does not run as root and /etc/passwd has neither postgres nor nobody: add the user postgres"
    )]
    NoAccount,
    /// The cluster belongs to root, as whom Postgres does not run.
    #[error("{data} belongs to root, as whom Postgres does not run: chown -R postgres {data}")]
    OwnedByRoot {
        /// The cluster.
        data: PathBuf,
    },
    /// Postgres could not reach its files.
    #[error(
        "Postgres runs as {account}, who may not enter {directory}: \
         chmod o+x {directory}, or keep the data elsewhere, for instance in /var/lib/sealift"
    )]
    NotSearchable {
        /// User as whom Postgres runs.
        account: String,
        /// The first directory that stops it.
        directory: PathBuf,
    },
    /// Another server holds this directory.
    #[error("{directory} is in use by another sealift-server: stop it, or choose another directory")]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// A Postgres of an earlier run did not go away.
    #[error("Postgres (process {process}) of an earlier run does not leave {data}: stop it by hand")]
    StaysAlive {
        /// Its process id.
        process: i32,
        /// The cluster.
        data: PathBuf,
    },
    /// The cluster is there but its password is not.
    #[error("{path} is missing, so nobody can connect to the cluster beside it: restore it from a backup")]
    NoPassword {
        /// Where it should be.
        path: PathBuf,
    },
    /// The password can be read by others.
    #[error("{path} has mode {mode:o} and can be read by others: chmod 600 {path}")]
    PasswordExposed {
        /// The password's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// No random bytes.
    #[error("the system gave no random bytes for the password of the embedded Postgres")]
    Random,
    /// Making the cluster failed.
    #[error("{step} failed ({status}) while making {data}: {output}")]
    NotMade {
        /// What was run.
        step: &'static str,
        /// How it ended.
        status: String,
        /// The cluster that was to be made.
        data: PathBuf,
        /// The end of what it said.
        output: String,
    },
    /// Postgres did not come up.
    #[error("Postgres {what}; {log} ends with: {tail}")]
    NotReady {
        /// What it did instead.
        what: String,
        /// Its log.
        log: PathBuf,
        /// The end of the log.
        tail: String,
    },
    /// A program could not be run.
    #[error("{program} could not be run: {source}")]
    Process {
        /// The program.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A file or directory could not be used.
    #[error("could not {action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl Error {
    /// Adapter for `map_err` on file operations.
    pub(super) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
