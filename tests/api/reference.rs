//! The OpenAPI document: it is whole, its examples work, and people can read it.

use std::collections::BTreeSet;

use reqwest::Method;
use sealift_pki::{KeyAlgorithm, PrivateKey};
use sealift_server::startup::{openapi, routes};
use serde_json::{Value, json};
use support::client::{Client, Credentials};
use support::story::{addition, enroll};
use support::{RawAgent, TestServer};

/// Every `$ref` below a value.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str().filter(|_| name == "$ref") {
                    Some(target) => drop(found.insert(target.to_owned())),
                    None => references(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_operation_is_described_and_every_reference_leads_somewhere() {
    let document = openapi();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for route in routes() {
        let operation = &document["paths"][route.path][route.method.to_lowercase()];
        let place = format!("{} {}", route.method, route.path);
        assert!(
            operation["summary"].as_str().is_some_and(|text| text.ends_with('.')),
            "{place} has no summary"
        );
        assert!(ids.insert(operation["operationId"].to_string()), "{place}: its id is taken");
        assert_eq!(operation["requestBody"].is_object(), route.takes_body, "{place}");
        assert_eq!(
            route.example.is_some(),
            route.takes_body,
            "{place}: a body needs an example, and no other does"
        );
        assert_eq!(operation["security"].is_array(), !route.public, "{place}");
        for part in route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            let parameters = operation["parameters"].as_array().unwrap();
            assert!(parameters.iter().any(|parameter| parameter["name"] == part), "{place}: {part}");
        }
    }
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for target in found {
        let name = target.strip_prefix("#/components/schemas/").unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{target} leads nowhere");
    }
}

/// Two requests that wait for approval, and the workflow instance of a third.
async fn waiting_requests(admin: &Client) -> (Vec<Value>, String) {
    let id = super::enrollment::template_id(admin, "TLSServerClient").await;
    let approval = |wanted: bool| json!({"Id": id, "RequiresApproval": wanted});
    admin.put("/Templates", &approval(true)).await.ok();
    let (mut requests, mut instance) = (Vec::new(), String::new());
    for _ in 0..3 {
        let body = json!({"Subject": "CN=wait.example.test", "Template": "TLSServerClient"});
        let answer = admin.post("/Enrollment/PFX", &body).await.ok();
        requests.push(answer["CertificateInformation"]["KeyfactorRequestId"].clone());
        instance = answer["CertificateInformation"]["WorkflowInstanceId"].as_str().unwrap().to_owned();
    }
    admin.put("/Templates", &approval(false)).await.ok();
    (requests, instance)
}

