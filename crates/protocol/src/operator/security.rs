//! Callers: users and API tokens, which are our own additions, and what the caller may do (operator contract,
//! chapter 9.4). Roles are in `roles.rs`.

use serde::{Deserialize, Serialize};

use crate::{Secret, Timestamp};

/// Ours: `POST /Security/Users`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateUser {
    /// Name to log in with; `DOMAIN\user` or `user`.
    pub name: Option<String>,
    /// Password, 12 to 256 characters.
    pub password: Option<Secret>,
    /// Names of roles.
    pub roles: Vec<String>,
}

/// A user that logs in by HTTP Basic.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct User {
    /// The user.
    pub id: i64,
    /// Name to log in with.
    pub name: String,
    /// Names of roles.
    pub roles: Vec<String>,
}

/// Ours: `POST /Security/ApiTokens`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateApiToken {
    /// What it is for; shown in history and audit.
    pub name: Option<String>,
    /// Names of roles.
    pub roles: Vec<String>,
    /// When it stops working; 365 days from now when absent, and at most.
    pub expires: Option<Timestamp>,
}

/// An API token as listed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct ApiToken {
    /// The token's id, not the token.
    pub id: i64,
    /// What it is for.
    pub name: String,
    /// Names of roles.
    pub roles: Vec<String>,
    /// When it stops working.
    pub expires: Timestamp,
    /// The token itself, only in the answer that creates it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token: Option<Secret>,
}

/// `GET /Security/My`: what the caller may do (chapter 9.4).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Myself {
    /// Names of its roles.
    pub roles: Vec<String>,
    /// What it may do everywhere, in the older spelling.
    pub global_permissions: Vec<AreaPermission>,
}

/// A permission in the older spelling (chapter 9.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct AreaPermission {
    /// For example `AgentManagement`.
    pub area: String,
    /// For example `Read`.
    pub permission: String,
}
