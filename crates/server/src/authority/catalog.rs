//! Certificate authorities as operators see them (operator contract, 9.7). All are embedded ones: they can be read,
//! tested, and changed in whom they issue for; others cannot be added, and these cannot be removed.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sealift_protocol::operator::authority as wire;
use sqlx::PgConnection;

use super::error::Error;
use super::queries::{self, AuthoritySettings};
use super::{Authority, Held, Kind, check_roles};
use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind as FieldKind};
use crate::http::list::ListQuery;
use crate::http::listing::{Column, Listing, Order};
use crate::security::{Principal, audit, permission};

/// What filters and sort orders of authorities may name.
pub(super) const FIELDS: &[Field] = &[
    Field { name: "Id", sql: "a.id", kind: FieldKind::Number },
    Field { name: "LogicalName", sql: "a.name", kind: FieldKind::Text },
    Field { name: "AllowedEnrollmentTypes", sql: "a.enrollment_types", kind: FieldKind::Number },
];
const FROM: &str = " FROM authorities a WHERE true";
/// Type of an authority that is reached by HTTPS, the nearer of the contract's two.
const HTTPS: i32 = 1;
/// Key retention of an authority: the templates decide.
const NO_RETENTION: i32 = 0;

/// Lists the authorities.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    authority: &Authority,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<wire::CertificateAuthority>, i64), Failure> {
    caller.require(permission::PKI_READ)?;
    let asker = Asker { name: caller.name(), now };
    let key = Column { sql: "a.id", kind: FieldKind::Number };
    let listing = Listing {
        name: "authority_page",
        columns: "a.id",
        from: FROM,
        fields: FIELDS,
        order: Order { by: key, descending: false },
        key,
        narrow: Vec::new(),
    };
    let (ids, total): (Vec<(i64,)>, i64) = listing.page(&mut *db, list, &asker).await?;
    let mut settings = all_settings(db).await?;
    let answers = ids.iter().filter_map(|(id,)| {
        let held = authority.by_id(*id)?;
        Some(authority.answered(held, settings.remove(id)?))
    });
    Ok((answers.collect(), total))
}

/// Answers one authority.
pub(super) async fn get(
    db: &mut PgConnection,
    caller: &Principal,
    authority: &Authority,
    id: i64,
) -> Result<wire::CertificateAuthority, Failure> {
    caller.require(permission::PKI_READ)?;
    let settings = all_settings(db).await?.remove(&id);
    let known = authority.by_id(id).zip(settings);
    let (held, settings) = known.ok_or_else(|| Error::NotFound(format!("certificate authority {id}")))?;
    Ok(authority.answered(held, settings))
}

/// Changes for whom and how the issuing authority issues, and answers it.
pub(super) async fn change(
    db: &mut PgConnection,
    caller: &Principal,
    authority: &Authority,
    request: &wire::ChangeAuthority,
    now: DateTime<Utc>,
) -> Result<wire::CertificateAuthority, Failure> {
    caller.require(permission::PKI_MODIFY)?;
    let id = request.id.ok_or_else(|| Error::Invalid("Id is required".to_owned()))?;
    let settings = all_settings(db).await?.remove(&id);
    let known = authority.by_id(id).zip(settings);
    let (held, settings) = known.ok_or_else(|| Error::NotFound(format!("certificate authority {id}")))?;
    let before = authority.answered(held, settings.clone());
    if let Some(roles) = &request.allowed_requesters {
        check_roles(db, "AllowedRequesters", roles).await?;
    }
    let settings = decide(&before, settings, request, held.kind == Kind::Issuing)?;
    queries::change_authority(db, &settings).await?;
    let message = format!("certificate authority '{}' was changed", held.name);
    let line = audit::Line::new(caller, audit::Operation::Updated, "CertificateAuthority", id, message);
    audit::record(db, &[line], now).await?;
    Ok(authority.answered(held, settings))
}

