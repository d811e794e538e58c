//! Lists of stores and of what is in them (operator contract, chapters 6.1 and 6.2).

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sealift_protocol::operator::certificate_stores::{
    CertificateStore, InventoryCertificate, InventoryEntry, MaskedSecret,
};
use sealift_protocol::{AgentId, JobId, StoreId};
use serde_json::Value;
use sqlx::{FromRow, PgConnection, QueryBuilder};

use super::error::Error;
use super::store::properties;
use super::{queries, reenrollment, schedule, served, verification};
use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind};
use crate::http::list::{COUNT_BOUND, ListQuery};
use crate::http::listing::{Column, Listing, Narrow, Order};
use crate::security::{Principal, permission};

const COLUMNS: &str = "s.id, s.agent_id, s.client_machine, s.store_path, s.store_type, s.container_id,
    c.name AS container_name, s.approved, s.create_if_missing, s.properties, s.secret_properties,
    s.sealed_password IS NOT NULL AS has_password, s.inventory_schedule, s.inventory_job_id, t.store_password, s.verification,
    EXISTS (SELECT 1 FROM store_served v WHERE v.store_id = s.id AND NOT v.matches) AS served_differs";
const FROM: &str = " FROM certificate_stores s JOIN store_types t ON t.id = s.store_type
    LEFT JOIN containers c ON c.id = s.container_id LEFT JOIN agents a ON a.id = s.agent_id WHERE true";

pub(super) const FIELDS: &[Field] = &[
    Field { name: "Id", sql: "s.id", kind: Kind::Guid },
    Field { name: "AddSupported", sql: "t.supports_add", kind: Kind::Flag },
    Field { name: "RemoveSupported", sql: "t.supports_remove", kind: Kind::Flag },
    Field { name: "AgentAvailable", sql: "(a.status = 2)", kind: Kind::Flag },
    Field { name: "AgentId", sql: "s.agent_id", kind: Kind::Guid },
    Field { name: "Approved", sql: "s.approved", kind: Kind::Flag },
    Field { name: "Category", sql: "s.store_type", kind: Kind::Number },
    Field {
        name: "CertificateId",
        sql: "SELECT ec.certificate_id FROM store_entries e JOIN store_entry_certificates ec ON ec.entry_id = e.id
            WHERE e.store_id = s.id",
        kind: Kind::Among,
    },
    Field { name: "CertStoreType", sql: "s.store_type", kind: Kind::Number },
    Field { name: "ClientMachine", sql: "s.client_machine", kind: Kind::Text },
    Field { name: "Container", sql: "c.name", kind: Kind::Text },
    Field { name: "ContainerName", sql: "c.name", kind: Kind::Text },
    Field { name: "ContainerId", sql: "s.container_id", kind: Kind::Number },
    Field { name: "CreateIfMissing", sql: "s.create_if_missing", kind: Kind::Flag },
    Field { name: "HasInventoryScheduled", sql: "(s.inventory_schedule IS NOT NULL)", kind: Kind::Flag },
    Field { name: "PrivateKeyAllowed", sql: "t.private_key", kind: Kind::Number },
    Field {
        name: "ServedDiffers",
        sql: "(EXISTS (SELECT 1 FROM store_served v WHERE v.store_id = s.id AND NOT v.matches))",
        kind: Kind::Flag,
    },
    Field { name: "StorePath", sql: "s.store_path", kind: Kind::Text },
];

#[derive(Debug, FromRow)]
pub(super) struct StoreListRow {
    id: StoreId,
    agent_id: AgentId,
    client_machine: String,
    store_path: String,
    store_type: i32,
    container_id: Option<i64>,
    container_name: Option<String>,
    approved: bool,
    create_if_missing: bool,
    properties: Value,
    secret_properties: Value,
    has_password: bool,
    inventory_schedule: Option<Value>,
    inventory_job_id: Option<JobId>,
    store_password: bool,
    verification: Option<Value>,
    served_differs: bool,
}

/// Most stores that a container is answered with.
const MAX_OF_CONTAINER: i64 = 1_000;

