//! Store types.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path};
use sealift_protocol::operator::certificate_stores::{StoreType, StoreTypeRequest};
use serde::Serialize;
use serde_json::Value;

use crate::certificate_stores::store_type;
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::route::{Access, Endpoint};
use crate::http::{Body, Failure, answer, problem};
use crate::security::{Principal, permission};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let read = Access::Permission(permission::STORES_READ);
    let modify = Access::Permission(permission::STORES_MODIFY);
    vec![
        Endpoint::get("/CertificateStoreTypes", read, || web::to(list))
            .summary("Store types with their properties and entry parameters.")
            .list(store_type::FIELDS)
            .answers_list::<StoreType>(),
        Endpoint::post("/CertificateStoreTypes", modify, || web::to(create))
            .summary("Makes a store type.")
            .body::<StoreTypeRequest>()
            .answers::<StoreType>()
            .example(
                r#"{"Name": "Load balancer", "ShortName": "LB", "PrivateKeyAllowed": "Required",
                    "CustomAliasAllowed": "Optional", "SupportedOperations": {"Add": true, "Remove": true},
                    "ServerRequired": true, "Properties": [{"Name": "Partition", "Type": "String", "Required": true}],
                    "EntryParameters": [{"Name": "VirtualServer", "Type": "String",
                        "RequiredWhen": {"HasPrivateKey": false, "OnAdd": true, "OnRemove": false,
                            "OnReenrollment": false}}]}"#,
            ),
        Endpoint::put("/CertificateStoreTypes", modify, || web::to(update))
            .summary("Changes a store type: what is not sent is reset. What stores rest on stays while there are any.")
            .body::<StoreTypeRequest>()
            .answers::<StoreType>()
            .example(
                r#"{"StoreType": {{store_type}}, "Name": "A changed type", "ShortName": "CHANGED",
                    "SupportedOperations": {"Add": true}}"#,
            ),
        Endpoint::delete("/CertificateStoreTypes", modify, || web::to(delete_many))
            .summary("Deletes store types; those that are used or unknown are passed over.")
            .body_list::<i32>()
            .example("[{{store_type}}]"),
        Endpoint::get("/CertificateStoreTypes/{id}", read, || web::to(by_id))
            .summary("One store type.")
            .answers::<StoreType>(),
        Endpoint::delete("/CertificateStoreTypes/{id}", modify, || web::to(delete))
            .summary("Deletes a store type that nothing uses."),
        Endpoint::get("/CertificateStoreTypes/Name/{name}", read, || web::to(by_name))
            .summary("The store type with this short name, in a list of one.")
            .answers_list::<StoreType>(),
    ]
}

/// Types with names or with numbers, as this server is configured.
fn shown<T: Serialize>(floor: &Floor, types: &T) -> HttpResponse {
    match floor.configuration.numeric_store_types {
        true => answer::json(&store_type::numbered(types)),
        false => answer::json(types),
    }
}

async fn list(floor: Data<Floor>, caller: Principal, query: ListQuery) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (types, total) = store_type::list(&mut db, &caller, &query, floor.now()).await?;
    if floor.configuration.numeric_store_types {
        let numbered: Vec<Value> = types.iter().map(store_type::numbered).collect();
        return Ok(answer::list(&numbered, total));
    }
    Ok(answer::list(&types, total))
}

async fn by_id(floor: Data<Floor>, id: Path<String>) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    Ok(shown(&floor, &store_type::by_id(&mut db, &id).await?))
}

/// A list with one object, as the contract has it.
async fn by_name(floor: Data<Floor>, name: Path<String>) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    Ok(shown(&floor, &[store_type::by_name(&mut db, &name).await?]))
}

async fn create(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<StoreTypeRequest>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    let made = store_type::create(&mut transaction, &caller, &request, floor.now()).await?;
    transaction.commit().await?;
    Ok(shown(&floor, &made))
}

async fn update(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<StoreTypeRequest>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    let changed = store_type::update(&mut transaction, &caller, &request, floor.now()).await?;
    transaction.commit().await?;
    Ok(shown(&floor, &changed))
}

async fn delete(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let number = id
        .parse()
        .map_err(|_| Failure::not_found(format_args!("store type '{}'", problem::shortened(&id))))?;
    let mut transaction = floor.database.main.begin().await?;
    store_type::delete(&mut transaction, &caller, number, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::no_content())
}

async fn delete_many(
    floor: Data<Floor>,
    caller: Principal,
    Body(ids): Body<Vec<i32>>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    store_type::delete_many(&mut transaction, &caller, &ids, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::no_content())
}
