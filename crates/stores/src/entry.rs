//! What every driver asks of an entry before it looks at its files.

use sealift_pki::Certificate;

use crate::{Error, NewEntry, Settings};

/// Most certificates of one entry: no chain is as long.
pub const MAX_CERTIFICATES: usize = 16;

/// The leaf of an entry that makes sense: it has certificates, its key belongs to the leaf, and it asks for no
/// password of its own.
pub(crate) fn check(new: &NewEntry, settings: &Settings) -> Result<Certificate, Error> {
    let refused = |reason: String| Err(Error::Entry { path: settings.path.clone(), reason });
    let Some(leaf) = new.certificates.first() else {
        return refused("it has no certificate".to_owned());
    };
    if new.certificates.len() > MAX_CERTIFICATES {
        return refused(format!(
            "it has {} certificates, at most {MAX_CERTIFICATES} can be a chain",
            new.certificates.len()
        ));
    }
    if new.private_key.as_ref().is_some_and(|key| !key.matches(leaf)) {
        return refused(format!(
            "its private key does not belong to its first certificate, {}",
            leaf.thumbprint()
        ));
    }
    let own_password = new.entry_password.as_ref().filter(|password| !password.expose().is_empty());
    if own_password.is_some_and(|password| password.expose() != settings.password_text()) {
        return refused(
            "stores of this type have no password for each entry; leave the entry password out".to_owned(),
        );
    }
    Ok(leaf.clone())
}