impl StoreListRow {
    /// As answered in lists.
    fn listed(self, now: DateTime<Utc>) -> CertificateStore {
        let schedule = self.inventory_schedule.as_ref().and_then(|value| schedule::shown(value, now));
        CertificateStore { inventory_schedule: schedule, ..CertificateStore::from(self) }
    }

    /// As answered by id: secrets as masked objects.
    fn alone(self, now: DateTime<Utc>) -> CertificateStore {
        let properties = properties::shown(&self.properties, &self.secret_properties, true);
        let password = Some(MaskedSecret::new(self.has_password));
        let store = self.listed(now);
        let container_name = store.container_name.filter(|name| !name.is_empty());
        CertificateStore { properties, password, container_name, ..store }
    }
}

/// As answered to a change: the schedule as it was given.
impl From<StoreListRow> for CertificateStore {
    fn from(row: StoreListRow) -> Self {
        Self {
            id: row.id,
            display_name: format!("{} - {}", row.client_machine, row.store_path),
            container_id: row.container_id,
            container_name: Some(row.container_name.unwrap_or_default()),
            client_machine: row.client_machine,
            store_path: row.store_path,
            cert_store_inventory_job_id: row.inventory_job_id,
            cert_store_type: row.store_type,
            approved: row.approved,
            create_if_missing: row.create_if_missing,
            properties: properties::shown(&row.properties, &row.secret_properties, false),
            agent_id: row.agent_id,
            agent_assigned: true,
            inventory_schedule: row.inventory_schedule.as_ref().and_then(schedule::read),
            reenrollment_status: None,
            set_new_password_allowed: row.store_password,
            password: None,
            verification: verification::shown(row.verification.as_ref()),
            served_differs: row.served_differs,
            served: Vec::new(),
        }
    }
}

/// One page of stores that the caller may read.
pub(super) async fn stores(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<CertificateStore>, i64), Failure> {
    let asker = Asker { name: caller.name(), now };
    let listing = Listing {
        name: "stores",
        columns: COLUMNS,
        from: FROM,
        fields: FIELDS,
        order: Order { by: Column { sql: "s.client_machine", kind: Kind::Text }, descending: false },
        key: Column { sql: "s.id", kind: Kind::Guid },
        narrow: visible(caller, "s.container_id"),
    };
    let (rows, total): (Vec<StoreListRow>, i64) = listing.page(db, list, &asker).await?;
    Ok((rows.into_iter().map(|row| row.listed(now)).collect(), total))
}

/// Narrows to the containers that the caller may read.
pub(super) fn visible<'a>(caller: &Principal, container: &'static str) -> Vec<Narrow<'a>> {
    if caller.permits(permission::STORES_READ) {
        return Vec::new();
    }
    vec![Narrow::Among(container, caller.scopes(permission::STORES_READ))]
}

async fn row(db: &mut PgConnection, id: StoreId) -> Result<Option<StoreListRow>, sqlx::Error> {
    let mut sql = QueryBuilder::new(format!("-- name: store_by_id\nSELECT {COLUMNS}{FROM} AND s.id = "));
    sql.push_bind(id.uuid()).build_query_as().fetch_optional(db).await
}

/// One store as it was just made or changed.
pub(super) async fn by_id(
    db: &mut PgConnection,
    id: StoreId,
) -> Result<Option<CertificateStore>, sqlx::Error> {
    Ok(row(db, id).await?.map(CertificateStore::from))
}

/// Stores by their ids, in that order.
pub(super) async fn by_ids(
    db: &mut PgConnection,
    ids: &[StoreId],
    now: DateTime<Utc>,
) -> Result<Vec<CertificateStore>, sqlx::Error> {
    let uuids: Vec<uuid::Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let mut sql =
        QueryBuilder::new(format!("-- name: stores_by_ids\nSELECT {COLUMNS}{FROM} AND s.id = ANY("));
    let rows: Vec<StoreListRow> = sql.push_bind(uuids).push(")").build_query_as().fetch_all(db).await?;
    let mut stores: HashMap<StoreId, CertificateStore> =
        rows.into_iter().map(|row| (row.id, row.listed(now))).collect();
    Ok(ids.iter().filter_map(|id| stores.remove(id)).collect())
}

