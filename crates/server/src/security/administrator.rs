//! The first administrator of an installation, whose password is written into a file once.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sealift_protocol::Secret;
use serde::Serialize;
use sqlx::PgConnection;
use zeroize::Zeroizing;

use super::error::Error;
use super::{password, queries, users};
use crate::floor::Floor;

/// Name of the built-in role that has every permission.
const ROLE: &str = "Administrators";
/// Name of the first user.
const USER: &str = "admin";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials<'a> {
    username: &'a str,
    password: &'a Secret,
}

/// Makes the first administrator when there is no user at all, and writes its credentials into a file of mode
/// 0600; whether it did. The file is complete before the user is, so that no password is ever lost; one left
/// behind by a start that failed in between is replaced. Safe on several servers at once.
///
/// # Errors
/// [`Error::CredentialsFile`], and faults of the database and the random generator.
pub(crate) async fn ensure_administrator(floor: &Floor, credentials_file: &Path) -> Result<bool, Error> {
    let mut db = floor.database.main.begin().await?;
    queries::lock(&mut db).await?;
    if queries::any_user(&mut db).await? {
        return Ok(false);
    }
    let now = floor.now();
    let password = password::made_up()?;
    let role = queries::roles::upsert_administrators(&mut db, ROLE, now).await?;
    users::insert_first(&mut db, USER, role, password.clone(), now).await?;
    let path = credentials_file.to_owned();
    let written = tokio::task::spawn_blocking(move || {
        write_private(&path, &password).map_err(|source| Error::CredentialsFile { path, source })
    });
    written.await.map_err(|error| Error::Hashing(error.to_string()))??;
    db.commit().await?;
    Ok(true)
}

/// Refuses what a transaction has done when no user is left that can log in and has every permission. A token or a
/// caller of an identity provider does not count: one ends, and the other depends on a machine elsewhere.
pub(super) async fn require_one(db: &mut PgConnection, what: &str) -> Result<(), Error> {
    match queries::any_administrator(db).await? {
        true => Ok(()),
        false => Err(Error::LastAdministrator(what.to_owned())),
    }
}

/// Puts the credentials in place whole or not at all: a sibling, synced, renamed, and the directory synced.
fn write_private(path: &Path, password: &Secret) -> io::Result<()> {
    let directory =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let sibling = sibling_of(path)?;
    let mut text = Zeroizing::new(serde_json::to_string(&Credentials { username: USER, password })?);
    text.push('\n');
    let staged = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&sibling)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&sibling, path));
    if let Err(error) = staged {
        // Best effort: the error that is reported says what went wrong.
        let _ = fs::remove_file(&sibling);
        return Err(error);
    }
    fs::File::open(directory)?.sync_all()
}

fn sibling_of(path: &Path) -> io::Result<PathBuf> {
    let name =
        path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is no file name"))?;
    let mut sibling = std::ffi::OsString::from(".");
    sibling.push(name);
    sibling.push(format!(".{}.part", uuid::Uuid::new_v4().simple()));
    Ok(path.with_file_name(sibling))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_file_is_private_whole_and_replaces_what_a_failed_start_left() {
        let directory = std::env::temp_dir().join(format!("administrator-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&directory).unwrap();
        let path = directory.join("first-administrator.json");
        for password in ["left behind", "the right one"] {
            write_private(&path, &Secret::new(password)).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(text, format!("{{\"Username\":\"admin\",\"Password\":\"{password}\"}}\n"));
        }
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        assert!(write_private(&directory.join("missing/x.json"), &Secret::new("x")).is_err());
        fs::remove_dir_all(&directory).unwrap();
    }
}
