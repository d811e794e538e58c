//! Roles, who has them, and what they may grant (operator contract, chapters 9.2 to 9.5).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a claim says about a caller. Answers carry its name; requests may give name or number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[repr(i16)]
pub enum ClaimType {
    /// A user, by name.
    User = 0,
    /// A group, by name.
    Group = 1,
    /// A computer, by name.
    Computer = 2,
    /// The object id of a caller at its provider.
    OAuthOid = 3,
    /// A role that the provider gave.
    OAuthRole = 4,
    /// The subject of a token.
    OAuthSubject = 5,
    /// The client that a token was made for.
    OAuthClientId = 6,
}

impl ClaimType {
    /// Every kind of claim, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::User,
        Self::Group,
        Self::Computer,
        Self::OAuthOid,
        Self::OAuthRole,
        Self::OAuthSubject,
        Self::OAuthClientId,
    ];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
            Self::Computer => "Computer",
            Self::OAuthOid => "OAuthOid",
            Self::OAuthRole => "OAuthRole",
            Self::OAuthSubject => "OAuthSubject",
            Self::OAuthClientId => "OAuthClientId",
        }
    }

    /// Its number.
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// The kind with this number.
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Reads a name, whatever its case, or a number.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::ALL
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(text) || kind.number().to_string() == text)
    }
}

impl<'de> Deserialize<'de> for ClaimType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("{value} is no type of claim")))
    }
}

/// A role: a named set of permissions (chapter 9.2, version 1).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Role {
    /// The role.
    pub id: i64,
    /// What it is for.
    pub description: String,
    /// Whom to ask about it.
    pub email_address: Option<String>,
    /// Whether it grants anything at the moment.
    pub enabled: bool,
    /// Whether it is built in.
    pub immutable: bool,
    /// Whether this server knows everything that it grants; null when not asked for.
    pub valid: Option<bool>,
    /// Whether it was marked as private.
    pub private: bool,
    /// The set that bounds what it may grant.
    pub permission_set_id: Uuid,
    /// The users that have it.
    pub identities: Vec<RoleIdentity>,
    /// Its name, unique.
    pub name: String,
    /// Permission strings, in the older spelling where they have one (chapter 9.5).
    pub permissions: Vec<String>,
}

/// A user as a role shows it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct RoleIdentity {
    /// The identity.
    pub id: i64,
    /// `DOMAIN\user` or `user`.
    pub account_name: String,
    /// `User`.
    pub identity_type: String,
    /// Null: this server reads no directory.
    #[serde(rename = "SID")]
    pub sid: Option<String>,
}

/// A role (chapter 9.3, version 2).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct RoleWithClaims {
    /// The role.
    pub id: i64,
    /// Its name, unique.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Whom to ask about it.
    pub email_address: Option<String>,
    /// Whether it is built in.
    pub immutable: bool,
    /// The set that bounds what it may grant.
    pub permission_set_id: Uuid,
    /// Permission paths (chapter 9.5).
    pub permissions: Vec<String>,
    /// Who has it.
    pub claims: Vec<Claim>,
}

/// A role in the version that was asked for.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum AnyRole {
    /// Version 1.
    One(Role),
    /// Version 2.
    Two(RoleWithClaims),
}

/// `POST` and `PUT /Security/Roles`, in both versions. On `PUT`, a list that is absent stays as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct WriteRole {
    /// The role, on `PUT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Whom to ask about it; version 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_address: Option<String>,
    /// Whether it grants anything; version 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// A mark of version 1, which changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private: Option<bool>,
    /// The set that bounds what it may grant; `Global` when absent from a new role of version 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission_set_id: Option<Uuid>,
    /// Permission strings, as paths or as `Area:Permission`.
    pub permissions: Option<Vec<String>>,
    /// The users that have it; version 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identities: Option<Vec<AccountReference>>,
    /// Who has it; version 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claims: Option<Vec<ClaimReference>>,
}

/// A user, by name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct AccountReference {
    /// `DOMAIN\user` or `user`.
    pub account_name: Option<String>,
}

/// A claim, by what it says; made when there is none yet.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct ClaimReference {
    /// What it is about, as name or number.
    pub claim_type: Option<ClaimType>,
    /// What it says.
    pub claim_value: Option<String>,
    /// The provider that says it, by `AuthenticationScheme`.
    pub provider_authentication_scheme: Option<String>,
    /// For people.
    pub description: Option<String>,
}

/// `POST /Security/Roles/{id}/Copy`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct CopyRole {
    /// Name of the copy.
    pub name: Option<String>,
    /// What the copy is for; that of the original when absent.
    pub description: Option<String>,
}

/// `PUT /Security/Roles/{id}/Identities`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct RoleMembers {
    /// The identities that have the role from now on.
    pub ids: Option<Vec<i64>>,
}

/// A thing by id and name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Named {
    /// The thing.
    pub id: i64,
    /// Its name.
    pub name: String,
}

/// One permission of a role, wherever it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct RolePermission {
    /// `Global`, `Container` or `Collection`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// The area, or the name of the container or collection.
    pub area: String,
    /// For example `Read`.
    pub permission: String,
}

/// A permission on one container.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerPermission {
    /// The container.
    pub container_id: Option<i64>,
    /// Its name, in answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `Read`, `Schedule` (which needs `Read`) or `Modify` (which needs both).
    pub permission: Option<String>,
}

