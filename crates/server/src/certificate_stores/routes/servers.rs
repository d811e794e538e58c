//! Logins to the machines of stores.

use actix_web::HttpResponse;
use actix_web::web::{self, Data};
use sealift_protocol::operator::certificate_stores::{CreateServer, Server, ServerChanged, UpdateServer};

use crate::certificate_stores::server;
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::route::{Access, Endpoint};
use crate::http::{Body, Failure, answer};
use crate::security::{Principal, permission};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let read = Access::Permission(permission::STORES_READ);
    let modify = Access::Permission(permission::STORES_MODIFY);
    vec![
        Endpoint::get("/CertificateStores/Server", read, || web::to(list))
            .summary("Logins to the machines of stores, their secrets masked.")
            .list(server::FIELDS)
            .answers_list::<Server>(),
        Endpoint::post("/CertificateStores/Server", modify, || web::to(create))
            .summary("Makes a login for the stores of one machine and type.")
            .body::<CreateServer>()
            .answers::<ServerChanged>()
            .example(
                r#"{"Name": "iis1.example.test", "ServerType": 105, "UseSSL": true,
                    "Username": {"SecretValue": "deployer"}, "Password": {"SecretValue": "a-password"}}"#,
            ),
        Endpoint::put("/CertificateStores/Server", modify, || web::to(update))
            .summary("Changes a login: all of it is sent, its secrets too.")
            .body::<UpdateServer>()
            .answers::<ServerChanged>()
            .example(
                r#"{"Id": {{server}}, "Name": "iis2.example.test", "UseSSL": false,
                    "Username": {"SecretValue": "deployer"}, "Password": {"SecretValue": "another-password"}}"#,
            ),
    ]
}

async fn list(floor: Data<Floor>, caller: Principal, query: ListQuery) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (servers, total) = server::list(&mut db, &caller, &query, floor.now()).await?;
    Ok(answer::list(&servers, total))
}

async fn create(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<CreateServer>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    let made = server::create(&mut transaction, &floor, &caller, &request, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::json(&made))
}

async fn update(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<UpdateServer>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    let changed = server::update(&mut transaction, &floor, &caller, &request, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::json(&changed))
}
