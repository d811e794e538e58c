//! The data directory and the few files in it that are not secret.

use std::fs::{self, DirBuilder, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::Error;

/// Makes the directory if it is missing, for its owner alone. The embedded Postgres of a server that root runs
/// has a user of its own, which must be able to pass through; what is secret in the directory has mode 0600.
pub(super) fn prepare(path: &Path, embedded: bool) -> Result<(), Error> {
    let failed = |source| Error::Path { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    let metadata = fs::metadata(path).map_err(failed)?;
    let mode = if embedded && metadata.uid() == 0 { 0o711 } else { 0o700 };
    if metadata.mode() & 0o777 != mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)?;
    }
    Ok(())
}

/// Puts a public file in place in one step.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    let failed = |source| Error::Path { path: path.to_owned(), source };
    let sibling = path.with_extension(format!("{}.part", std::process::id()));
    let mut file = File::create(&sibling).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&sibling, path).map_err(failed)
}
