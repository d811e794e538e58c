//! Permissions as paths of a tree (operator contract, chapter 9.5).
//!
//! A grant covers everything below it, and `/` covers all. Paths are kept in one form: lower case, with a
//! slash before and behind each part, so that "covers" is "begins with", and a grant for container 3 does not
//! cover container 31. Below the permissions that can be narrowed, the last part is the number of a
//! container or a collection.

use super::error::Error;
use crate::http::problem::shortened;

/// Read agents, job history and jobs.
pub(crate) const AGENTS_READ: &str = "/agents/management/read/";
/// Approve agents, change jobs.
pub(crate) const AGENTS_MODIFY: &str = "/agents/management/modify/";
/// Read certificates; may be narrowed to a collection.
pub(crate) const CERTIFICATES_READ: &str = "/certificates/collections/read/";
/// Revoke certificates; may be narrowed to a collection.
pub(crate) const CERTIFICATES_REVOKE: &str = "/certificates/collections/revoke/";
/// Delete certificates and private keys; may be narrowed to a collection.
pub(crate) const CERTIFICATES_DELETE: &str = "/certificates/collections/delete/";
/// Change certificates' metadata; may be narrowed to a collection.
pub(crate) const CERTIFICATES_METADATA: &str = "/certificates/collections/metadata/modify/";
/// Change the role that owns a certificate; may be narrowed to a collection.
pub(crate) const CERTIFICATES_OWNER: &str = "/certificates/collections/change_owner/";
/// Recover private keys; may be narrowed to a collection.
pub(crate) const PRIVATE_KEYS_READ: &str = "/certificates/collections/private_key/read/";
/// Import certificates together with their private keys.
pub(crate) const PRIVATE_KEYS_IMPORT: &str = "/certificates/collections/private_key/import/";
/// Import certificates.
pub(crate) const CERTIFICATES_IMPORT: &str = "/certificates/import/";
/// Read metadata fields.
pub(crate) const METADATA_TYPES_READ: &str = "/metadata/types/read/";
/// Make, change and delete metadata fields.
pub(crate) const METADATA_TYPES_MODIFY: &str = "/metadata/types/modify/";
/// Make and change collections.
pub(crate) const COLLECTIONS_MODIFY: &str = "/certificates/collections/modify/";
/// Enroll certificates with a private key, and deploy them.
pub(crate) const ENROLL_PFX: &str = "/certificates/enrollment/pfx/";
/// Enroll certificates with a request of one's own.
pub(crate) const ENROLL_CSR: &str = "/certificates/enrollment/csr/";
/// Read enrollment patterns.
pub(crate) const PATTERNS_READ: &str = "/enrollment_pattern/read/";
/// Read templates and certificate authorities.
pub(crate) const PKI_READ: &str = "/pki/read/";
/// Change templates and certificate authorities.
pub(crate) const PKI_MODIFY: &str = "/pki/modify/";
/// Read enrollment requests.
pub(crate) const WORKFLOW_READ: &str = "/workflows/management/read/";
/// Approve and deny enrollment requests.
pub(crate) const WORKFLOW_PARTICIPATE: &str = "/workflows/management/participate/";
/// Read every workflow instance.
pub(crate) const INSTANCES_READ_ALL: &str = "/workflows/instances/read_all/";
/// Read the workflow instances that one may decide.
pub(crate) const INSTANCES_READ_ASSIGNED: &str = "/workflows/instances/read_assigned_to_me/";
/// Read the workflow instances that one began.
pub(crate) const INSTANCES_READ_MY: &str = "/workflows/instances/read_my/";
/// Stop and delete workflow instances.
pub(crate) const INSTANCES_MANAGE: &str = "/workflows/instances/manage/";
/// Read certificate stores; may be narrowed to a container.
pub(crate) const STORES_READ: &str = "/certificate_stores/read/";
/// Schedule jobs on certificate stores; may be narrowed to a container.
pub(crate) const STORES_SCHEDULE: &str = "/certificate_stores/schedule/";
/// Make and change certificate stores; may be narrowed to a container.
pub(crate) const STORES_MODIFY: &str = "/certificate_stores/modify/";
/// Read roles, users and API tokens.
pub(crate) const SECURITY_READ: &str = "/security/read/";
/// Make and delete roles, users and API tokens.
pub(crate) const SECURITY_MODIFY: &str = "/security/modify/";

/// Read the audit log.
pub(crate) const AUDIT_READ: &str = "/auditing/read/";

/// Longest permission, in bytes.
const MAX_LENGTH: usize = 200;