/// What the words in double braces stand for, in examples and in the paths of [`addressed`].
pub(crate) type Words = Vec<(&'static str, String)>;

/// Makes what examples speak of.
pub(crate) async fn words(server: &TestServer) -> Words {
    let admin = &server.admin;
    let certificate = enroll(admin, &["www.example.test"]).await;
    let role = json!({"Name": "Readers", "Description": "", "Permissions": ["/agents/management/read/"]});
    let role = admin.post("/Security/Roles", &role).await.ok()["Id"].clone();
    let agent = RawAgent::enroll(server, "web1.example.test").await;
    let other = RawAgent::enroll(server, "web2.example.test").await;
    let store = agent.store(server, 2, "/etc/tls/site.pem").await;
    let able = ["CertStores.PEM.Management", "CertStores.PEM.Reenrollment", "CertStores.PEM.Discovery"];
    let able = RawAgent::enroll_with(server, "web3.example.test", &able).await;
    let made = async |path: &str, body: Value| admin.post(path, &body).await.ok();
    let login = json!({"Name": "iis0.example.test", "ServerType": 105, "UseSSL": true,
        "Username": {"SecretValue": "deployer"}, "Password": {"SecretValue": "a-password"}});
    let server_entry = made("/CertificateStores/Server", login).await["Id"].to_string();
    let container = made("/CertificateStoreContainers", json!({"Name": "Web farm"})).await["Id"].to_string();
    let store_type = json!({"Name": "A type", "ShortName": "TYPE"});
    let store_type = made("/CertificateStoreTypes", store_type).await["StoreType"].to_string();
    admin.post("/CertificateStores/Certificates/Add", &addition(certificate, &[&store])).await.ok();
    let custom = json!({"JobTypeName": "RestartService", "JobTypeFields": [{"Name": "Name", "Type": 1}]});
    let custom = admin.post("/JobTypes/Custom", &custom).await.ok();
    sqlx::query(
        "UPDATE agents SET capabilities = capabilities || '{Custom.RestartService}' WHERE id::text = $1",
    )
    .bind(&agent.id)
    .execute(server.database())
    .await
    .unwrap();
    let blueprint = format!("/AgentBluePrint/GenerateBluePrint?agentId={}&name=Web", agent.id);
    let blueprint = made(&blueprint, Value::Null).await["AgentBlueprintId"].clone();
    let spare = enroll(admin, &["spare.example.test"]).await;
    let file = admin.get(&format!("/Certificates/{certificate}")).await.ok()["ContentBytes"].clone();
    let field = async |name: &str| {
        let body = json!({"Name": name, "Description": "for an example", "DataType": 1});
        admin.post("/MetadataFields", &body).await.ok()["Id"].to_string()
    };
    let (field, spare_field) = (field("Owner").await, field("Spare").await);
    let mut words = vec![
        ("{{role}}", role.to_string()),
        ("{{spare_certificate}}", spare.to_string()),
        ("{{certificate_file}}", file.as_str().unwrap().to_owned()),
        ("{{metadata_field}}", "Owner".to_owned()),
        ("{{metadata_field_id}}", field),
        ("{{spare_metadata_field}}", spare_field),
        ("{{certificate}}", certificate.to_string()),
        ("{{role_name}}", "Readers".to_owned()),
        ("{{agent}}", agent.id.clone()),
        ("{{other_agent}}", other.id.clone()),
        ("{{store}}", store),
        ("{{other_store}}", agent.store(server, 2, "/etc/tls/other.pem").await),
        ("{{password_store}}", agent.store(server, 102, "/etc/tls/site.p12").await),
        ("{{able_store}}", able.store(server, 2, "/etc/tls/able.pem").await),
        ("{{able_agent}}", able.id.clone()),
        ("{{container}}", container),
        ("{{store_type}}", store_type),
        ("{{server}}", server_entry),
        ("{{custom_type}}", custom["Id"].as_str().unwrap().to_owned()),
        ("{{custom_type_name}}", "RestartService".to_owned()),
        ("{{blueprint}}", blueprint.as_str().unwrap().to_owned()),
        ("{{alias}}", "A".repeat(40)),
    ];
    words.extend(words_of_enrollment(admin).await);
    words.extend(words_of_callers(admin, certificate).await);
    words
}

/// What examples about enrollment speak of.
async fn words_of_enrollment(admin: &Client) -> Words {
    let other_certificate = enroll(admin, &["www.example.test"]).await;
    let template = super::enrollment::template_id(admin, "TLSServer").await;
    let (requests, instance) = waiting_requests(admin).await;
    let authorities = admin.query("/CertificateAuthority", "LogicalName -contains \"Issuing\"").await.ok();
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let csr = super::enrollment::csr(&key, "csr.example.test", &[]).replace('\n', "\\n");
    vec![
        ("{{instance}}", instance),
        ("{{other_certificate}}", other_certificate.to_string()),
        ("{{template}}", template.to_string()),
        ("{{request}}", requests[0].to_string()),
        ("{{other_request}}", requests[1].to_string()),
        ("{{authority}}", authorities[0]["Id"].to_string()),
        ("{{authority_name}}", authorities[0]["LogicalName"].as_str().unwrap().to_owned()),
        ("{{tenant}}", authorities[0]["ConfigurationTenant"].as_str().unwrap().to_owned()),
        ("{{csr}}", csr),
    ]
}

/// What examples about callers and what they may see speak of.
async fn words_of_callers(admin: &Client, certificate: i64) -> Words {
    let made = async |path: &str, body: Value| admin.post(path, &body).await.ok();
    let claim =
        json!({"ClaimType": "User", "ClaimValue": "CORP\\standby", "ProviderAuthenticationScheme": "Local"});
    let claim = made("/Security/Claims", claim).await["Id"].to_string();
    let set =
        made("/PermissionSets", json!({"Name": "Agents", "Permissions": ["/agents/"]})).await["Id"].clone();
    let collection = json!({"Name": "Every certificate", "Query": ""});
    let collection = made("/CertificateCollections", collection).await["Id"].to_string();
    let providers = admin.get("/IdentityProviders").await.ok();
    let thumbprint = admin.get(&format!("/Certificates/{certificate}")).await.ok()["Thumbprint"].clone();
    let thumbprint = thumbprint.as_str().unwrap().to_owned();
    vec![
        ("{{thumbprint}}", thumbprint),
        ("{{claim}}", claim),
        ("{{permission_set}}", set.as_str().unwrap().to_owned()),
        ("{{provider}}", providers[0]["Id"].as_str().unwrap().to_owned()),
        ("{{collection}}", collection),
    ]
}

/// The word that stands for a parameter below each path; the first that fits counts.
const ADDRESSES: &[(&str, &str, &str)] = &[
    (
        "/Certificates/Metadata/Compare",
        "Compare",
        "Compare?certificateId={{certificate}}&metadataFieldName=Owner&value=web",
    ),
    ("/AgentBluePrint/ApplyBlueprint", "/ApplyBlueprint", "/ApplyBlueprint?templateId={{blueprint}}"),
    ("/AgentBluePrint/", "{id}", "{{blueprint}}"),
    ("/Security/Roles/", "{id}", "{{role}}"),
    ("/Security/Containers/", "{id}", "{{container}}"),
    ("/Security/Claims/", "{id}", "{{claim}}"),
    ("/Security/Identities/", "{id}", "{{claim}}"),
    ("/PermissionSets/", "{id}", "{{permission_set}}"),
    ("/IdentityProviders/", "{id}", "{{provider}}"),
    ("/Workflow/Instances/", "{id}", "{{instance}}"),
    ("/Enrollment/AvailableRenewal/Id/", "{id}", "{{certificate}}"),
    ("/Enrollment/AvailableRenewal/Thumbprint/", "{thumbprint}", "{{thumbprint}}"),
    ("/Certificates/", "{id}", "{{certificate}}"),
    ("/CertificateCollections/", "{id}", "{{collection}}"),
    ("/CertificateStoreContainers/", "{id}", "{{container}}"),
    ("/Applications/", "{id}", "{{container}}"),
    ("/CertificateStores/Server/", "{id}", "{{server}}"),
    ("/CertificateStores/", "{id}", "{{store}}"),
    ("/CertificateStoreTypes/Name/", "{name}", "PEM"),
    ("/CertificateStoreTypes/", "{id}", "{{store_type}}"),
];

/// A path with a word for its parameter, where one is known.
pub(crate) fn addressed(path: &str) -> String {
    match ADDRESSES.iter().find(|(start, _, _)| path.starts_with(start)) {
        Some((_, parameter, word)) => path.replace(parameter, word),
        None => path.to_owned(),
    }
}

/// A text with its words replaced.
pub(crate) fn spoken(text: &str, words: &Words) -> String {
    words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_works_as_it_stands() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let words = words(&server).await;
    // What is revoked, deleted or shut out by an example comes last.
    let mut routes = routes();
    routes.sort_by_key(|route| {
        route.method == "DELETE"
            || ["/Certificates/Revoke", "/Agents/Disapprove", "/Agents/Reset"].contains(&route.path)
    });
    let mut sent = 0;
    for route in routes {
        let Some(example) = route.example else { continue };
        let body = spoken(example, &words);
        assert!(!body.contains("{{"), "{}: this test does not know a word of {example}", route.path);
        let body: Value =
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{}: {error}", route.path));
        let method: Method = route.method.parse().unwrap();
        let path = spoken(&addressed(route.path), &words);
        let answer = admin.send(admin.request(method, &path).json(&body)).await;
        assert!(answer.status.is_success(), "{} {}: {}", route.method, route.path, answer.text);
        sent += 1;
    }
    assert!(sent > 12, "{sent} examples were sent");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_and_its_page_are_served_to_anyone() {
    let server = TestServer::start().await;
    let nobody = server.admin.with(Credentials::None);
    let served = nobody.get("/openapi.json").await.ok();
    assert_eq!(served["paths"], openapi()["paths"]);
    assert_eq!(served["servers"][0]["url"], "/KeyfactorAPI");
    let page = nobody.get("/reference").await;
    assert!(page.status.is_success() && page.text.contains("swagger-ui"), "{}", page.status);
    let script = nobody.get("/reference/swagger-initializer.js").await;
    assert!(script.text.contains("../openapi.json"), "{}", script.text);
    assert_eq!(nobody.get("/reference/nothing.js").await.status, 404);
    server.stop().await;
}
