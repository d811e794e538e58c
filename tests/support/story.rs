//! What most tests begin with: a certificate that was enrolled.

use serde_json::{Value, json};

use crate::client::Client;

/// Enrolls a certificate for these names, its key kept by the server; answers its id.
pub async fn enroll(client: &Client, names: &[&str]) -> i64 {
    enrollment(client, names).await["CertificateInformation"]["KeyfactorId"].as_i64().expect("an id")
}

/// Enrolls a certificate; answers the whole answer.
pub async fn enrollment(client: &Client, names: &[&str]) -> Value {
    let body = json!({"Subject": format!("CN={}", names[0]), "Template": "TLSServer", "SANs": {"dns": names},
        "Timestamp": "2026-05-04T09:30:00Z"});
    let request =
        client.request(reqwest::Method::POST, "/Enrollment/PFX").header("x-certificateformat", "STORE");
    client.send(request.json(&body)).await.ok()
}

/// An addition of a certificate to stores, now.
pub fn addition(certificate: i64, stores: &[&str]) -> Value {
    let stores: Vec<Value> =
        stores.iter().map(|store| json!({"CertificateStoreId": store, "IncludePrivateKey": true})).collect();
    json!({"CertificateId": certificate, "CertificateStores": stores, "Schedule": {"Immediate": true}})
}
