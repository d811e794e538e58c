//! The audit log as CSV (RFC 4180), for spreadsheets.

use sealift_protocol::operator::audit::AuditEntry;

const HEAD: &str = "Id,Timestamp,User,Operation,Category,Level,EntityType,AuditIdentifier,ImmutableIdentifier,Message,Signature\r\n";

/// Some lines of the log, with a head.
pub(super) fn write(entries: &[AuditEntry]) -> String {
    let mut text = HEAD.to_owned();
    for entry in entries {
        let cells = [
            entry.id.to_string(),
            entry.timestamp.to_string(),
            cell(&entry.user),
            entry.operation.to_string(),
            entry.category.to_string(),
            entry.level.to_string(),
            cell(&entry.entity_type),
            cell(&entry.audit_identifier),
            cell(&entry.immutable_identifier),
            cell(&entry.message),
            cell(&entry.signature),
        ];
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

/// A text in quotes. One that a spreadsheet would take for a formula gets an apostrophe before it.
fn cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_texts() {
        assert_eq!(cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(cell("=HYPERLINK(1)"), "\"'=HYPERLINK(1)\"");
        assert_eq!(write(&[]), HEAD);
    }
}
