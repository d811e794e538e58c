//! Routes of this slice.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path};
use sealift_protocol::operator::certificate_stores::{
    AddCertificate, CertificateStore, Container, CreateCertificateStore, CreateContainer, InventoryEntry,
    RemoveCertificate, ScheduleInventory, StoreType,
};
use sealift_protocol::{JobId, StoreId};
use sqlx::Connection as _;

use super::add::{AddCall, add_all, ids};
use super::{container, import, list, queries, remove, store};
use crate::database::batch::Batcher;
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::problem;
use crate::http::route::{Access, Endpoint, Parameter};
use crate::http::{Body, Failure, answer};
use crate::orchestrator_jobs::{Dispatch, NewJob};
use crate::security::{Principal, permission};

/// Calls with more stores than this have a transaction of their own.
const MAX_SHARED: usize = 50;

/// Additions of one store or a few share transactions.
pub(crate) type Adds = Batcher<AddCall, Result<Vec<NewJob>, Failure>>;

/// The endpoints of this slice.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = stores_and_entries();
    endpoints.extend(kinds());
    endpoints.push(import::endpoint());
    endpoints
}

fn stores_and_entries() -> Vec<Endpoint> {
    let read = Access::Permission(permission::STORES_READ);
    let modify = Access::Permission(permission::STORES_MODIFY);
    let schedule = Access::Permission(permission::STORES_SCHEDULE);
    vec![

        Endpoint::post("/CertificateStores/Certificates/Add", schedule, || web::to(add))
            .summary("Schedules a certificate's addition to stores: all of them, or none. Answers one job id for each.")
            .body::<AddCertificate>()
            .answers_list::<JobId>()
            .example(
                r#"{"CertificateId": {{certificate}}, "Schedule": {"Immediate": true}, "CertificateStores":
                    [{"CertificateStoreId": "{{store}}", "Overwrite": true, "IncludePrivateKey": true}]}"#,
            ),
        Endpoint::post("/CertificateStores/Certificates/Remove", schedule, || web::to(remove_certificates))
            .summary("Schedules the removal of entries from stores: all of them, or none.")
            .body::<RemoveCertificate>()
            .answers_list::<JobId>()
            .example(
                r#"{"CertificateStores": [{"CertificateStoreId": "{{store}}", "Alias": "{{alias}}"}],
                    "Schedule": {"Immediate": true}}"#,
            ),
        Endpoint::get("/CertificateStores", read, || web::to(stores))
            .summary("Certificate stores.")
            .list(list::FIELDS)
            .answers_list::<CertificateStore>(),
        Endpoint::post("/CertificateStores", modify, || web::to(create_store))
            .summary("Makes a certificate store known to the server.")
            .body::<CreateCertificateStore>()
            .answers::<CertificateStore>()
            .example(
                r#"{"ClientMachine": "web1.example.test", "Storepath": "/etc/nginx/tls/new.pem",
                    "CertStoreType": 2, "AgentId": "{{agent}}", "Properties": "{\"IncludeChain\": \"true\"}",
                    "InventorySchedule": {"Daily": {"Time": "2026-05-04T03:15:00Z"}}}"#,
            ),
        Endpoint::post("/CertificateStores/Schedule", schedule, || web::to(schedule_inventory))
            .summary("Sets the inventory schedule of stores, or runs an inventory once.")
            .body::<ScheduleInventory>()
            .example(r#"{"StoreIds": ["{{store}}"], "Schedule": {"Interval": {"Minutes": 60}}}"#),
        Endpoint::get("/CertificateStores/{id}", read, || web::to(store_by_id))
            .summary("One certificate store.")
            .answers::<CertificateStore>(),
        Endpoint::get("/CertificateStores/{id}/Inventory", read, || web::to(inventory))
            .summary("What the last inventory found in a store.")
            .query("PageReturned", Parameter::Number, "Page, from 1.")
            .query("ReturnLimit", Parameter::Number, "Entries of a page, 1 to 1000; 50 when absent.")
            .answers_list::<InventoryEntry>(),
    ]
}

