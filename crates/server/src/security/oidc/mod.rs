//! Callers of an OpenID Connect provider: their tokens, the keys that sign them, and what their claims lead to.
//!
//! One provider can be configured (section `oidc`). Its discovery document tells where its keys are; they are kept
//! and fetched again when they age or when a token names one that is not known, so that the provider may change
//! them, and may be away for a while. A token counts when it is signed by such a key with an algorithm of a public
//! key, was made by the configured issuer for one of the configured audiences, and its time is now. What it says of
//! its holder becomes claims, and roles are given to claims (`claims.rs`).

mod fetch;
mod keys;
mod token;

use chrono::{DateTime, Utc};
use sealift_protocol::operator::roles::ClaimType;
use sqlx::PgConnection;
use uuid::Uuid;

use super::audit::{self, Line, Operation};
use super::error::Error;
use super::principal::Principal;
use super::queries;
use super::queries::claims::{ProviderRow, insert_provider, providers, standing, update_provider};
use crate::floor::Floor;
use keys::Keys;

pub(crate) use token::Settings;

/// The configured provider.
pub(crate) struct Provider {
    id: Uuid,
    scheme: String,
    settings: Settings,
    keys: Keys,
}

/// A caller that a token vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vouched {
    /// Its name at the provider.
    pub(super) name: String,
    /// What the token says of it.
    pub(super) claims: Vec<(ClaimType, String)>,
    /// When the token ends.
    pub(super) expires: DateTime<Utc>,
}

/// Enters the configured provider into the database, where there is one. A provider is known by its issuer: claims
/// that were made for one are never taken for those of another.
///
/// # Errors
/// [`Error::Provider`] when the scheme belongs to another issuer or the settings cannot be used, and faults.
pub(crate) async fn open(floor: &Floor) -> Result<Option<Provider>, Error> {
    let configured = &floor.configuration.oidc;
    if configured.issuer.is_empty() {
        return Ok(None);
    }
    let mut db = floor.database.main.begin().await?;
    queries::lock(&mut db).await?;
    let known = providers(&mut db).await?;
    let scheme = configured.scheme.trim().to_owned();
    let of_issuer = |one: &&ProviderRow| one.issuer.as_deref() == Some(configured.issuer.as_str());
    let taken = known.iter().find(|one| one.scheme.eq_ignore_ascii_case(&scheme) && !of_issuer(one));
    if let Some(taken) = taken {
        let whom = taken.issuer.as_deref().unwrap_or("this server itself");
        return Err(Error::Provider(format!(
            "oidc.scheme '{scheme}' belongs to {whom}; choose another name"
        )));
    }
    let id = match known.iter().find(of_issuer) {
        Some(row) => {
            update_provider(&mut db, &ProviderRow { scheme: scheme.clone(), ..row.clone() }).await?;
            row.id
        }
        None => {
            let row = ProviderRow {
                id: Uuid::now_v7(),
                display_name: scheme.clone(),
                scheme: scheme.clone(),
                issuer: Some(configured.issuer.clone()),
            };
            insert_provider(&mut db, &row).await?;
            note(&mut db, &row, floor.now()).await?;
            row.id
        }
    };
    db.commit().await?;
    let keys = Keys::new(configured).await?;
    Ok(Some(Provider { id, scheme, settings: Settings::of(configured), keys }))
}

async fn note(db: &mut PgConnection, row: &ProviderRow, now: DateTime<Utc>) -> Result<(), Error> {
    let issuer = row.issuer.as_deref().unwrap_or_default();
    let message = format!("Identity provider '{}' was entered with issuer {issuer}", row.scheme);
    let server = Principal::system("sealift-server");
    let line = Line::new(&server, Operation::Created, "IdentityProvider", row.id, message);
    Ok(audit::record(db, &[line], now).await?)
}

impl Provider {
    /// Which row of the table it is.
    pub(super) fn id(&self) -> Uuid {
        self.id
    }

    /// Who presents a token, and until when it holds.
    ///
    /// # Errors
    /// [`Error::NotAuthenticated`] with what is wrong with the token, [`Error::ProviderUnavailable`] when there are
    /// no keys to check it with, and faults of the database.
    pub(super) async fn authenticate(
        &self,
        floor: &Floor,
        token: &str,
    ) -> Result<(Principal, DateTime<Utc>), Error> {
        let head = token::head(token)?;
        let key = self.keys.find(&head, floor).await?;
        let vouched = token::check(token, &head, &key, &self.settings, floor.now())?;
        let types: Vec<_> = vouched.claims.iter().map(|(kind, _)| kind.number()).collect();
        let values: Vec<_> = vouched.claims.into_iter().map(|(_, value)| value).collect();
        let mut db = floor.database.main.acquire().await?;
        let standing = standing(&mut db, self.id, &types, &values).await?;
        // Names of callers say in history and audit who it was, so this one says who vouched for it.
        let name = format!("{}\\{}", self.scheme, vouched.name);
        Ok((Principal::new(name, standing.roles, standing.permissions), vouched.expires))
    }
}
