//! The demo's own arguments. Nothing is done here.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

/// What `--help` prints.
pub(crate) const USAGE: &str = "\
Enrolls a certificate, deploys it to a Central Certificate Store and to nginx, and rotates it.

  make demo                shows it, and leaves nothing behind
  make demo ARGS=--keep    leaves everything running, to be looked at
  make clean-demo          ends what --keep left (--clean)";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To be told how.
    Usage,
    /// The demo itself.
    Play {
        /// Whether it stays.
        keep: bool,
    },
    /// An end to demos that stayed.
    Clean,
    /// To be the TLS listener of a running demo; the demo starts itself so.
    Listen(Listen),
}

/// What the TLS listener serves.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    /// The Central Certificate Store.
    pub(crate) share: PathBuf,
    /// File with its password.
    pub(crate) password_file: PathBuf,
}

/// Reads the arguments behind the program's name.
pub(crate) fn read(mut arguments: impl Iterator<Item = OsString>) -> Result<Asked> {
    let mut asked = Asked::Play { keep: false };
    while let Some(argument) = arguments.next() {
        asked = match argument.to_str() {
            Some("--help" | "-h") => return Ok(Asked::Usage),
            Some("--keep") => Asked::Play { keep: true },
            Some("--clean") => Asked::Clean,
            Some("listen") => {
                let mut path = |what| {
                    arguments.next().map(PathBuf::from).with_context(|| format!("listen needs {what}"))
                };
                Asked::Listen(Listen { share: path("a directory")?, password_file: path("a password file")? })
            }
            _ => bail!("{} is no argument of the demo", argument.to_string_lossy()),
        };
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(arguments: &[&str]) -> Result<Asked> {
        read(arguments.iter().map(OsString::from))
    }

    #[test]
    fn arguments_are_understood_or_named() {
        assert_eq!(asked(&[]).unwrap(), Asked::Play { keep: false });
        assert_eq!(asked(&["--keep"]).unwrap(), Asked::Play { keep: true });
        assert_eq!(asked(&["--clean"]).unwrap(), Asked::Clean);
        let listen = Listen { share: "/share".into(), password_file: "/password".into() };
        assert_eq!(asked(&["listen", "/share", "/password"]).unwrap(), Asked::Listen(listen));
        assert!(asked(&["--kept"]).unwrap_err().to_string().contains("--kept"));
        assert!(asked(&["listen", "/share"]).is_err());
    }
}