/// Containers and store types.
fn kinds() -> Vec<Endpoint> {
    let read = Access::Permission(permission::STORES_READ);
    let modify = Access::Permission(permission::STORES_MODIFY);
    vec![
        Endpoint::get("/CertificateStoreContainers", read, || web::to(containers))
            .summary("Containers: named groups of stores.")
            .list(container::FIELDS)
            .answers_list::<Container>(),
        Endpoint::post("/CertificateStoreContainers", modify, || web::to(create_container))
            .summary("Makes a container.")
            .body::<CreateContainer>()
            .answers::<Container>()
            .example(r#"{"Name": "Web farm east"}"#),
        Endpoint::get("/Applications", read, || web::to(containers))
            .summary("Containers, by their newer name.")
            .list(container::FIELDS)
            .answers_list::<Container>(),
        Endpoint::post("/Applications", modify, || web::to(create_container))
            .summary("Makes a container, by its newer name.")
            .body::<CreateContainer>()
            .answers::<Container>()
            .example(r#"{"Name": "Web farm west"}"#),
        Endpoint::get("/CertificateStoreTypes", read, || web::to(store_types))
            .summary("Store types and their properties.")
            .query("PageReturned", Parameter::Number, "Page, from 1.")
            .query("ReturnLimit", Parameter::Number, "Types of a page, 1 to 1000; 50 when absent.")
            .answers_list::<StoreType>(),
        Endpoint::get("/CertificateStoreTypes/{id}", read, || web::to(store_type))
            .summary("One store type.")
            .answers::<StoreType>(),
        Endpoint::get("/CertificateStoreTypes/Name/{name}", read, || web::to(store_type_by_name))
            .summary("The store type with this short name, in a list of one.")
            .answers_list::<StoreType>(),
    ]
}

/// Starts the grouping of additions.
pub(crate) fn start_adds(floor: Floor) -> Adds {
    Batcher::start(move |calls: Vec<AddCall>| {
        let floor = floor.clone();
        async move { add_group(&floor, calls).await }
    })
}

async fn add_group(floor: &Floor, calls: Vec<AddCall>) -> Vec<Result<Vec<NewJob>, Failure>> {
    match try_add(floor, &calls).await {
        Ok(answers) => answers,
        Err(failure) if calls.len() == 1 => vec![Err(failure)],
        // One call may have spoiled the others' transaction: each by itself.
        Err(_) => {
            let mut answers = Vec::with_capacity(calls.len());
            for call in &calls {
                let alone = try_add(floor, std::slice::from_ref(call)).await;
                answers.push(
                    alone.and_then(|mut one| one.pop().unwrap_or_else(|| Err(Failure::fault("no answer")))),
                );
            }
            answers
        }
    }
}

async fn try_add(floor: &Floor, calls: &[AddCall]) -> Result<Vec<Result<Vec<NewJob>, Failure>>, Failure> {
    let mut db = floor.database.main.acquire().await?;
    let mut transaction = db.begin().await?;
    let answers = add_all(&mut transaction, floor, calls, floor.now()).await?;
    transaction.commit().await?;
    Ok(answers)
}

fn ring(dispatch: &Dispatch, floor: &Floor, jobs: &[NewJob]) {
    let now = floor.now();
    for job in jobs {
        dispatch.ring(job.agent_id, job.run_at, now);
    }
}

async fn add(
    floor: Data<Floor>,
    adds: Data<Adds>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    Body(request): Body<AddCertificate>,
) -> Result<HttpResponse, Failure> {
    let call = AddCall { caller, request };
    let jobs = match call.request.certificate_stores.len() > MAX_SHARED {
        true => add_group(&floor, vec![call]).await.pop(),
        false => adds.submit(call).await,
    };
    let jobs = jobs.unwrap_or_else(|| Err(Failure::fault("the server is stopping")))?;
    ring(&dispatch, &floor, &jobs);
    Ok(answer::json(&ids(&jobs)))
}

async fn remove_certificates(
    floor: Data<Floor>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    Body(request): Body<RemoveCertificate>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    let jobs = remove::remove(&mut transaction, &floor, &caller, &request, floor.now()).await?;
    transaction.commit().await?;
    ring(&dispatch, &floor, &jobs);
    Ok(answer::json(&ids(&jobs)))
}

async fn stores(floor: Data<Floor>, caller: Principal, query: ListQuery) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (rows, total) = list::stores(&mut db, &caller, &query, floor.now()).await?;
    Ok(answer::list(&rows, total))
}

async fn create_store(
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

fn store_id(path: &str) -> Result<StoreId, Failure> {
    path.parse()
        .map_err(|_| Failure::not_found(format_args!("certificate store '{}'", problem::shortened(path))))
}

async fn store_by_id(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    Ok(answer::json(&list::store(&mut db, &caller, store_id(&id)?).await?))
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

async fn containers(
    floor: Data<Floor>,
    caller: Principal,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (containers, total) = container::list(&mut db, &caller, &query, floor.now()).await?;
    Ok(answer::list(&containers, total))
}

async fn create_container(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<CreateContainer>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    let container = container::create(&mut transaction, &caller, &request, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::json(&container))
}

async fn store_types(floor: Data<Floor>) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let types: Vec<StoreType> =
        queries::store_types(&mut db).await?.into_iter().map(StoreType::from).collect();
    let total = i64::try_from(types.len()).unwrap_or(i64::MAX);
    Ok(answer::list(&types, total))
}

async fn store_type(floor: Data<Floor>, id: Path<String>) -> Result<HttpResponse, Failure> {
    let unknown = || Failure::not_found(format_args!("store type '{}'", problem::shortened(&id)));
    let number = id.parse().map_err(|_| unknown())?;
    let mut db = floor.database.reports.acquire().await?;
    let row = queries::store_type(&mut db, number).await?.ok_or_else(unknown)?;
    Ok(answer::json(&StoreType::from(row)))
}

/// A list with one object, as the contract has it.
async fn store_type_by_name(floor: Data<Floor>, name: Path<String>) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let types = queries::store_types(&mut db).await?;
    let found = types.into_iter().find(|row| row.short_name.eq_ignore_ascii_case(&name));
    let found = found
        .ok_or_else(|| Failure::not_found(format_args!("store type '{}'", problem::shortened(&name))))?;
    Ok(answer::json(&[StoreType::from(found)]))
}
