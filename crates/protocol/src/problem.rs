//! The error body of the operator API.

use serde::{Deserialize, Serialize};

/// What a refused call answers (operator contract, chapter 1.6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Problem {
    /// `0x` and eight upper-case hexadecimal digits; stable, listed in the documentation.
    pub error_code: String,
    /// For the person who reads it: what was wrong, where, and what to do.
    pub message: String,
    /// One reason for each part of the call that was refused, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_operations: Vec<FailedOperation>,
}

/// One refused part of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct FailedOperation {
    /// Which part, and why.
    pub reason: String,
}
