//! Reading certificates: one by its id, or those that match a query.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sealift_protocol::StoreId;
use sealift_protocol::operator::certificate_stores::ServedTarget;
use sealift_protocol::operator::certificates::{
    Certificate, DetailedLocation, Location, LocationCount, LocationDetails, Locations,
};
use sqlx::PgConnection;

use super::error::Error;
use super::fields::Known;
use super::{answer, collection, queries, supply};
use crate::authority::Authority;
use crate::http::filter_sql::Asker;
use crate::http::list::ListQuery;
use crate::security::{Principal, permission};

/// Most places of one certificate that are answered; the counts go beyond it.
const MAX_LOCATIONS: i64 = 10_000;
/// Most results of targets that are answered with them.
const MAX_SERVED: i64 = 10_000;

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
        Some(id) => Some(collection::members_of(db, id).await?),
        None => None,
    };
    let include = Include::of(query);
    let known = Known::load(db).await?;
    let search = queries::Search {
        fields: &known.fields(),
        filter: query.filter.as_deref(),
        members: members.as_ref(),
        revoked: include.revoked,
        expired: include.expired,
        asker: Asker { name: caller.name(), now },
    };
    let (rows, total) = queries::certificates(db, &search, query).await?;
    Ok((answers(db, authority, rows, include).await?, total))
}

/// What an operation about many certificates is asked to do it with.
pub(super) struct Chosen<'a> {
    /// What the operation needs.
    pub(super) permission: &'a str,
    /// Which certificates.
    pub(super) query: Option<&'a str>,
    /// Of which collection; every certificate without one.
    pub(super) collection_id: Option<i64>,
    /// Revoked ones, too.
    pub(super) revoked: bool,
    /// Expired ones, too.
    pub(super) expired: bool,
    /// Most of them.
    pub(super) limit: usize,
}

/// The certificates that an operation is about. A query must be given, so that nobody chooses all by leaving it out.
///
/// # Errors
/// [`Error::Invalid`] without a query, and with more matches than the limit; a missing permission.
pub(super) async fn choose(
    db: &mut PgConnection,
    caller: &Principal,
    chosen: &Chosen<'_>,
    now: DateTime<Utc>,
) -> Result<Vec<i64>, Error> {
    caller.require_for(chosen.permission, chosen.collection_id)?;
    let invalid = |reason: String| Error::Invalid { member: "Query", reason };
    let query = chosen.query.filter(|query| !query.trim().is_empty());
    let query = query
        .ok_or_else(|| invalid("a filter is required, such as IssuedCN -eq \"a.example\"".to_owned()))?;
    let members = match chosen.collection_id {
        Some(id) => Some(collection::members_of(db, id).await?),
        None => None,
    };
    let known = Known::load(db).await?;
    let search = queries::Search {
        fields: &known.fields(),
        filter: Some(query),
        members: members.as_ref(),
        revoked: chosen.revoked,
        expired: chosen.expired,
        asker: Asker { name: caller.name(), now },
    };
    let limit = i64::try_from(chosen.limit).unwrap_or(i64::MAX - 1);
    let ids = queries::matching(db, &search, limit + 1).await?;
    match ids.len() > chosen.limit {
        true => Err(invalid(format!("more than {} certificates match; narrow it", chosen.limit))),
        false => Ok(ids),
    }
}

/// The collection that a call names in its query string; 0 means none.
pub(super) fn collection_id(query: &ListQuery) -> Result<Option<i64>, Error> {
    Ok(query.number("collectionId")?.filter(|id| *id != 0))
}

/// Answers where a certificate was found, by store type.
pub(super) async fn locations(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    query: &ListQuery,
    now: DateTime<Utc>,
) -> Result<Locations, Error> {
    supply::require_readable(db, caller, id, collection_id(query)?, now).await?;
    queries::certificate(db, id).await?.ok_or_else(|| Error::NotFound(id.to_string()))?;
    let mut details: Vec<LocationDetails> = Vec::new();
    for place in queries::locations(db, &[id], MAX_LOCATIONS).await? {
        let position = details.iter().position(|known| known.store_type_id == place.store_type);
        let position = position.unwrap_or_else(|| {
            details.push(LocationDetails {
                store_type: place.store_type_name.clone(),
                store_type_id: place.store_type,
                store_count: place.of_type,
                locations: Vec::new(),
            });
            details.len() - 1
        });
        if let Some(known) = details.get_mut(position) {
            known.locations.push(detailed(place));
        }
    }
    let stores: Vec<StoreId> =
        details.iter().flat_map(|known| &known.locations).map(|location| location.store_id).collect();
    let mut served = served(db, &[id], &stores).await?;
    for location in details.iter_mut().flat_map(|known| &mut known.locations) {
        location.served = served.remove(&(id, location.store_id)).unwrap_or_default();
    }
    Ok(Locations { details })
}

fn detailed(place: queries::LocationRow) -> DetailedLocation {
    DetailedLocation {
        store_id: place.store_id,
        store_type: place.store_type_name,
        store_type_id: place.store_type,
        certificate_id: place.certificate_id,
        client_machine: place.store_machine,
        store_path: place.store_path,
        agent_pool: None,
        alias: place.alias,
        ip_address: None,
        port: None,
        network_name: None,
        served: Vec::new(),
    }
}

/// What targets of stores showed, by certificate and store. Where a store holds a certificate twice, the first place
/// tells it.
async fn served(
    db: &mut PgConnection,
    ids: &[i64],
    stores: &[StoreId],
) -> Result<HashMap<(i64, StoreId), Vec<ServedTarget>>, Error> {
    let mut served: HashMap<_, Vec<ServedTarget>> = HashMap::new();
    if stores.is_empty() {
        return Ok(served);
    }
    for row in queries::served(db, ids, stores, MAX_SERVED).await? {
        served.entry((row.certificate_id, row.store_id)).or_default().push(ServedTarget {
            host: row.host,
            port: row.port,
            server_name: row.server_name,
            matches: row.matches,
            thumbprint: row.thumbprint,
            protocol: row.protocol,
            reason: row.reason,
            seen_at: row.seen_at.into(),
        });
    }
    Ok(served)
}

async fn answers(
    db: &mut PgConnection,
    authority: &Authority,
    rows: Vec<queries::CertificateRow>,
    include: Include,
) -> Result<Vec<Certificate>, Error> {
    let mut places: HashMap<i64, Vec<queries::LocationRow>> = HashMap::new();
    let mut shown = HashMap::new();
    if include.locations {
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        for place in queries::locations(db, &ids, MAX_LOCATIONS).await? {
            places.entry(place.certificate_id).or_default().push(place);
        }
        let stores: Vec<StoreId> = places.values().flatten().map(|place| place.store_id).collect();
        shown = served(db, &ids, &stores).await?;
    }
    rows.into_iter()
        .map(|row| {
            let places = places.remove(&row.id).unwrap_or_default();
            let mut certificate = answer::certificate(row, authority, include)?;
            certificate.locations_count = counts(&places);
            let id = certificate.id;
            certificate.locations = places
                .into_iter()
                .map(|place| {
                    let served = shown.remove(&(id, place.store_id)).unwrap_or_default();
                    Location { served, ..location(place) }
                })
                .collect();
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
        served: Vec::new(),
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
