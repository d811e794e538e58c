//! What the examples of the OpenAPI document speak of: each word in double braces stands for something that is made here.

use sealift_pki::{CertificateRequest, DistinguishedName, KeyAlgorithm, PrivateKey, SubjectAlternativeName};
use serde_json::{Value, json};

use crate::agent::RawAgent;
use crate::client::Client;
use crate::server::TestServer;
use crate::story::{addition, enroll};

/// The id of a template by its short name.
pub async fn template_id(client: &Client, name: &str) -> i64 {
    let rows = client.query("/Templates", &format!("CommonName -eq \"{name}\"")).await.ok();
    rows[0]["Id"].as_i64().expect("a template")
}

/// A request for a key, as PEM.
pub fn csr(key: &PrivateKey, name: &str, names: &[&str]) -> String {
    let subject = DistinguishedName::parse(&format!("CN={name},O=Example")).expect("a value");
    let names: Vec<_> = names.iter().map(|name| SubjectAlternativeName::Dns((*name).to_owned())).collect();
    CertificateRequest::create(key, &subject, &names).expect("a value").to_pem()
}

/// Two requests that wait for approval, and the workflow instance of a third.
async fn waiting_requests(admin: &Client) -> (Vec<Value>, String) {
    let id = template_id(admin, "TLSServerClient").await;
    let approval = |wanted: bool| json!({"Id": id, "RequiresApproval": wanted});
    admin.put("/Templates", &approval(true)).await.ok();
    let (mut requests, mut instance) = (Vec::new(), String::new());
    for _ in 0..3 {
        let body = json!({"Subject": "CN=wait.example.test", "Template": "TLSServerClient"});
        let answer = admin.post("/Enrollment/PFX", &body).await.ok();
        requests.push(answer["CertificateInformation"]["KeyfactorRequestId"].clone());
        instance =
            answer["CertificateInformation"]["WorkflowInstanceId"].as_str().expect("a text").to_owned();
    }
    admin.put("/Templates", &approval(false)).await.ok();
    (requests, instance)
}

/// What the words in double braces stand for, in examples and in the paths of [`addressed`].
pub type Words = Vec<(&'static str, String)>;

/// Makes what examples speak of.
pub async fn words(server: &TestServer) -> Words {
    let admin = &server.admin;
    let certificate = enroll(admin, &["www.example.test"]).await;
    let role = json!({"Name": "Readers", "Description": "", "Permissions": ["/agents/management/read/"]});
    let role = admin.post("/Security/Roles", &role).await.ok()["Id"].clone();
    let agent = RawAgent::enroll(server, "web1.example.test").await;
    let other = RawAgent::enroll(server, "web2.example.test").await;
    let spare_agent = RawAgent::enroll(server, "web4.example.test").await;
    spare_agent.lease(0).await;
    let lost_agent = RawAgent::enroll(server, "web5.example.test").await;
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
    .expect("a statement");
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
        ("{{certificate_file}}", file.as_str().expect("a text").to_owned()),
        ("{{metadata_field}}", "Owner".to_owned()),
        ("{{metadata_field_id}}", field),
        ("{{spare_metadata_field}}", spare_field),
        ("{{certificate}}", certificate.to_string()),
        ("{{role_name}}", "Readers".to_owned()),
        ("{{agent}}", agent.id.clone()),
        ("{{other_agent}}", other.id.clone()),
        ("{{spare_agent}}", spare_agent.id),
        ("{{lost_agent}}", lost_agent.id),
        ("{{store}}", store),
        ("{{other_store}}", agent.store(server, 2, "/etc/tls/other.pem").await),
        ("{{password_store}}", agent.store(server, 102, "/etc/tls/site.p12").await),
        ("{{able_store}}", able.store(server, 2, "/etc/tls/able.pem").await),
        ("{{able_agent}}", able.id.clone()),
        ("{{container}}", container),
        ("{{store_type}}", store_type),
        ("{{server}}", server_entry),
        ("{{custom_type}}", custom["Id"].as_str().expect("a text").to_owned()),
        ("{{custom_type_name}}", "RestartService".to_owned()),
        ("{{blueprint}}", blueprint.as_str().expect("a text").to_owned()),
        ("{{alias}}", "A".repeat(40)),
    ];
    words.extend(words_of_enrollment(admin).await);
    words.extend(words_of_callers(admin, certificate).await);
    words
}

/// What examples about enrollment speak of.
async fn words_of_enrollment(admin: &Client) -> Words {
    let other_certificate = enroll(admin, &["www.example.test"]).await;
    let template = template_id(admin, "TLSServer").await;
    let (requests, instance) = waiting_requests(admin).await;
    let authorities = admin.query("/CertificateAuthority", "LogicalName -contains \"Issuing\"").await.ok();
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).expect("a value");
    let csr = csr(&key, "csr.example.test", &[]).replace('\n', "\\n");
    vec![
        ("{{instance}}", instance),
        ("{{other_certificate}}", other_certificate.to_string()),
        ("{{template}}", template.to_string()),
        ("{{request}}", requests[0].to_string()),
        ("{{other_request}}", requests[1].to_string()),
        ("{{authority}}", authorities[0]["Id"].to_string()),
        ("{{authority_name}}", authorities[0]["LogicalName"].as_str().expect("a text").to_owned()),
        ("{{tenant}}", authorities[0]["ConfigurationTenant"].as_str().expect("a text").to_owned()),
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
    let thumbprint = thumbprint.as_str().expect("a text").to_owned();
    vec![
        ("{{thumbprint}}", thumbprint),
        ("{{claim}}", claim),
        ("{{permission_set}}", set.as_str().expect("a text").to_owned()),
        ("{{provider}}", providers[0]["Id"].as_str().expect("a text").to_owned()),
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
    ("/Agents/{id}/Merge", "{id}", "{{lost_agent}}"),
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
pub fn addressed(path: &str) -> String {
    match ADDRESSES.iter().find(|(start, _, _)| path.starts_with(start)) {
        Some((_, parameter, word)) => path.replace(parameter, word),
        None => path.to_owned(),
    }
}

/// A text with its words replaced.
pub fn spoken(text: &str, words: &Words) -> String {
    words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
}
