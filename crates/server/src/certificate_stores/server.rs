//! Logins to the machines of stores (operator contract, chapters 6.2 and 6.3). A store whose type asks for a login, and
//! that has none among its properties, uses the entry with the name of its client machine.

use chrono::{DateTime, Utc};
use sealift_protocol::operator::certificate_stores::{
    CreateServer, MaskedSecret, SecretValue, Server, ServerChanged, UpdateServer,
};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::container;
use super::error::Error;
use super::list::visible;
use super::queries::{self, servers};
use super::store::{MAX_MACHINE, bounded, given_secret};
use super::target::check_password;
use crate::floor::Floor;
use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind};
use crate::http::list::ListQuery;
use crate::http::listing::{Column, Listing, Order};
use crate::sealing::Place;
use crate::security::{Principal, audit, permission};

pub(super) const FIELDS: &[Field] = &[
    Field { name: "Id", sql: "v.id", kind: Kind::Number },
    Field { name: "Name", sql: "v.name", kind: Kind::Text },
    Field { name: "ServerType", sql: "v.server_type", kind: Kind::Number },
    Field { name: "UseSSL", sql: "v.use_ssl", kind: Kind::Flag },
    Field { name: "Container", sql: "v.container_id", kind: Kind::Number },
];
const FROM: &str = " FROM store_servers v WHERE true";

/// An entry as it stands.
#[derive(Debug, Clone)]
pub(super) struct ServerRow {
    pub(super) id: i64,
    pub(super) server_type: i32,
    pub(super) name: String,
    pub(super) use_ssl: bool,
    pub(super) container_id: Option<i64>,
    pub(super) sealed_under: Uuid,
}

/// Its two secrets, sealed.
#[derive(Debug)]
pub(super) struct SealedLogin {
    pub(super) username: Vec<u8>,
    pub(super) password: Vec<u8>,
}

#[derive(FromRow)]
struct ListRow {
    id: i64,
    server_type: i32,
    name: String,
    use_ssl: bool,
}

/// One page of the entries that the caller may see, by name.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<Server>, i64), Failure> {
    let asker = Asker { name: caller.name(), now };
    let listing = Listing {
        name: "store_servers",
        columns: "v.id, v.server_type, v.name, v.use_ssl",
        from: FROM,
        fields: FIELDS,
        order: Order { by: Column { sql: "v.name", kind: Kind::Text }, descending: false },
        key: Column { sql: "v.id", kind: Kind::Number },
        narrow: visible(caller, "v.container_id"),
    };
    let (rows, total): (Vec<ListRow>, i64) = listing.page(db, list, &asker).await?;
    let servers = rows.into_iter().map(|row| Server {
        id: row.id,
        username: MaskedSecret::new(true),
        password: MaskedSecret::new(true),
        use_ssl: row.use_ssl,
        server_type: row.server_type,
        name: row.name,
    });
    Ok((servers.collect(), total))
}

/// Makes an entry.
pub(super) async fn create(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    request: &CreateServer,
    now: DateTime<Utc>,
) -> Result<ServerChanged, Failure> {
    let container_id = request.container.filter(|id| *id != 0);
    caller.require_for(permission::STORES_MODIFY, container_id)?;
    let missing = |member: &str| Error::Invalid(format!("{member} is required"));
    let server_type = request.server_type.ok_or_else(|| missing("ServerType"))?;
    let found = queries::store_type(db, server_type).await?.filter(|found| found.server_required);
    if found.is_none() {
        let message = format!("ServerType: no store type has the ServerRegistration {server_type}");
        return Err(Error::Invalid(message).into());
    }
    let mut row = ServerRow {
        id: 0,
        server_type,
        name: bounded("Name", request.name.as_deref(), MAX_MACHINE)?.to_owned(),
        use_ssl: request.use_ssl.ok_or_else(|| missing("UseSSL"))?,
        container_id: existing(db, container_id).await?,
        sealed_under: Uuid::new_v4(),
    };
    let login = sealed_login(floor, row.sealed_under, request.username.as_ref(), request.password.as_ref())?;
    row.id = servers::insert(db, &row, &login, now).await.map_err(|error| taken(error, &row))?;
    record(db, caller, audit::Operation::Created, "made", &row, now).await?;
    Ok(changed(row))
}

/// Changes an entry; its type stays.
pub(super) async fn update(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    request: &UpdateServer,
    now: DateTime<Utc>,
) -> Result<ServerChanged, Failure> {
    let missing = |member: &str| Error::Invalid(format!("{member} is required"));
    let id = request.id.ok_or_else(|| missing("Id"))?;
    let held = servers::lock(db, id).await?;
    let held = held.ok_or_else(|| Failure::not_found(format_args!("server entry {id}")))?;
    caller.require_for(permission::STORES_MODIFY, held.container_id)?;
    let container_id = request.container.filter(|id| *id != 0);
    caller.require_for(permission::STORES_MODIFY, container_id)?;
    let row = ServerRow {
        name: bounded("Name", request.name.as_deref(), MAX_MACHINE)?.to_owned(),
        use_ssl: request.use_ssl.ok_or_else(|| missing("UseSSL"))?,
        container_id: existing(db, container_id).await?,
        ..held
    };
    let login = sealed_login(floor, row.sealed_under, request.username.as_ref(), request.password.as_ref())?;
    servers::update(db, &row, &login).await.map_err(|error| taken(error, &row))?;
    record(db, caller, audit::Operation::Updated, "changed", &row, now).await?;
    Ok(changed(row))
}

fn changed(row: ServerRow) -> ServerChanged {
    ServerChanged { id: row.id, use_ssl: row.use_ssl, server_type: row.server_type, name: row.name }
}

async fn existing(db: &mut PgConnection, container: Option<i64>) -> Result<Option<i64>, Failure> {
    let Some(id) = container else { return Ok(None) };
    match container::load(db, id).await? {
        Some(row) => Ok(Some(row.id)),
        None => Err(Error::Invalid(format!("Container: container {id} was not found")).into()),
    }
}

/// Where a login's parts are sealed to.
pub(super) fn place<'a>(sealed_under: &'a Uuid, column: &'a str) -> Place<'a> {
    Place { table: "store_servers", row: sealed_under, column }
}

fn sealed_login(
    floor: &Floor,
    under: Uuid,
    username: Option<&SecretValue>,
    password: Option<&SecretValue>,
) -> Result<SealedLogin, Error> {
    let seal = |member: &str, secret: Option<&SecretValue>, column: &str| {
        let secret = given_secret(member, secret)?;
        let secret = secret.ok_or_else(|| Error::Invalid(format!("{member} is required")))?;
        check_password(member, secret)?;
        Ok::<_, Error>(floor.sealing.seal(place(&under, column), secret.expose().as_bytes())?)
    };
    Ok(SealedLogin {
        username: seal("Username", username, "sealed_username")?,
        password: seal("Password", password, "sealed_password")?,
    })
}

async fn record(
    db: &mut PgConnection,
    caller: &Principal,
    operation: audit::Operation,
    verb: &str,
    row: &ServerRow,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let message = format!("{verb} the login to {} for store type {}", row.name, row.server_type);
    audit::record(db, &[audit::Line::new(caller, operation, "CertificateStoreServer", row.id, message)], now)
        .await
}

fn taken(error: sqlx::Error, row: &ServerRow) -> Failure {
    match error.as_database_error().and_then(|error| error.constraint()) {
        Some("store_servers_name") => {
            Error::Exists(format!("a server entry named '{}' for this type", row.name)).into()
        }
        _ => error.into(),
    }
}
