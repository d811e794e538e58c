//! Which certificate a call means: by its id, by its thumbprint, or by its serial number and issuer (operator contract,
//! 8.3).

use chrono::{DateTime, Utc};
use sealift_pki::{DistinguishedName, SerialNumber, Thumbprint};
use sqlx::PgConnection;

use super::error::Error;
use super::queries::content;
use super::supply;
use crate::http::problem::shortened;
use crate::security::Principal;

/// Longest distinguished name that is looked up, in bytes.
const MAX_NAME: usize = 4_096;

/// What identifies a certificate, checked. Everything that is given must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    id: Option<i64>,
    thumbprint: Option<String>,
    serial_number: Option<String>,
    issuer_dn: Option<String>,
}

impl Wanted {
    /// Checks what a call gave; an id of 0 means not given.
    ///
    /// # Errors
    /// [`Error::Invalid`] when nothing is given, or a serial number without its issuer.
    pub(super) fn read(
        id: Option<i64>,
        thumbprint: Option<&str>,
        serial_number: Option<&str>,
        issuer_dn: Option<&str>,
    ) -> Result<Self, Error> {
        let invalid = |member, reason: String| Error::Invalid { member, reason };
        let thumbprint = thumbprint.map(Thumbprint::parse).transpose();
        let thumbprint = thumbprint.map_err(|error| invalid("Thumbprint", error.to_string()))?;
        let serial_number = serial_number.map(SerialNumber::parse).transpose();
        let serial_number = serial_number.map_err(|error| invalid("SerialNumber", error.to_string()))?;
        let wanted = Self {
            id: id.filter(|id| *id != 0),
            thumbprint: thumbprint.map(|thumbprint| thumbprint.to_string()),
            serial_number: serial_number.map(|serial| serial.to_string()),
            issuer_dn: issuer_dn.map(canonical).transpose()?,
        };
        let alone = wanted.id.is_none() && wanted.thumbprint.is_none();
        match (&wanted.serial_number, &wanted.issuer_dn) {
            (Some(_), None) if alone => {
                Err(invalid("IssuerDN", "it is required together with SerialNumber".to_owned()))
            }
            (None, _) if alone => Err(invalid(
                "CertID",
                "it is required, or Thumbprint, or SerialNumber together with IssuerDN".to_owned(),
            )),
            _ => Ok(wanted),
        }
    }

    /// What was asked for, in words.
    fn shown(&self) -> String {
        match (self.id, &self.thumbprint, &self.serial_number) {
            (Some(id), ..) => id.to_string(),
            (None, Some(thumbprint), _) => format!("with thumbprint {thumbprint}"),
            (None, None, Some(serial)) => format!("with serial number {serial} of that issuer"),
            (None, None, None) => String::new(),
        }
    }
}

/// A name as the database has it; one that cannot be read is looked up as it is.
fn canonical(name: &str) -> Result<String, Error> {
    if name.len() > MAX_NAME || name.contains('\0') {
        let reason = format!("expected a distinguished name of at most {MAX_NAME} bytes");
        return Err(Error::Invalid { member: "IssuerDN", reason });
    }
    Ok(DistinguishedName::parse(name).map_or_else(|_| name.to_owned(), |name| name.to_string()))
}

/// The id of the certificate, for a caller that has a permission for it: everywhere, or for a collection that it names
/// and that holds the certificate.
///
/// # Errors
/// 403 without the permission; [`Error::NotFound`] when there is none, or not for this caller.
pub(super) async fn find(
    db: &mut PgConnection,
    caller: &Principal,
    permission: &str,
    wanted: &Wanted,
    collection_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<i64, Error> {
    caller.require_for(permission, collection_id)?;
    let found = content::find(
        db,
        wanted.id,
        wanted.thumbprint.as_deref(),
        wanted.serial_number.as_deref(),
        wanted.issuer_dn.as_deref(),
    );
    let missing = || Error::NotFound(shortened(&wanted.shown()));
    let id = found.await?.ok_or_else(missing)?;
    match supply::require_each(db, caller, permission, &[id], collection_id, now).await {
        // The caller hears of what it asked for, not of the id that it led to.
        Err(Error::NotFound(_)) => Err(missing()),
        other => other.map(|()| id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_way_of_the_three_must_be_given() {
        let read = |id, thumbprint, serial, issuer| {
            Wanted::read(id, thumbprint, serial, issuer).map_err(|error| error.to_string())
        };
        let thumbprint = "aa".repeat(20);
        assert!(read(Some(7), None, None, None).is_ok());
        assert_eq!(read(Some(0), Some(&thumbprint), None, None).unwrap().thumbprint, Some("AA".repeat(20)));
        let wanted = read(None, None, Some("0a1b"), Some("cn=Example CA, O=Example")).unwrap();
        assert_eq!(wanted.issuer_dn.as_deref(), Some("CN=Example CA,O=Example"));
        for (refused, member) in [
            (read(None, None, None, None), "CertID: "),
            (read(Some(0), None, None, Some("CN=a")), "CertID: "),
            (read(None, Some("xy"), None, None), "Thumbprint: "),
            (read(None, None, Some("0a"), None), "IssuerDN: "),
            (read(None, None, Some("x"), Some("CN=a")), "SerialNumber: "),
        ] {
            let refused = refused.unwrap_err();
            assert!(refused.starts_with(member), "{refused}");
        }
    }
}