/// The older spelling, area and permission, beside its path. Every permission that may be granted is here or
/// in [`PATHS_ALONE`].
pub(super) const AREAS: &[(&str, &str, &str)] = &[
    ("AdminPortal", "Read", "/portal/read/"),
    ("AgentAutoRegistration", "Read", "/agents/auto_registration/read/"),
    ("AgentAutoRegistration", "Modify", "/agents/auto_registration/modify/"),
    ("AgentManagement", "Read", AGENTS_READ),
    ("AgentManagement", "Modify", AGENTS_MODIFY),
    ("API", "Read", "/api/read/"),
    ("ApplicationSettings", "Read", "/application_settings/read/"),
    ("ApplicationSettings", "Modify", "/application_settings/modify/"),
    ("Auditing", "Read", AUDIT_READ),
    ("CertificateCollections", "Modify", COLLECTIONS_MODIFY),
    ("CertificateEnrollment", "EnrollPFX", ENROLL_PFX),
    ("CertificateEnrollment", "EnrollCSR", ENROLL_CSR),
    ("CertificateEnrollment", "CsrGeneration", "/certificates/enrollment/csr_generation/"),
    ("CertificateEnrollment", "PendingCsr", "/certificates/enrollment/pending_csr/"),
    ("CertificateMetadataTypes", "Read", "/metadata/types/read/"),
    ("CertificateMetadataTypes", "Modify", "/metadata/types/modify/"),
    ("Certificates", "Read", CERTIFICATES_READ),
    ("Certificates", "EditMetadata", "/certificates/collections/metadata/modify/"),
    ("Certificates", "Import", "/certificates/import/"),
    ("Certificates", "Recover", "/certificates/collections/private_key/read/"),
    ("Certificates", "Revoke", CERTIFICATES_REVOKE),
    ("Certificates", "Delete", "/certificates/collections/delete/"),
    ("Certificates", "ImportPrivateKey", "/certificates/collections/private_key/import/"),
    ("CertificateStoreManagement", "Read", STORES_READ),
    ("CertificateStoreManagement", "Schedule", STORES_SCHEDULE),
    ("CertificateStoreManagement", "Modify", STORES_MODIFY),
    ("Dashboard", "Read", "/dashboard/read/"),
    ("Dashboard", "RiskHeader", "/dashboard/risk_header/"),
    ("EventHandlerRegistration", "Read", "/event_handlers/read/"),
    ("EventHandlerRegistration", "Modify", "/event_handlers/modify/"),
    ("MacAutoEnrollManagement", "Read", "/mac_auto_enroll/read/"),
    ("MacAutoEnrollManagement", "Modify", "/mac_auto_enroll/modify/"),
    ("Monitoring", "Read", "/monitoring/read/"),
    ("Monitoring", "Modify", "/monitoring/modify/"),
    ("Monitoring", "Test", "/monitoring/test/"),
    ("PkiManagement", "Read", PKI_READ),
    ("PkiManagement", "Modify", PKI_MODIFY),
    ("PrivilegedAccessManagement", "Read", "/privileged_access/read/"),
    ("PrivilegedAccessManagement", "Modify", "/privileged_access/modify/"),
    ("Reports", "Read", "/reports/read/"),
    ("Reports", "Modify", "/reports/modify/"),
    ("SecuritySettings", "Read", SECURITY_READ),
    ("SecuritySettings", "Modify", SECURITY_MODIFY),
    ("SSH", "User", "/ssh/user/"),
    ("SSH", "ServerAdmin", "/ssh/server_admin/"),
    ("SSH", "EnterpriseAdmin", "/ssh/enterprise_admin/"),
    ("SslManagement", "Read", "/ssl/read/"),
    ("SslManagement", "Modify", "/ssl/modify/"),
    ("SystemSettings", "Read", "/system_settings/read/"),
    ("SystemSettings", "Modify", "/system_settings/modify/"),
    ("WorkflowDefinitions", "Read", "/workflows/definitions/read/"),
    ("WorkflowDefinitions", "Modify", "/workflows/definitions/modify/"),
    ("WorkflowInstances", "ReadAll", INSTANCES_READ_ALL),
    ("WorkflowInstances", "ReadAssignedToMe", INSTANCES_READ_ASSIGNED),
    ("WorkflowInstances", "ReadMy", INSTANCES_READ_MY),
    ("WorkflowInstances", "Manage", INSTANCES_MANAGE),
    ("WorkflowManagement", "Read", WORKFLOW_READ),
    ("WorkflowManagement", "Modify", "/workflows/management/modify/"),
    ("WorkflowManagement", "Test", "/workflows/management/test/"),
    ("WorkflowManagement", "Participate", WORKFLOW_PARTICIPATE),
    ("WorkflowManagement", "Manage", "/workflows/management/manage/"),
];

