//! Identity providers as the API shows them. How one is set up stands in the configuration of the server, where only
//! who runs the server can change whom it trusts; the API changes its name for people.

use chrono::{DateTime, Utc};
use sealift_protocol::operator::roles::{IdentityProvider, ProviderParameter, ProviderType, UpdateProvider};
use sqlx::PgConnection;
use uuid::{Uuid, uuid};

use super::audit::{self, Line, Operation};
use super::error::Error;
use super::principal::Principal;
use super::queries::claims::{self as queries, ProviderRow};
use super::queries::lock;
use super::{permission, text};
use crate::configuration::Oidc;
use crate::http::Failure;
use crate::http::problem::shortened;

/// The kind of this server's own users, and that of OpenID Connect.
const LOCAL_TYPE: Uuid = uuid!("5ea11f70-0000-4000-8000-000000000003");
const OIDC_TYPE: Uuid = uuid!("5ea11f70-0000-4000-8000-000000000004");
/// A setting that is a text.
const TEXT: i32 = 1;
/// Characters of a name for people.
const MAX_NAME: usize = 256;

/// The settings of OpenID Connect: name, name for people, whether one must be set, and how it is configured.
type Setting = (&'static str, &'static str, bool, fn(&Oidc) -> String);
const SETTINGS: [Setting; 7] = [
    ("Issuer", "Issuer (oidc.issuer)", true, |oidc| oidc.issuer.clone()),
    ("Audience", "Audiences (oidc.audiences)", true, |oidc| oidc.audiences.join(",")),
    ("NameClaimType", "Claim of the name (oidc.name_claim)", true, |oidc| oidc.name_claim.clone()),
    ("RoleClaimType", "Claim of roles (oidc.roles_claim)", false, |oidc| oidc.roles_claim.clone()),
    ("GroupClaimType", "Claim of groups (oidc.groups_claim)", false, |oidc| oidc.groups_claim.clone()),
    ("ClientClaimType", "Claim of the client (oidc.client_claim)", false, |oidc| oidc.client_claim.clone()),
    ("ObjectClaimType", "Claim of the object id (oidc.object_claim)", false, |oidc| {
        oidc.object_claim.clone()
    }),
];

/// The providers whose claims this server knows. `used` is the one that is configured now.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    oidc: &Oidc,
    used: Option<Uuid>,
) -> Result<Vec<IdentityProvider>, Failure> {
    caller.require(permission::SECURITY_READ)?;
    let rows = queries::providers(db).await?;
    Ok(rows.into_iter().map(|row| answered(row, oidc, used)).collect())
}

/// One provider.
pub(super) async fn get(
    db: &mut PgConnection,
    caller: &Principal,
    oidc: &Oidc,
    used: Option<Uuid>,
    id: Uuid,
) -> Result<IdentityProvider, Failure> {
    caller.require(permission::SECURITY_READ)?;
    Ok(answered(found(db, id).await?, oidc, used))
}

/// The kinds of provider.
pub(super) fn types(caller: &Principal) -> Result<Vec<ProviderType>, Failure> {
    caller.require(permission::SECURITY_READ)?;
    Ok(vec![
        ProviderType { id: LOCAL_TYPE, name: "Local".to_owned(), type_parameters: Vec::new() },
        ProviderType { id: OIDC_TYPE, name: "OpenID Connect".to_owned(), type_parameters: parameters(None) },
    ])
}

/// Changes the name for people. What the configuration says can be repeated, and not changed.
pub(super) async fn update(
    db: &mut PgConnection,
    caller: &Principal,
    oidc: &Oidc,
    used: Option<Uuid>,
    id: Uuid,
    request: UpdateProvider,
    now: DateTime<Utc>,
) -> Result<IdentityProvider, Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    lock(db).await?;
    let old = found(db, id).await?;
    let configured = answered(old.clone(), oidc, used);
    require_unchanged(&configured, &request)?;
    let display_name = match request.display_name {
        Some(name) => text::name("DisplayName", Some(name), MAX_NAME)?,
        None => old.display_name.clone(),
    };
    let row = ProviderRow { display_name, ..old };
    queries::update_provider(db, &row).await?;
    let message = format!("Identity provider '{}' was named '{}'", row.scheme, row.display_name);
    audit::record(db, &[Line::new(caller, Operation::Updated, "IdentityProvider", id, message)], now).await?;
    Ok(answered(row, oidc, used))
}

fn require_unchanged(configured: &IdentityProvider, request: &UpdateProvider) -> Result<(), Error> {
    let refuse = |member: &str| {
        Err(Error::Invalid(format!(
            "{member} stands in the configuration of the server (section oidc) and cannot be changed here"
        )))
    };
    let scheme = request.authentication_scheme.as_deref();
    if scheme.is_some_and(|scheme| scheme != configured.authentication_scheme) {
        return refuse("AuthenticationScheme");
    }
    for setting in request.parameters.iter().flatten() {
        let name = setting.name.as_deref().unwrap_or_default();
        let known = configured.parameters.iter().find(|one| one.name.eq_ignore_ascii_case(name));
        let same = known.is_some_and(|one| {
            one.value.as_deref().unwrap_or_default() == setting.value.as_deref().unwrap_or_default()
        });
        if !same {
            return refuse(&format!("Parameters: '{}'", shortened(name)));
        }
    }
    Ok(())
}

fn answered(row: ProviderRow, oidc: &Oidc, used: Option<Uuid>) -> IdentityProvider {
    let of_oidc = row.issuer.is_some();
    IdentityProvider {
        type_id: if of_oidc { OIDC_TYPE } else { LOCAL_TYPE },
        parameters: if of_oidc { parameters((used == Some(row.id)).then_some(oidc)) } else { Vec::new() },
        id: row.id,
        authentication_scheme: row.scheme,
        display_name: row.display_name,
    }
}

/// The settings; with values only of the provider in use, since the server knows no others.
fn parameters(oidc: Option<&Oidc>) -> Vec<ProviderParameter> {
    let one = |(id, (name, display_name, required, value)): (i64, Setting)| ProviderParameter {
        id,
        name: name.to_owned(),
        display_name: display_name.to_owned(),
        required,
        data_type: TEXT,
        value: oidc.map(value),
        secret_value: None,
    };
    (1..).zip(SETTINGS).map(one).collect()
}

async fn found(db: &mut PgConnection, id: Uuid) -> Result<ProviderRow, Error> {
    let rows = queries::providers(db).await?;
    rows.into_iter()
        .find(|row| row.id == id)
        .ok_or_else(|| Error::NotFound(format!("identity provider {id}")))
}
