//! Finds the installed Postgres: `PG_BIN`, else the packages' directory. Runs nothing but `--version`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::Error;

/// Where Debian's packages put one directory for each major version.
const PACKAGES: &str = "/usr/lib/postgresql";
/// Binaries without which nothing works.
const NEEDED: [&str; 2] = ["initdb", "postgres"];

/// A directory with server binaries of one major version.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    directory: PathBuf,
    version: u32,
}

impl Binaries {
    /// The directory the operator named, else the packaged version that made the cluster, else the newest one.
    pub(super) fn find(named: Option<&Path>, made_by: Option<u32>) -> Result<Self, Error> {
        let directory = match named {
            Some(directory) => complete(directory)?,
            None => packaged(Path::new(PACKAGES), made_by).ok_or(Error::NoBinaries)?,
        };
        let version = ask_version(&directory.join("postgres"))?;
        Ok(Self { directory, version })
    }

    /// Refuses a cluster made by another major version, which Postgres cannot open.
    pub(super) fn check_made_by(&self, made_by: u32, data: &Path) -> Result<(), Error> {
        if made_by == self.version {
            return Ok(());
        }
        let binaries = self.directory.clone();
        Err(Error::OtherVersion { data: data.to_owned(), made_by, binaries, found: self.version })
    }

    /// Where they are.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The program that makes a cluster.
    pub(super) fn initdb(&self) -> PathBuf {
        self.directory.join("initdb")
    }

    /// The server.
    pub(super) fn postgres(&self) -> PathBuf {
        self.directory.join("postgres")
    }
}

fn complete(directory: &Path) -> Result<PathBuf, Error> {
    match NEEDED.into_iter().find(|name| !directory.join(name).is_file()) {
        Some(missing) => Err(Error::IncompleteBinaries { directory: directory.to_owned(), missing }),
        None => directory.canonicalize().map_err(Error::file("resolve", directory)),
    }
}

fn packaged(packages: &Path, made_by: Option<u32>) -> Option<PathBuf> {
    let versions = fs::read_dir(packages).ok()?.flatten();
    let usable = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, complete(&entry.path().join("bin")).ok()?))
    });
    usable.max_by_key(|(version, _)| (Some(*version) == made_by, *version)).map(|(_, directory)| directory)
}

fn ask_version(postgres: &Path) -> Result<u32, Error> {
    let run = Command::new(postgres).arg("--version").env_clear().output();
    let output =
        run.map_err(|source| Error::Process { program: postgres.display().to_string(), source })?.stdout;
    let answer = String::from_utf8_lossy(&output).trim().to_owned();
    major(&answer).ok_or(Error::UnknownVersion { binary: postgres.to_owned(), answer })
}

/// `postgres (PostgreSQL) 15.18 (Debian ...)`, or `16beta1` in place of `15.18`.
fn major(answer: &str) -> Option<u32> {
    let version = answer.strip_prefix("postgres (PostgreSQL) ")?;
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn reads_major_versions() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 17beta1"), Some(17));
        assert_eq!(major("postgres (PostgreSQL) 18"), Some(18));
        assert_eq!(major("something else"), None);
    }

    #[test]
    fn prefers_the_version_that_made_the_cluster_then_the_newest() {
        let packages = tempfile::tempdir().unwrap();
        for version in ["9", "15", "17", "common"] {
            let bin = packages.path().join(version).join("bin");
            fs::create_dir_all(&bin).unwrap();
            for name in NEEDED {
                File::create(bin.join(name)).unwrap();
            }
        }
        fs::create_dir_all(packages.path().join("18/bin")).unwrap();
        let chosen = |made_by| packaged(packages.path(), made_by).unwrap();
        assert!(chosen(None).ends_with("17/bin"));
        assert!(chosen(Some(15)).ends_with("15/bin"));
        assert!(chosen(Some(18)).ends_with("17/bin"));
    }

    #[test]
    fn an_empty_directory_is_named() {
        let empty = tempfile::tempdir().unwrap();
        let error = Binaries::find(Some(empty.path()), None).unwrap_err().to_string();
        assert!(error.contains(empty.path().to_str().unwrap()) && error.contains("initdb"), "{error}");
    }

    #[test]
    fn another_major_version_is_refused_in_one_line() {
        let binaries = Binaries { directory: "/opt/postgres/bin".into(), version: 16 };
        let error = binaries.check_made_by(15, Path::new("/srv/data")).unwrap_err().to_string();
        assert!(error.contains("/srv/data was made by Postgres 15") && !error.contains('\n'), "{error}");
    }
}