/// Permissions that have no older spelling.
const PATHS_ALONE: &[&str] =
    &["/certificates/collections/change_owner/", PATTERNS_READ, "/enrollment_pattern/modify/"];

/// What a permission can be narrowed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One container of certificate stores.
    Container,
    /// One collection of certificates.
    Collection,
}

/// Permissions that can be narrowed to one container or collection.
const NARROWABLE: &[(&str, Scope)] = &[
    (CERTIFICATES_READ, Scope::Collection),
    (CERTIFICATES_REVOKE, Scope::Collection),
    ("/certificates/collections/delete/", Scope::Collection),
    ("/certificates/collections/metadata/modify/", Scope::Collection),
    ("/certificates/collections/private_key/read/", Scope::Collection),
    ("/certificates/collections/private_key/import/", Scope::Collection),
    ("/certificates/collections/change_owner/", Scope::Collection),
    (STORES_READ, Scope::Container),
    (STORES_SCHEDULE, Scope::Container),
    (STORES_MODIFY, Scope::Container),
];

/// Names of the permissions on one container in the first version of the contract.
pub(super) const ON_CONTAINERS: &[(&str, &str)] =
    &[("Read", STORES_READ), ("Schedule", STORES_SCHEDULE), ("Modify", STORES_MODIFY)];

/// Likewise on one collection.
pub(super) const ON_COLLECTIONS: &[(&str, &str)] = &[
    ("Read", CERTIFICATES_READ),
    ("EditMetadata", "/certificates/collections/metadata/modify/"),
    ("Recover", "/certificates/collections/private_key/read/"),
    ("Revoke", CERTIFICATES_REVOKE),
    ("Delete", "/certificates/collections/delete/"),
];

/// What a permission can be narrowed to, where it can.
pub(crate) fn scope_of(permission: &str) -> Option<Scope> {
    NARROWABLE.iter().find(|(known, _)| *known == permission).map(|(_, scope)| *scope)
}

/// Every permission that may be granted, as paths in their order.
pub(crate) fn all() -> Vec<&'static str> {
    let mut paths: Vec<_> =
        AREAS.iter().map(|(_, _, path)| *path).chain(PATHS_ALONE.iter().copied()).collect();
    paths.sort_unstable();
    paths
}

/// A canonical path in the older spelling, where it has one.
pub(super) fn spelled(path: &str) -> String {
    let known = AREAS.iter().find(|(_, _, known)| *known == path);
    known.map_or_else(|| path.to_owned(), |(area, permission, _)| format!("{area}:{permission}"))
}

/// Whether a canonical path has no older spelling though it is one permission.
pub(super) fn has_no_area(path: &str) -> bool {
    PATHS_ALONE.contains(&path)
}

/// A narrowed path as the permission and the number of the container or collection.
pub(super) fn split_narrowed(path: &str) -> Option<(&'static str, Scope, i64)> {
    NARROWABLE.iter().find_map(|(permission, scope)| {
        let number = path.strip_prefix(permission)?.strip_suffix('/')?;
        let parsed = number.parse::<i64>().ok()?;
        (parsed > 0 && parsed.to_string() == number).then_some((*permission, *scope, parsed))
    })
}

/// Whether a grant covers a permission; both in canonical form.
pub(super) fn covers(grant: &str, permission: &str) -> bool {
    grant.starts_with('/') && grant.ends_with('/') && permission.starts_with(grant)
}

/// A permission narrowed to one container or collection.
pub(super) fn narrowed(permission: &str, scope: i64) -> String {
    format!("{permission}{scope}/")
}

/// Whether grants give a permission, everywhere or for one of these containers or collections.
pub(crate) fn gives(grants: &[String], permission: &str, scopes: &[i64]) -> bool {
    let given = |permission: &str| grants.iter().any(|grant| covers(grant, permission));
    given(permission) || scopes.iter().any(|scope| given(&narrowed(permission, *scope)))
}

/// The container or collection to which a grant narrows a permission; nothing for a wider grant, and for one of another
/// permission.
pub(crate) fn narrowed_to(grant: &str, permission: &str) -> Option<i64> {
    grant.strip_prefix(permission)?.strip_suffix('/')?.parse().ok()
}

