//! Whether a caller may use a certificate that it names: one that it may read, or that it asked for itself.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::queries;
use crate::certificates;
use crate::http::Failure;
use crate::security::{Principal, permission};

/// Most collections that are looked through for a caller with narrow grants.
const MAX_COLLECTIONS: usize = 20;

/// Refuses a certificate that the caller neither asked for nor may read, everywhere or by some collection.
pub(super) async fn require_usable(
    db: &mut PgConnection,
    caller: &Principal,
    certificate_id: i64,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    if caller.permits(permission::CERTIFICATES_READ) {
        return Ok(());
    }
    if queries::requester_of(db, certificate_id).await?.as_deref() == Some(caller.name()) {
        return Ok(());
    }
    for collection in caller.scopes(permission::CERTIFICATES_READ).into_iter().take(MAX_COLLECTIONS) {
        if certificates::require_readable(db, caller, certificate_id, Some(collection), now).await.is_ok() {
            return Ok(());
        }
    }
    caller.require(permission::CERTIFICATES_READ)
}
