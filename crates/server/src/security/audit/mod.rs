//! The audit log: what callers did. Written in the transaction of what it tells of, signed, and only appended to.

mod csv;
pub(super) mod search;
mod signature;

use std::fmt;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::principal::Principal;
use super::queries::audit as queries;

pub(crate) use signature::open_key;

/// Longest message, in characters; longer ones are cut.
const MAX_MESSAGE: usize = 4_000;
/// Longest name of a caller or of an entity that a line keeps, in characters.
const MAX_NAME: usize = 512;

/// What was done, numbered as in the operator contract, chapter 9.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
#[expect(dead_code, reason = "the contract's whole list; not every one happens yet")]
pub(crate) enum Operation {
    Created = 1,
    Updated = 2,
    Deleted = 3,
    Approved = 4,
    Denied = 5,
    Revoked = 6,
    Downloaded = 7,
    DeletedPrivateKey = 8,
    Renewed = 9,
    Encountered = 10,
    ScheduledReplacement = 11,
    Recovered = 12,
    Imported = 13,
    RemovedFromHold = 14,
    ScheduledAdd = 15,
    ScheduledRemoval = 16,
    DownloadedWithPrivateKey = 17,
    Scheduled = 18,
    Reset = 19,
    Disapproved = 20,
    Restarted = 21,
    Sent = 22,
    Failed = 23,
    Completed = 24,
    Rejected = 25,
}

impl Operation {
    /// 0 information; 1 warning, for what was refused.
    pub(super) fn level(self) -> i16 {
        i16::from(matches!(self, Self::Denied | Self::Rejected))
    }
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Name of the caller.
    pub(crate) actor: String,
    /// What it did.
    pub(crate) operation: Operation,
    /// Kind of the thing, for example `CertificateStore`.
    pub(crate) entity_type: &'static str,
    /// Its id; empty for a call about many.
    pub(crate) entity_id: String,
    /// For people; no secret.
    pub(crate) message: String,
}

impl Line {
    /// A line about what a caller did.
    pub(crate) fn new(
        caller: &Principal,
        operation: Operation,
        entity_type: &'static str,
        entity_id: impl fmt::Display,
        message: impl Into<String>,
    ) -> Self {
        let (actor, entity_id) = (caller.name().to_owned(), entity_id.to_string());
        Self { actor, operation, entity_type, entity_id, message: message.into() }
    }

    /// The line as it is kept: texts cut, control characters as blanks, so that a name from outside cannot
    /// forge further lines.
    fn kept(&self) -> Kept {
        Kept {
            actor: printable(&self.actor, MAX_NAME),
            operation: self.operation as i16,
            level: self.operation.level(),
            entity_type: self.entity_type,
            entity_id: printable(&self.entity_id, MAX_NAME),
            message: printable(&self.message, MAX_MESSAGE),
            signature: [0; 32],
        }
    }
}

/// A line as it is kept.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) actor: String,
    pub(super) operation: i16,
    pub(super) level: i16,
    pub(super) entity_type: &'static str,
    pub(super) entity_id: String,
    pub(super) message: String,
    pub(super) signature: [u8; 32],
}

/// Kinds of thing with their numbers. Those up to 2008 are the contract's; it names no higher ones, so these are
/// ours. What is not here counts as 2002, an application of the API.
const CATEGORIES: [(&str, i32); 13] = [
    ("Certificate", 2001),
    ("Template", 2003),
    ("CertificateCollection", 2004),
    ("TemplateSettings", 2007),
    ("User", 2010),
    ("ApiToken", 2010),
    ("Claim", 2010),
    ("Role", 2011),
    ("PermissionSet", 2011),
    ("AuthorizationFailure", 2012),
    ("CertificateStore", 2022),
    ("Container", 2023),
    ("Agent", 2024),
];

/// The number of a kind of thing.
fn category(entity_type: &str) -> i32 {
    CATEGORIES.iter().find(|(known, _)| *known == entity_type).map_or(2002, |(_, number)| *number)
}

/// The same in SQL, for filters.
pub(super) const CATEGORY_SQL: &str = "(CASE entity_type WHEN 'Certificate' THEN 2001 \
    WHEN 'Template' THEN 2003 WHEN 'CertificateCollection' THEN 2004 WHEN 'TemplateSettings' THEN 2007 WHEN 'User' THEN 2010 \
    WHEN 'ApiToken' THEN 2010 WHEN 'Claim' THEN 2010 WHEN 'Role' THEN 2011 WHEN 'PermissionSet' THEN 2011 \
    WHEN 'AuthorizationFailure' THEN 2012 WHEN 'CertificateStore' THEN 2022 \
    WHEN 'Container' THEN 2023 WHEN 'Agent' THEN 2024 ELSE 2002 END)";

fn printable(text: &str, length: usize) -> String {
    text.chars().take(length).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Appends lines, signed, in one statement.
///
/// # Errors
/// The database's.
pub(crate) async fn record(
    db: &mut PgConnection,
    lines: &[Line],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut kept: Vec<_> = lines.iter().map(Line::kept).collect();
    for line in &mut kept {
        line.signature = signature::sign(&signature::content(line, now))?;
    }
    queries::insert_audit_lines(db, &kept, now).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_whatever_it_tells_of() {
        let caller = Principal::system("sweep");
        let line =
            Line::new(&caller, Operation::Created, "Role", 7, format!("a\nb\0{}", "x".repeat(5_000))).kept();
        assert!(line.message.starts_with("a b x") && line.message.chars().count() == MAX_MESSAGE);
        assert_eq!((line.level, line.entity_id.as_str()), (0, "7"));
        assert_eq!(Operation::Rejected.level(), 1);
    }

    #[test]
    fn categories_are_the_same_in_sql() {
        for (kind, number) in CATEGORIES {
            assert!(CATEGORY_SQL.contains(&format!("WHEN '{kind}' THEN {number} ")), "{kind}");
        }
        assert_eq!(CATEGORY_SQL.matches("WHEN").count(), CATEGORIES.len());
        assert_eq!((category("Role"), category("Something")), (2011, 2002));
    }
}
