//! Roles as the two versions of the contract show them.

use sealift_protocol::operator::roles::{AnyRole, ClaimType, Role, RoleIdentity, RoleWithClaims};

use crate::http::version::Version;
use crate::security::claims::answered;
use crate::security::permission;
use crate::security::queries::claims::{ClaimRow, HeldRole, LOCAL, MemberRow};
use crate::security::queries::roles::RoleRow;

/// A role with those that have it.
pub(super) fn role(role: RoleRow, members: Vec<MemberRow>, version: Version, validate: bool) -> AnyRole {
    match version {
        Version::One => AnyRole::One(Role {
            valid: validate.then(|| valid(&role)),
            id: role.id,
            description: role.description,
            email_address: role.email_address,
            enabled: role.enabled,
            immutable: role.immutable,
            private: role.private,
            permission_set_id: role.permission_set_id,
            identities: members.into_iter().filter(|one| one.provider_id == LOCAL).map(identity).collect(),
            name: role.name,
            permissions: role.permissions.iter().map(|path| permission::spelled(path)).collect(),
        }),
        Version::Two => AnyRole::Two(RoleWithClaims {
            id: role.id,
            name: role.name,
            description: role.description,
            email_address: role.email_address,
            immutable: role.immutable,
            permission_set_id: role.permission_set_id,
            permissions: role.permissions,
            claims: members.into_iter().map(claim_of).map(answered).collect(),
        }),
    }
}

/// A role inside an identity, abbreviated as the contract has it.
pub(in crate::security) fn abbreviated(role: &HeldRole) -> Role {
    Role { id: role.id, name: role.name.clone(), description: role.description.clone(), ..Role::default() }
}

/// Whether this server knows every permission of a role.
fn valid(role: &RoleRow) -> bool {
    role.permissions.iter().all(|path| permission::parse(path).is_ok_and(|known| known == *path))
}

fn identity(member: MemberRow) -> RoleIdentity {
    RoleIdentity {
        id: member.id,
        account_name: member.claim_value,
        identity_type: ClaimType::User.name().to_owned(),
        sid: None,
    }
}

fn claim_of(member: MemberRow) -> ClaimRow {
    ClaimRow {
        id: member.id,
        description: member.description,
        claim_type: member.claim_type,
        claim_value: member.claim_value,
        provider_id: member.provider_id,
        scheme: member.scheme,
        display_name: member.display_name,
    }
}