/// The stores of a container, the first ones by machine.
pub(super) async fn in_container(
    db: &mut PgConnection,
    container: i64,
    now: DateTime<Utc>,
) -> Result<Vec<CertificateStore>, sqlx::Error> {
    let mut sql = QueryBuilder::new(format!(
        "-- name: stores_of_container\nSELECT {COLUMNS}{FROM} AND s.container_id = "
    ));
    sql.push_bind(container).push(" ORDER BY s.client_machine, s.id LIMIT ").push_bind(MAX_OF_CONTAINER);
    let rows: Vec<StoreListRow> = sql.build_query_as().fetch_all(db).await?;
    Ok(rows.into_iter().map(|row| row.listed(now)).collect())
}

/// One store, for a caller who may read it.
pub(super) async fn store(
    db: &mut PgConnection,
    caller: &Principal,
    id: StoreId,
    now: DateTime<Utc>,
) -> Result<CertificateStore, Failure> {
    let row = row(db, id).await?.ok_or(Error::UnknownStore(id))?;
    caller.require_for(permission::STORES_READ, row.container_id)?;
    let reenrollment_status = reenrollment::status(db, id).await?;
    let served = served::of_store(db, id).await?;
    Ok(CertificateStore { reenrollment_status, served, ..row.alone(now) })
}

/// One certificate of one entry, as joined.
#[derive(Debug)]
pub(super) struct EntryRow {
    pub(super) id: i64,
    pub(super) alias: String,
    pub(super) parameters: Value,
    pub(super) certificate_id: Option<i64>,
    pub(super) issued_dn: Option<String>,
    pub(super) serial_number: Option<String>,
    pub(super) not_before: Option<DateTime<Utc>>,
    pub(super) not_after: Option<DateTime<Utc>>,
    pub(super) signing_algorithm: Option<String>,
    pub(super) issuer_dn: Option<String>,
    pub(super) thumbprint: Option<String>,
    pub(super) state: Option<i16>,
}

/// One page of a store's entries, by alias.
pub(super) async fn inventory(
    db: &mut PgConnection,
    caller: &Principal,
    id: StoreId,
    list: &ListQuery,
) -> Result<(Vec<InventoryEntry>, i64), Failure> {
    let store = row(db, id).await?.ok_or(Error::UnknownStore(id))?;
    caller.require_for(permission::STORES_READ, store.container_id)?;
    let rows = queries::entries(db, id, list.limit, list.offset).await?;
    let total = queries::count_entries(db, id, COUNT_BOUND + 1).await?;
    let mut entries: Vec<InventoryEntry> = Vec::new();
    for row in rows {
        if entries.last().is_none_or(|entry| entry.cert_store_inventory_item_id != row.id) {
            entries.push(InventoryEntry {
                name: row.alias.clone(),
                certificates: Vec::new(),
                parameters: texts(&row.parameters),
                cert_store_id: id,
                cert_store_inventory_item_id: row.id,
            });
        }
        if let (Some(entry), Some(certificate)) = (entries.last_mut(), certificate(row)) {
            entry.certificates.push(certificate);
        }
    }
    Ok((entries, total))
}

fn certificate(row: EntryRow) -> Option<InventoryCertificate> {
    Some(InventoryCertificate {
        id: row.certificate_id?,
        issued_dn: row.issued_dn?,
        serial_number: row.serial_number?,
        not_before: row.not_before?.into(),
        not_after: row.not_after?.into(),
        signing_algorithm: row.signing_algorithm?,
        issuer_dn: row.issuer_dn?,
        thumbprint: row.thumbprint?,
        cert_store_inventory_item_id: row.id,
        cert_state: row.state?.into(),
        metadata: BTreeMap::new(),
    })
}

fn texts(parameters: &Value) -> BTreeMap<String, String> {
    let Value::Object(members) = parameters else { return BTreeMap::new() };
    members.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}