/// Refuses another authority.
pub(super) fn create(caller: &Principal) -> Result<(), Failure> {
    caller.require(permission::PKI_MODIFY)?;
    Err(Error::Embedded(
        "certificate authorities cannot be added: this server issues by its embedded authority; to use one of your \
         own, import it before the first start (sealift-server import-authority)"
            .to_owned(),
    )
    .into())
}

/// Refuses to delete an embedded authority.
pub(super) fn delete(caller: &Principal, authority: &Authority, id: i64) -> Result<(), Failure> {
    caller.require(permission::PKI_MODIFY)?;
    let held = authority.by_id(id).ok_or_else(|| Error::NotFound(format!("certificate authority {id}")))?;
    Err(Error::Embedded(format!(
        "certificate authority '{}' cannot be deleted: it is embedded, and certificates that it issued are in use",
        held.name
    ))
    .into())
}

/// Whether an authority can sign now.
pub(super) fn test(
    caller: &Principal,
    authority: &Authority,
    request: &wire::ChangeAuthority,
    now: DateTime<Utc>,
) -> Result<wire::AuthorityTest, Failure> {
    caller.require(permission::PKI_READ)?;
    let held = match request.id.filter(|id| *id != 0) {
        Some(id) => {
            authority.by_id(id).ok_or_else(|| Error::NotFound(format!("certificate authority {id}")))?
        }
        None => {
            named(authority, request.host_name.as_deref(), request.logical_name.as_deref(), "LogicalName")?
        }
    };
    let reason = match held.issuer {
        None => Some("its private key is held elsewhere".to_owned()),
        Some(_) if now >= held.certificate.not_after() => Some("it has expired".to_owned()),
        Some(_) => None,
    };
    let message = match &reason {
        None => format!("'{}' can sign until {}", held.name, held.certificate.not_after()),
        Some(reason) => format!("'{}' cannot sign: {reason}", held.name),
    };
    Ok(wire::AuthorityTest { success: reason.is_none(), message })
}

/// Asks for the next revocation list of an authority; the caller of this signs it then.
pub(super) async fn demand_list(
    db: &mut PgConnection,
    caller: &Principal,
    authority: &Authority,
    request: &wire::PublishList,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    caller.require(permission::PKI_MODIFY)?;
    let name = request.certificate_authority_logical_name.as_deref();
    let member = "CertificateAuthorityLogicalName";
    let held = named(authority, request.certificate_authority_host_name.as_deref(), name, member)?;
    if held.issuer.is_none() {
        return Err(Error::Embedded(format!(
            "{member}: the key of '{}' is held elsewhere, and so is its revocation list",
            held.name
        ))
        .into());
    }
    queries::mark_list_stale(db, held.id).await?;
    let message = format!("the revocation list of '{}' was published", held.name);
    let line = audit::Line::new(caller, audit::Operation::Updated, "CertificateAuthority", held.id, message);
    Ok(audit::record(db, &[line], now).await?)
}

fn named<'a>(
    authority: &'a Authority,
    host: Option<&str>,
    name: Option<&str>,
    member: &str,
) -> Result<&'a Held, Error> {
    let name = name.map(str::trim).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Error::Invalid(format!("{member} is required")))?;
    let fits = |held: &&Held| held.name.eq_ignore_ascii_case(name);
    let ours =
        host.is_none_or(|host| host.trim().is_empty() || host.trim().eq_ignore_ascii_case(authority.host()));
    let held = authority.all().into_iter().find(fits).filter(|_| ours);
    held.ok_or_else(|| {
        Error::NotFound(format!("certificate authority '{}'", crate::http::problem::shortened(name)))
    })
}

