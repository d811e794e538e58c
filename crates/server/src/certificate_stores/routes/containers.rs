//! Containers, by both their names.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path};
use sealift_protocol::operator::certificate_stores::{
    Container, ContainerDetails, CreateContainer, UpdateContainer,
};

use crate::certificate_stores::container;
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::route::{Access, Endpoint};
use crate::http::{Body, Failure, answer};
use crate::security::{Principal, permission};

const READ: Access = Access::Permission(permission::STORES_READ);
const MODIFY: Access = Access::Permission(permission::STORES_MODIFY);

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/CertificateStoreContainers", READ, || web::to(list))
            .summary("Containers: named groups of stores.")
            .list(container::FIELDS)
            .answers_list::<Container>(),
        Endpoint::post("/CertificateStoreContainers", MODIFY, || web::to(create))
            .summary("Makes a container.")
            .body::<CreateContainer>()
            .answers::<ContainerDetails>()
            .example(r#"{"Name": "Web farm east"}"#),
        Endpoint::put("/CertificateStoreContainers", MODIFY, || web::to(update))
            .summary("Changes a container: what is not sent is cleared.")
            .body::<UpdateContainer>()
            .answers::<ContainerDetails>()
            .example(
                r#"{"Id": {{container}}, "Name": "Web farm middle", "OverwriteSchedules": true,
                    "Schedule": {"Daily": {"Time": "2026-05-04T01:00:00Z"}}}"#,
            ),
        Endpoint::get("/CertificateStoreContainers/{id}", READ, || web::to(by_id))
            .summary("One container, with its stores.")
            .answers::<ContainerDetails>(),
        Endpoint::delete("/CertificateStoreContainers/{id}", MODIFY, || web::to(delete))
            .summary("Deletes a container that holds nothing."),
    ]
}

pub(super) fn applications() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/Applications", READ, || web::to(list))
            .summary("Containers, by their newer name.")
            .list(container::FIELDS)
            .answers_list::<Container>(),
        Endpoint::post("/Applications", MODIFY, || web::to(create))
            .summary("Makes a container, by its newer name.")
            .body::<CreateContainer>()
            .answers::<ContainerDetails>()
            .example(r#"{"Name": "Web farm west", "Schedule": {"Interval": {"Minutes": 60}}}"#),
        Endpoint::put("/Applications", MODIFY, || web::to(update))
            .summary("Changes a container, by its newer name: what is not sent is cleared.")
            .body::<UpdateContainer>()
            .answers::<ContainerDetails>()
            .example(r#"{"Id": {{container}}, "Name": "Web farm centre"}"#),
        Endpoint::get("/Applications/{id}", READ, || web::to(by_id))
            .summary("One container, with its stores, by its newer name.")
            .answers::<ContainerDetails>(),
        Endpoint::delete("/Applications/{id}", MODIFY, || web::to(delete))
            .summary("Deletes a container that holds nothing, by its newer name."),
    ]
}

async fn list(floor: Data<Floor>, caller: Principal, query: ListQuery) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (containers, total) = container::list(&mut db, &caller, &query, floor.now()).await?;
    Ok(answer::list(&containers, total))
}

async fn by_id(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    Ok(answer::json(&container::details(&mut db, &caller, &id, floor.now()).await?))
}

async fn create(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<CreateContainer>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    let container = container::create(&mut transaction, &caller, &request, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::json(&container))
}

async fn update(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<UpdateContainer>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    let container = container::update(&mut transaction, &caller, &request, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::json(&container))
}

async fn delete(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    container::delete(&mut transaction, &caller, &id, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::no_content())
}
