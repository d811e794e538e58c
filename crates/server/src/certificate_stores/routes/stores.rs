//! Certificate stores: reading, making, changing, approving and deleting them, and their jobs.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path};
use sealift_protocol::StoreId;
use sealift_protocol::operator::certificate_stores::{
    ApproveStore, AssignContainer, CertificateStore, ChangePassword, CreateCertificateStore, InventoryEntry,
    Reenroll, ScheduleDiscovery, ScheduleInventory, UpdateCertificateStore,
};

use super::ring;
use crate::authority::Authority;
use crate::certificate_stores::{container, discovery, list, reenrollment, store, store_type};
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::route::{Access, Endpoint, Parameter};
use crate::http::{Body, Failure, answer, problem};
use crate::orchestrator_jobs::Dispatch;
use crate::security::{Principal, permission};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let read = Access::Permission(permission::STORES_READ);
    let modify = Access::Permission(permission::STORES_MODIFY);
    vec![
        Endpoint::get("/CertificateStores", read, || web::to(stores))
            .summary("Certificate stores.")
            .list(list::FIELDS)
            .answers_list::<CertificateStore>(),
        Endpoint::post("/CertificateStores", modify, || web::to(create))
            .summary("Makes a certificate store known to the server.")
            .body::<CreateCertificateStore>()
            .answers::<CertificateStore>()
            .example(
                r#"{"ClientMachine": "web1.example.test", "Storepath": "/etc/nginx/tls/new.pem",
                    "CertStoreType": 2, "AgentId": "{{agent}}", "Properties": "{\"IncludeChain\": \"true\"}",
                    "InventorySchedule": {"Daily": {"Time": "2026-05-04T03:15:00Z"}}}"#,
            ),
        Endpoint::put("/CertificateStores", modify, || web::to(update))
            .summary(
                "Changes a certificate store: what is not sent is cleared, but for its agent and password.",
            )
            .body::<UpdateCertificateStore>()
            .answers::<CertificateStore>()
            .example(
                r#"{"Id": "{{store}}", "CertStoreType": 2, "Properties": "{\"IncludeChain\": \"false\"}",
                    "InventorySchedule": {"Interval": {"Minutes": 60}}}"#,
            ),
        Endpoint::delete("/CertificateStores", modify, || web::to(delete_many))
            .summary("Makes the server forget certificate stores; unknown ones are passed over.")
            .body_list::<StoreId>()
            .example(r#"["{{other_store}}"]"#),
        Endpoint::get("/CertificateStores/{id}", read, || web::to(by_id))
            .summary("One certificate store.")
            .answers::<CertificateStore>(),
        Endpoint::delete("/CertificateStores/{id}", modify, || web::to(delete))
            .summary("Makes the server forget a certificate store; what is on its machine stays."),
        Endpoint::get("/CertificateStores/{id}/Inventory", read, || web::to(inventory))
            .summary("What the last inventory found in a store.")
            .query("PageReturned", Parameter::Number, "Page, from 1.")
            .query("ReturnLimit", Parameter::Number, "Entries of a page, 1 to 1000; 50 when absent.")
            .answers_list::<InventoryEntry>(),
    ]
}