async fn all_settings(db: &mut PgConnection) -> Result<HashMap<i64, AuthoritySettings>, Error> {
    let rows = queries::authority_settings(db).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// What is fixed may be sent back as it was read, and nothing else.
fn decide(
    before: &wire::CertificateAuthority,
    mut settings: AuthoritySettings,
    request: &wire::ChangeAuthority,
    issuing: bool,
) -> Result<AuthoritySettings, Error> {
    let fixed = |member: &str| {
        Err(Error::Embedded(format!(
            "{member}: this cannot be changed of an embedded authority; leave it out"
        )))
    };
    let other = |given: &Option<String>, is: &str| {
        given.as_ref().is_some_and(|given| !given.trim().eq_ignore_ascii_case(is))
    };
    if other(&request.logical_name, &before.logical_name) {
        return fixed("LogicalName");
    }
    if other(&request.host_name, &before.host_name) {
        return fixed("HostName");
    }
    if request.ca_type.is_some_and(|kind| kind != before.ca_type) {
        return fixed("CAType");
    }
    for (member, given, is) in [
        ("Standalone", request.standalone, before.standalone),
        ("Delegate", request.delegate, before.delegate),
        ("MonitorThresholds", request.monitor_thresholds, before.monitor_thresholds),
        ("EnforceUniqueDN", request.enforce_unique_dn, before.enforce_unique_dn),
    ] {
        if given.is_some_and(|given| given != is) {
            return fixed(member);
        }
    }
    if let Some(types) =
        request.allowed_enrollment_types.filter(|types| *types != before.allowed_enrollment_types)
    {
        let types = i16::try_from(types).ok().filter(|types| (0..=7).contains(types));
        let refused = || {
            Error::Invalid(
                "AllowedEnrollmentTypes: expected 0 to 7: 1 PFX, 2 CSR, 4 CSR generation".to_owned(),
            )
        };
        settings.enrollment_types = types.ok_or_else(refused)?;
        if !issuing {
            return fixed("AllowedEnrollmentTypes");
        }
    }
    settings.restricted = request.use_allowed_requesters.unwrap_or(settings.restricted);
    settings.require_dns = request.rfc_enforcement.unwrap_or(settings.require_dns);
    settings.one_click = request.allow_one_click_renewals.unwrap_or(settings.one_click);
    settings.terms = request.subscriber_terms.unwrap_or(settings.terms);
    if let Some(roles) = &request.allowed_requesters {
        settings.allowed_roles.clone_from(roles);
    }
    Ok(settings)
}

impl Authority {
    fn by_id(&self, id: i64) -> Option<&Held> {
        self.all().into_iter().find(|held| held.id == id)
    }

    fn answered(&self, held: &Held, settings: AuthoritySettings) -> wire::CertificateAuthority {
        let issuing = held.kind == Kind::Issuing;
        let host = self.host().to_owned();
        wire::CertificateAuthority {
            id: held.id,
            logical_name: held.name.clone(),
            host_name: host.clone(),
            delegate: false,
            delegate_enrollment: false,
            forest_root: host.clone(),
            configuration_tenant: host,
            remote: false,
            agent: None,
            standalone: false,
            monitor_thresholds: false,
            issuance_max: None,
            issuance_min: None,
            denial_max: None,
            failure_max: None,
            rfc_enforcement: settings.require_dns,
            properties: "{}".to_owned(),
            allowed_enrollment_types: if issuing { settings.enrollment_types.into() } else { 0 },
            key_retention: NO_RETENTION,
            key_retention_days: None,
            explicit_credentials: false,
            subscriber_terms: settings.terms,
            explicit_user: None,
            explicit_password: None,
            use_allowed_requesters: settings.restricted,
            allowed_requesters: settings.allowed_roles,
            ca_type: HTTPS,
            auth_certificate: None,
            enforce_unique_dn: false,
            allow_one_click_renewals: settings.one_click,
            new_end_entity_on_renew_and_reissue: false,
            use_ca_connector: false,
            connector_pool: None,
            agent_name: None,
            agent_username: None,
            token_url: None,
            client_id: None,
            scope: None,
            audience: None,
            client_secret: None,
            certificate_cleanup_enabled: false,
            time_after_expiration: None,
            time_after_expiration_units: None,
            delete_with_archived_key: false,
            use_for_enrollment: issuing,
        }
    }
}
