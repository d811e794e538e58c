//! Reading the audit log: lists, one line, whether it was changed, and all of it as CSV.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use sealift_protocol::operator::audit::AuditEntry;
use sqlx::PgConnection;

use super::{category, csv, signature};
use crate::http::Failure;
use crate::http::filter_sql::Asker;
use crate::http::list::ListQuery;
use crate::security::error::Error;
use crate::security::permission::AUDIT_READ;
use crate::security::principal::Principal;
use crate::security::queries::audit::{self as queries, AuditRow};

/// Most lines of one download.
const MAX_DOWNLOAD: i64 = 10_000;

/// Which lines a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::security) enum Which {
    /// Those that match.
    Matching,
    /// All that tell of the things that matching lines tell of.
    Related,
}

impl From<AuditRow> for AuditEntry {
    fn from(row: AuditRow) -> Self {
        Self {
            id: row.id,
            timestamp: row.at.into(),
            message: row.message,
            signature: STANDARD.encode(&row.signature),
            category: category(&row.entity_type),
            operation: row.operation.into(),
            level: row.level.into(),
            user: row.actor,
            entity_type: row.entity_type,
            audit_identifier: row.entity_id.clone(),
            immutable_identifier: row.entity_id,
        }
    }
}

/// One page of the log, and how many lines match.
pub(in crate::security) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
    which: Which,
    now: DateTime<Utc>,
) -> Result<(Vec<AuditEntry>, i64), Failure> {
    caller.require(AUDIT_READ)?;
    let asker = Asker { name: caller.name(), now };
    let (rows, total) = match which {
        Which::Matching => queries::list_audit(db, list, &asker).await?,
        Which::Related => queries::list_related(db, list, &asker).await?,
    };
    Ok((rows.into_iter().map(AuditEntry::from).collect(), total))
}

/// One line.
pub(in crate::security) async fn get(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
) -> Result<AuditEntry, Failure> {
    caller.require(AUDIT_READ)?;
    Ok(line(db, id).await?.into())
}

/// Whether a line says what it said when it was written.
pub(in crate::security) async fn validate(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
) -> Result<bool, Failure> {
    caller.require(AUDIT_READ)?;
    let row = line(db, id).await?;
    let texts = [row.actor.as_str(), row.entity_type.as_str(), row.entity_id.as_str(), row.message.as_str()];
    let content = signature::content_of(row.at, row.operation, row.level, texts);
    Ok(signature::verifies(&content, &row.signature))
}

/// Every matching line as CSV, newest first. More than fit are refused, since half a log reads like a whole one.
pub(in crate::security) async fn download(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<String, Failure> {
    caller.require(AUDIT_READ)?;
    let asker = Asker { name: caller.name(), now };
    let rows = queries::download_audit(db, list, &asker, MAX_DOWNLOAD + 1).await?;
    if i64::try_from(rows.len()).unwrap_or(i64::MAX) > MAX_DOWNLOAD {
        let message =
            format!("QueryString: more than {MAX_DOWNLOAD} lines match; narrow it, for example by Timestamp");
        return Err(Failure::invalid(message));
    }
    let entries: Vec<_> = rows.into_iter().map(AuditEntry::from).collect();
    Ok(csv::write(&entries))
}

async fn line(db: &mut PgConnection, id: i64) -> Result<AuditRow, Error> {
    queries::audit_line(db, id).await?.ok_or_else(|| Error::NotFound(format!("audit line {id}")))
}
