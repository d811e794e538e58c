//! As whom Postgres runs: as ourselves, or, since it refuses root, as a user of its own.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::error::Error;

/// Users to take in place of root, best first.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];
/// What the child finds; `initdb` looks for `postgres` beside itself, not here.
const SEARCH_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// As whom Postgres runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Account {
    /// As this process.
    Ourselves,
    /// As another user, which only root can do.
    Other {
        /// Name for messages.
        name: String,
        /// User id.
        uid: u32,
        /// Primary group id.
        gid: u32,
    },
}

impl Account {
    /// The account for a cluster: for root the owner of an existing one, else a user from `/etc/passwd`.
    pub(super) fn choose(data: &Path) -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Ourselves);
        }
        match fs::metadata(data) {
            Ok(found) if found.uid() == 0 => Err(Error::OwnedByRoot { data: data.to_owned() }),
            Ok(found) => {
                Ok(Self::Other { name: format!("user {}", found.uid()), uid: found.uid(), gid: found.gid() })
            }
            Err(_) => {
                let users = fs::read_to_string("/etc/passwd").map_err(Error::file("read", "/etc/passwd"))?;
                UNPRIVILEGED.into_iter().find_map(|name| parse(&users, name)).ok_or(Error::NoAccount)
            }
        }
    }

    /// Permission bits for the directory around the cluster: another user must be able to pass through.
    pub(super) fn directory_mode(&self) -> u32 {
        match self {
            Self::Ourselves => 0o700,
            Self::Other { .. } => 0o711,
        }
    }

    /// Gives a file or directory to the account.
    pub(super) fn own(&self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Other { uid, gid, .. } => {
                chown(path, Some(*uid), Some(*gid)).map_err(Error::file("change the owner of", path))
            }
        }
    }

    /// Checks that the account may enter the directory and all above it. Access lists are not looked at.
    pub(super) fn check_may_enter(&self, directory: &Path) -> Result<(), Error> {
        let Self::Other { name, uid, gid } = self else { return Ok(()) };
        let mut way: Vec<&Path> = directory.ancestors().collect();
        way.reverse();
        for step in way {
            let found = fs::metadata(step).map_err(Error::file("look at", step))?;
            let searchable = if found.uid() == *uid {
                0o100
            } else if found.gid() == *gid {
                0o010
            } else {
                0o001
            };
            if found.permissions().mode() & searchable == 0 {
                return Err(Error::NotSearchable { account: name.clone(), directory: step.to_owned() });
            }
        }
        Ok(())
    }

    /// A command that runs as the account, is interrupted when the *thread* that spawned it ends, and has a
    /// process group of its own, so that Ctrl-C reaches us first. It inherits no environment: ours may hold
    /// secrets, and `PG…` variables would change what Postgres does.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "INT", "--"]).arg(program);
        command.env_clear().env("PATH", SEARCH_PATH).env("LC_ALL", "C");
        if let Some(libraries) = std::env::var_os("LD_LIBRARY_PATH") {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command.current_dir("/").process_group(0);
        if let Self::Other { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
        command
    }
}

fn parse(users: &str, wanted: &str) -> Option<Account> {
    let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = fields.into_iter().find(|fields| fields.len() > 3 && fields[0] == wanted)?;
    let (uid, gid) = (found[2].parse().ok()?, found[3].parse().ok()?);
    Some(Account::Other { name: wanted.to_owned(), uid, gid })
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn finds_a_user() {
        let users = "root:x:0:0::/root:/bin/sh\npostgres:x:101:104:P,,,:/var/lib/postgresql:/bin/sh\n";
        let postgres = Account::Other { name: "postgres".to_owned(), uid: 101, gid: 104 };
        assert_eq!(parse(users, "postgres"), Some(postgres));
        assert_eq!(parse(users, "nobody"), None);
    }

    #[test]
    fn says_which_directory_is_closed() {
        let top = tempfile::tempdir().unwrap();
        fs::set_permissions(top.path(), Permissions::from_mode(0o711)).unwrap();
        let (closed, inner) = (top.path().join("closed"), top.path().join("closed/inner"));
        fs::create_dir_all(&inner).unwrap();
        fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
        let stranger = Account::Other { name: "stranger".to_owned(), uid: 987_654, gid: 987_654 };
        let error = stranger.check_may_enter(&inner).unwrap_err().to_string();
        assert!(error.contains(&format!("may not enter {}:", closed.display())), "{error}");
        assert!(Account::Ourselves.check_may_enter(&inner).is_ok());
        fs::set_permissions(&closed, Permissions::from_mode(0o711)).unwrap();
        fs::set_permissions(&inner, Permissions::from_mode(0o711)).unwrap();
        assert!(stranger.check_may_enter(&inner).is_ok());
    }
}
