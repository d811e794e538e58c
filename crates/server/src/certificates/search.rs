//! Reading certificates: one by its id, or those that match a query.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sealift_protocol::operator::certificates::{Certificate, Location, LocationCount};
use sqlx::PgConnection;

use super::error::Error;
use super::{answer, collection, queries, supply};
use crate::authority::Authority;
use crate::http::filter_sql::Asker;
use crate::http::list::ListQuery;
use crate::security::{Principal, permission};

/// Most places of one certificate that are answered; the counts go beyond it.
const MAX_LOCATIONS: i64 = 10_000;

/// What a caller wants to see of certificates beside the certificates themselves.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Include {
    /// Where they were found.
    pub(super) locations: bool,
    /// Their metadata.
    pub(super) metadata: bool,
    /// Whether the server keeps their keys.
    pub(super) has_private_key: bool,
    /// Revoked ones, in lists.
    pub(super) revoked: bool,
    /// Expired ones, in lists.
    pub(super) expired: bool,
}

impl Include {
    /// From the parameters of a call.
    pub(super) fn of(query: &ListQuery) -> Self {
        Self {
            locations: query.flag("includeLocations"),
            metadata: query.flag("includeMetadata"),
            has_private_key: query.flag("includeHasPrivateKey"),
            revoked: query.flag("includeRevoked"),
            expired: query.flag("includeExpired"),
        }
    }
}

/// Answers one certificate.
pub(super) async fn get(
    db: &mut PgConnection,
    caller: &Principal,
    authority: &Authority,
    id: i64,
    query: &ListQuery,
    now: DateTime<Utc>,
) -> Result<Certificate, Error> {
    let collection_id = collection_id(query)?;
    supply::require_readable(db, caller, id, collection_id, now).await?;
    let row = queries::certificate(db, id).await?.ok_or_else(|| Error::NotFound(id.to_string()))?;
    let mut answers = answers(db, authority, vec![row], Include::of(query)).await?;
    answers.pop().ok_or_else(|| Error::NotFound(id.to_string()))
}

/// Lists the certificates that match, with the number of all that do. With a collection, only its members.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    authority: &Authority,
    query: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<Certificate>, i64), Error> {
    let collection_id = collection_id(query)?;
    caller.require_for(permission::CERTIFICATES_READ, collection_id)?;
    let members = match collection_id {
        Some(id) => Some(collection::query_of(db, id).await?),
        None => None,
    };
    let include = Include::of(query);
    let search = queries::Search {
        list: query,
        members: members.as_deref(),
        revoked: include.revoked,
        expired: include.expired,
        asker: Asker { name: caller.name(), now },
    };
    let (rows, total) = queries::certificates(db, &search).await?;
    Ok((answers(db, authority, rows, include).await?, total))
}

fn collection_id(query: &ListQuery) -> Result<Option<i64>, Error> {
    Ok(query.number("collectionId")?.filter(|id| *id != 0))
}

async fn answers(
    db: &mut PgConnection,
    authority: &Authority,
    rows: Vec<queries::CertificateRow>,
    include: Include,
) -> Result<Vec<Certificate>, Error> {
    let mut places: HashMap<i64, Vec<queries::LocationRow>> = HashMap::new();
    if include.locations {
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        for place in queries::locations(db, &ids, MAX_LOCATIONS).await? {
            places.entry(place.certificate_id).or_default().push(place);
        }
    }
    rows.into_iter()
        .map(|row| {
            let places = places.remove(&row.id).unwrap_or_default();
            let mut certificate = answer::certificate(row, authority, include)?;
            certificate.locations_count = counts(&places);
            certificate.locations = places.into_iter().map(location).collect();
            Ok(certificate)
        })
        .collect()
}

/// One count for each store type, in the order in which the types appear.
fn counts(places: &[queries::LocationRow]) -> Vec<LocationCount> {
    let mut counts: Vec<LocationCount> = Vec::new();
    for place in places {
        if !counts.iter().any(|count| count.kind == place.store_type_name) {
            counts.push(LocationCount { kind: place.store_type_name.clone(), count: place.of_type });
        }
    }
    counts
}

fn location(place: queries::LocationRow) -> Location {
    Location {
        store_machine: place.store_machine,
        store_path: place.store_path,
        store_type: place.store_type,
        alias: place.alias,
        chain_level: place.chain_level.into(),
        cert_store_id: place.store_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(kind: &str, of_type: i64) -> queries::LocationRow {
        queries::LocationRow {
            certificate_id: 1,
            store_machine: "web1.example.test".to_owned(),
            store_path: "/etc/nginx/tls".to_owned(),
            store_type: 2,
            store_type_name: kind.to_owned(),
            alias: "a".to_owned(),
            chain_level: 0,
            store_id: sealift_protocol::StoreId::generate(),
            of_type,
        }
    }

    #[test]
    fn counts_are_by_store_type() {
        let counts = counts(&[place("PEM", 12_000), place("CCS", 1), place("PEM", 12_000)]);
        let pairs: Vec<_> = counts.iter().map(|count| (count.kind.as_str(), count.count)).collect();
        assert_eq!(pairs, [("PEM", 12_000), ("CCS", 1)]);
    }
}