/// A permission on one collection.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct CollectionPermission {
    /// The collection.
    pub collection_id: Option<i64>,
    /// Its name, in answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `Read`, `EditMetadata`, `Recover`, `Revoke` or `Delete`.
    pub permission: Option<String>,
}

/// What a role may do with one container.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerRole {
    /// The role.
    pub security_role_id: Option<i64>,
    /// Its name, in answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `Read`, `Schedule`, `Modify`; none takes the container from the role.
    pub permissions: Option<Vec<String>>,
}

/// A claim that roles are given to (chapter 9.4).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Claim {
    /// The claim.
    pub id: i64,
    /// For people.
    pub description: String,
    /// What it is about, by name.
    pub claim_type: ClaimType,
    /// What it says.
    pub claim_value: String,
    /// Who says it.
    pub provider: ProviderReference,
}

/// The provider of a claim.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct ProviderReference {
    /// The provider.
    pub id: Uuid,
    /// Its name in requests.
    pub authentication_scheme: String,
    /// Its name for people.
    pub display_name: String,
}

/// `PUT /Security/Claims`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateClaim {
    /// The claim.
    pub id: Option<i64>,
    /// For people.
    pub description: Option<String>,
}

/// A role as a claim shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct ClaimRole {
    /// The role.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The set that bounds what it may grant.
    pub permission_set_id: Uuid,
}

/// An identity: a user by name, with or without a password here (chapter 9.4).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Identity {
    /// The identity.
    pub id: i64,
    /// `DOMAIN\user` or `user`.
    pub account_name: String,
    /// `User`.
    pub identity_type: String,
    /// Its roles, abbreviated as the contract has it.
    pub roles: Vec<Role>,
    /// Whether it can log in here; null when not asked for.
    pub valid: Option<bool>,
    /// Null: this server reads no directory.
    #[serde(rename = "SID")]
    pub sid: Option<String>,
}

/// What an identity may do, and by which roles.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct IdentityPermissions {
    /// Its account name.
    pub identity: String,
    /// What it may do everywhere.
    pub secured_area_permissions: Vec<GrantedPermission>,
    /// What it may do with the certificates of collections.
    pub collection_permissions: Vec<GrantedPermission>,
    /// What it may do with the stores of containers.
    pub container_permissions: Vec<GrantedPermission>,
}

/// A permission and the roles that grant it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct GrantedPermission {
    /// For example `AgentManagement:Read`, or `Web farm:Schedule` for a container.
    pub permission: String,
    /// Names of the roles.
    pub granted_by_roles: Vec<String>,
}

/// `GET /Security/Identities/Lookup`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Lookup {
    /// Whether somebody can log in here by that name.
    pub valid: bool,
}

/// A permission set: what the roles in it may grant at most (chapter 9.4).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct PermissionSet {
    /// The set.
    pub id: Uuid,
    /// Its name, unique.
    pub name: String,
    /// Permission paths.
    pub permissions: Vec<String>,
}

/// `POST` and `PUT /PermissionSets`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct WritePermissionSet {
    /// The set, on `PUT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// Its name; on `PUT` it may be absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Permission strings, as paths or as `Area:Permission`.
    pub permissions: Option<Vec<String>>,
}

/// An identity provider (chapter 9.4): who vouches for callers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct IdentityProvider {
    /// The provider.
    pub id: Uuid,
    /// Its name in requests.
    pub authentication_scheme: String,
    /// Its name for people.
    pub display_name: String,
    /// Its kind.
    pub type_id: Uuid,
    /// How it is set up, as the configuration of the server says.
    pub parameters: Vec<ProviderParameter>,
}

/// A setting of a provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct ProviderParameter {
    /// The setting.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// Whether it must be set.
    pub required: bool,
    /// 1 for a text.
    pub data_type: i32,
    /// What it is set to; null when it is not in use.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<String>,
    /// Null: no setting is secret.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub secret_value: Option<String>,
}

/// A kind of provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct ProviderType {
    /// The kind.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// The settings that a provider of this kind has.
    pub type_parameters: Vec<ProviderParameter>,
}

/// `PUT /IdentityProviders/{id}`. Only the name for people can be changed here.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateProvider {
    /// Its name in requests, unchanged when given.
    pub authentication_scheme: Option<String>,
    /// Its name for people.
    pub display_name: Option<String>,
    /// Settings, unchanged when given.
    pub parameters: Option<Vec<ProviderSetting>>,
}

/// A setting by name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct ProviderSetting {
    /// Its name.
    pub name: Option<String>,
    /// What it is set to.
    pub value: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_of_claim_is_read_by_name_or_number_and_written_by_name() {
        for text in ["\"OAuthSubject\"", "\"oauthsubject\"", "5", "\"5\""] {
            assert_eq!(serde_json::from_str::<ClaimType>(text).unwrap(), ClaimType::OAuthSubject, "{text}");
        }
        for text in ["7", "-1", "\"Nobody\"", "true", "[]"] {
            assert!(serde_json::from_str::<ClaimType>(text).is_err(), "{text}");
        }
        assert_eq!(serde_json::to_string(&ClaimType::OAuthRole).unwrap(), "\"OAuthRole\"");
        for kind in ClaimType::ALL {
            assert_eq!(ClaimType::from_number(kind.number()), Some(kind));
            assert_eq!(ClaimType::parse(kind.name()), Some(kind));
        }
    }
}