/// Reads a permission in either spelling and answers its canonical path.
pub(super) fn parse(text: &str) -> Result<String, Error> {
    let refuse = |reason| Error::UnknownPermission { text: shortened(text), reason };
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.len() > MAX_LENGTH {
        return Err(refuse("is empty or longer than 200 bytes"));
    }
    if let Some((area, permission)) = trimmed.split_once(':') {
        let known = AREAS.iter().find(|(known_area, known_permission, _)| {
            known_area.eq_ignore_ascii_case(area.trim())
                && known_permission.eq_ignore_ascii_case(permission.trim())
        });
        return known
            .map(|(_, _, path)| (*path).to_owned())
            .ok_or_else(|| refuse("is no known Area:Permission"));
    }
    let path =
        canonical(trimmed).ok_or_else(|| refuse("has an empty part; write it as /area/permission/"))?;
    match is_node(&path) || split_narrowed(&path).is_some() {
        true => Ok(path),
        false => Err(refuse("is no known permission path, nor a part of the tree above one")),
    }
}

/// Lower case, with a slash before and behind each part; `None` when a part is empty.
fn canonical(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let inner = lower.strip_prefix('/').unwrap_or(&lower);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    match inner {
        "" => (lower == "/").then_some(lower),
        inner if inner.split('/').any(str::is_empty) => None,
        inner => Some(format!("/{inner}/")),
    }
}

/// Whether a path is a permission or lies above one.
fn is_node(path: &str) -> bool {
    all().into_iter().any(|known| known.starts_with(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_lead_to_one_canonical_path() {
        for text in [
            "/agents/management/read/",
            "/Agents/Management/Read",
            "agents/management/read",
            "AgentManagement:Read",
        ] {
            assert_eq!(parse(text).unwrap(), AGENTS_READ, "{text}");
        }
        assert_eq!(parse(" certificatestoremanagement : schedule ").unwrap(), STORES_SCHEDULE);
        assert_eq!(parse("/").unwrap(), "/");
        assert_eq!(parse("/certificates/").unwrap(), "/certificates/");
        assert_eq!(parse("/certificate_stores/read/31").unwrap(), "/certificate_stores/read/31/");
    }

    #[test]
    fn what_is_no_permission_is_refused_by_name() {
        for text in [
            "",
            "//",
            "/agents//read/",
            "/agent/",
            "/certificate_stores/read/031/",
            "/certificate_stores/read/-1/",
            "/certificate_stores/read/+1/",
            "/certificate_stores/read/x/",
            "/certificate_stores/read/3/1/",
            "/security/read/3/",
            "/certificate_stores/rea/",
            "Agents:Everything",
            "AgentManagement:",
            "..",
            "/%2f/",
        ] {
            assert!(matches!(parse(text), Err(Error::UnknownPermission { .. })), "{text}");
        }
        assert!(parse("Agents:Everything").unwrap_err().to_string().contains("'Agents:Everything'"));
        assert!(parse(&"/x".repeat(200)).is_err());
    }

    #[test]
    fn a_grant_covers_what_is_below_it_and_nothing_beside_it() {
        assert!(covers("/", AGENTS_MODIFY));
        assert!(covers("/agents/", AGENTS_MODIFY));
        assert!(covers(STORES_READ, "/certificate_stores/read/31/"));
        assert!(!covers("/certificate_stores/read/3/", "/certificate_stores/read/31/"));
        assert!(!covers("/certificate_stores/read/31/", STORES_READ));
        assert!(!covers("/certificate_stores/read/31/", "/certificate_stores/read/3/"));
        assert!(!covers("/certificate/", "/certificates/import/"));
        assert!(!covers(AGENTS_READ, AGENTS_MODIFY));
        assert!(!covers("", AGENTS_READ));
        assert!(!covers("/agents/management/re", AGENTS_READ));
    }

    #[test]
    fn the_table_is_canonical_and_has_no_doubles() {
        let mut paths = all();
        for path in &paths {
            assert_eq!(parse(path).unwrap(), *path);
            assert_eq!(parse(&spelled(path)).unwrap(), *path);
        }
        let count = paths.len();
        paths.dedup();
        assert_eq!(paths.len(), count);
        assert!(NARROWABLE.iter().all(|(path, _)| paths.contains(path)));
        assert!(ON_CONTAINERS.iter().all(|(_, path)| scope_of(path) == Some(Scope::Container)));
        assert!(ON_COLLECTIONS.iter().all(|(_, path)| scope_of(path) == Some(Scope::Collection)));
    }

    #[test]
    fn a_narrowed_path_is_taken_apart() {
        assert_eq!(split_narrowed("/certificate_stores/read/31/"), Some((STORES_READ, Scope::Container, 31)));
        for whole in [STORES_READ, "/", "/certificate_stores/read/031/", "/security/read/3/"] {
            assert_eq!(split_narrowed(whole), None, "{whole}");
        }
    }
}