/// Calls that do one thing to stores.
pub(super) fn changes() -> Vec<Endpoint> {
    let modify = Access::Permission(permission::STORES_MODIFY);
    let schedule = Access::Permission(permission::STORES_SCHEDULE);
    vec![
        Endpoint::post("/CertificateStores/Approve", modify, || web::to(approve))
            .summary("Approves stores that a discovery found: all of them, or none.")
            .body_list::<ApproveStore>()
            .example(r#"[{"Id": "{{store}}", "CertStoreType": 2}]"#),
        Endpoint::put("/CertificateStores/AssignContainer", modify, || web::to(assign))
            .summary("Puts stores into a container, or into a new one: all of them, or none.")
            .body::<AssignContainer>()
            .answers_list::<CertificateStore>()
            .example(r#"{"KeystoreIds": ["{{store}}"], "NewContainerName": "Web farm south"}"#),
        Endpoint::put("/CertificateStores/Password", modify, || web::to(change_password))
            .summary("Changes the password with which a store is opened.")
            .body::<ChangePassword>()
            .example(r#"{"CertStoreId": "{{password_store}}", "NewPassword": "a-new-password"}"#),
        Endpoint::post("/CertificateStores/Schedule", schedule, || web::to(schedule_inventory))
            .summary("Sets the inventory schedule of stores, or runs an inventory once.")
            .body::<ScheduleInventory>()
            .example(r#"{"StoreIds": ["{{store}}"], "Schedule": {"Interval": {"Minutes": 60}}}"#),
        Endpoint::post("/CertificateStores/Reenrollment", schedule, || web::to(reenroll))
            .summary("Schedules a reenrollment: the agent makes the key in the store, and only the request travels.")
            .body::<Reenroll>()
            .example(
                r#"{"KeystoreId": "{{able_store}}", "AgentGuid": "{{able_agent}}",
                    "SubjectName": "CN=www.example.test", "CertificateTemplate": "TLSServer"}"#,
            ),
        Endpoint::put("/CertificateStores/DiscoveryJob", modify, || web::to(discover))
            .summary("Schedules a discovery: an agent looks for stores, which then wait for approval.")
            .body::<ScheduleDiscovery>()
            .example(
                r#"{"Type": 2, "ClientMachine": "web3.example.test", "AgentId": "{{able_agent}}",
                    "Dirs": "/etc/nginx/tls,/etc/haproxy", "Extensions": "pem,crt"}"#,
            ),
    ]
}

fn store_id(path: &str) -> Result<StoreId, Failure> {
    path.parse()
        .map_err(|_| Failure::not_found(format_args!("certificate store '{}'", problem::shortened(path))))
}

async fn stores(floor: Data<Floor>, caller: Principal, query: ListQuery) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (rows, total) = list::stores(&mut db, &caller, &query, floor.now()).await?;
    Ok(answer::list(&rows, total))
}

async fn create(
    floor: Data<Floor>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    Body(request): Body<CreateCertificateStore>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    let (store, jobs) = store::create(&mut transaction, &floor, &caller, &request, floor.now()).await?;
    transaction.commit().await?;
    ring(&dispatch, &floor, &jobs);
    Ok(answer::json(&store))
}

async fn update(
    floor: Data<Floor>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    Body(request): Body<UpdateCertificateStore>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    let (store, jobs) = store::update(&mut transaction, &floor, &caller, &request, floor.now()).await?;
    transaction.commit().await?;
    ring(&dispatch, &floor, &jobs);
    Ok(answer::json(&store))
}

async fn delete(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    store::delete(&mut transaction, &caller, store_id(&id)?, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::no_content())
}

async fn delete_many(
    floor: Data<Floor>,
    caller: Principal,
    Body(ids): Body<Vec<StoreId>>,
) -> Result<HttpResponse, Failure> {
    let limit = floor.configuration.limits.stores_per_call;
    let mut transaction = floor.database.main.begin().await?;
    store::delete_many(&mut transaction, &caller, &ids, limit, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::no_content())
}

async fn by_id(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let store = list::store(&mut db, &caller, store_id(&id)?, floor.now()).await?;
    // Its entry parameters are those of its type.
    match floor.configuration.numeric_store_types {
        true => Ok(answer::json(&store_type::numbered(&store))),
        false => Ok(answer::json(&store)),
    }
}

async fn inventory(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (entries, total) = list::inventory(&mut db, &caller, store_id(&id)?, &query).await?;
    Ok(answer::list(&entries, total))
}

async fn approve(
    floor: Data<Floor>,
    caller: Principal,
    Body(requests): Body<Vec<ApproveStore>>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    store::approve(&mut transaction, &floor, &caller, &requests, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::no_content())
}

async fn assign(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<AssignContainer>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    let stores = container::assign(&mut transaction, &floor, &caller, &request, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::json(&stores))
}

async fn change_password(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<ChangePassword>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    store::change_password(&mut transaction, &floor, &caller, &request, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::no_content())
}

async fn schedule_inventory(
    floor: Data<Floor>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    Body(request): Body<ScheduleInventory>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    let jobs = store::schedule_inventory(&mut transaction, &floor, &caller, &request, floor.now()).await?;
    transaction.commit().await?;
    ring(&dispatch, &floor, &jobs);
    Ok(answer::no_content())
}

async fn reenroll(
    floor: Data<Floor>,
    dispatch: Data<Dispatch>,
    authority: Data<Authority>,
    caller: Principal,
    Body(request): Body<Reenroll>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    let job =
        reenrollment::reenroll(&mut transaction, &floor, &authority, &caller, &request, floor.now()).await?;
    transaction.commit().await?;
    ring(&dispatch, &floor, &[job]);
    Ok(answer::no_content())
}

async fn discover(
    floor: Data<Floor>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    Body(request): Body<ScheduleDiscovery>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    let job = discovery::schedule(&mut transaction, &floor, &caller, &request, floor.now()).await?;
    transaction.commit().await?;
    ring(&dispatch, &floor, &[job]);
    Ok(answer::no_content())
}
