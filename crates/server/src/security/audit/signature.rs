//! Signatures of the audit log: HMAC-SHA256 over what a line says, so that a line that was changed in the database
//! shows it. The key is in the database, sealed, so who has the database alone can neither change nor add a line
//! unnoticed; a line that was deleted leaves a gap in the numbers, which rolled-back transactions leave, too.

use std::sync::OnceLock;

use aws_lc_rs::hmac;
use chrono::{DateTime, Utc};
use zeroize::Zeroizing;

use super::Kept;
use crate::floor::Floor;
use crate::sealing::Place;
use crate::security::error::Error;
use crate::security::queries::{self, audit as statements};

/// Bytes of the key.
const KEY: usize = 32;
/// Where the key is kept.
const PLACE: Place<'static> = Place { table: "audit_key", row: &"true", column: "sealed_key" };

/// The key of this installation. A process serves one; lines are written from everywhere, so it is here and not in
/// every signature of a function.
static SIGNING_KEY: OnceLock<(Zeroizing<[u8; KEY]>, hmac::Key)> = OnceLock::new();

/// Reads the key of the installation, or makes it at the first start. To be called before anything is recorded.
///
/// # Errors
/// Faults of the database, the sealing key and the random generator, and [`Error::AuditKey`] when this process
/// signs the log of another installation already.
pub(crate) async fn open_key(floor: &Floor) -> Result<(), Error> {
    let mut db = floor.database.main.begin().await?;
    queries::lock(&mut db).await?;
    let sealing = |error: crate::sealing::Error| Error::AuditKey(error.to_string());
    match statements::audit_key(&mut db).await? {
        Some(sealed) => {
            let bytes = floor.sealing.open(PLACE, &sealed).map_err(sealing)?;
            let bytes: [u8; KEY] = bytes
                .as_slice()
                .try_into()
                .map_err(|_| Error::AuditKey("it has a wrong length".to_owned()))?;
            let (known, _) = SIGNING_KEY.get_or_init(|| with_key(bytes));
            if **known != bytes {
                return Err(Error::AuditKey("this process signs the log of another installation".to_owned()));
            }
        }
        None => {
            let mut bytes = [0; KEY];
            aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Random)?;
            let (known, _) = SIGNING_KEY.get_or_init(|| with_key(bytes));
            let sealed = floor.sealing.seal(PLACE, known.as_slice()).map_err(sealing)?;
            statements::insert_audit_key(&mut db, &sealed, floor.now()).await?;
            db.commit().await?;
        }
    }
    Ok(())
}

fn with_key(bytes: [u8; KEY]) -> (Zeroizing<[u8; KEY]>, hmac::Key) {
    (Zeroizing::new(bytes), hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// The signature of some content.
pub(super) fn sign(content: &[u8]) -> Result<[u8; 32], sqlx::Error> {
    let closed = || sqlx::Error::Configuration("the key of the audit log was not opened".into());
    let (_, key) = SIGNING_KEY.get().ok_or_else(closed)?;
    hmac::sign(key, content).as_ref().try_into().map_err(|_| closed())
}

/// Whether a signature is that of some content.
pub(super) fn verifies(content: &[u8], signature: &[u8]) -> bool {
    SIGNING_KEY.get().is_some_and(|(_, key)| hmac::verify(key, content, signature).is_ok())
}

/// What is signed of a line: everything that it says, each text with its length before it, so that no two lines
/// have the same.
pub(super) fn content(line: &Kept, at: DateTime<Utc>) -> Vec<u8> {
    let texts = [line.actor.as_str(), line.entity_type, &line.entity_id, &line.message];
    content_of(at, line.operation, line.level, texts)
}

/// The same of a line that was read.
pub(super) fn content_of(at: DateTime<Utc>, operation: i16, level: i16, texts: [&str; 4]) -> Vec<u8> {
    let mut content = b"sealift-audit/v1".to_vec();
    content.extend(at.timestamp_micros().to_be_bytes());
    content.extend(operation.to_be_bytes());
    content.extend(level.to_be_bytes());
    for text in texts {
        content.extend((text.len() as u64).to_be_bytes());
        content.extend(text.as_bytes());
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_differ_anywhere_differ_in_what_is_signed() {
        let at = DateTime::UNIX_EPOCH;
        let base = content_of(at, 1, 0, ["ann", "Role", "7", "made"]);
        for other in [
            content_of(at + chrono::TimeDelta::microseconds(1), 1, 0, ["ann", "Role", "7", "made"]),
            content_of(at, 2, 0, ["ann", "Role", "7", "made"]),
            content_of(at, 1, 1, ["ann", "Role", "7", "made"]),
            content_of(at, 1, 0, ["annR", "ole", "7", "made"]),
            content_of(at, 1, 0, ["ann", "Role", "7m", "ade"]),
        ] {
            assert_ne!(base, other);
        }
    }
}
