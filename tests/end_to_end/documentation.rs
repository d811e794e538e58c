//! README.md and deploy/ say what is so: every key, every operation, every exit code, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Method;
use sealift_protocol::agent::error_catalogue::{CATALOGUE, FailureClass};
use sealift_server::configuration::Configuration;
use sealift_server::startup::routes;
use serde_json::{Value, json};
use support::story::{addition, enrollment};
use support::{Client, RawAgent, TestServer, programs};

const README: &str = include_str!("../../README.md");
const SERVER_DEFAULTS: &str = include_str!("../../crates/server/src/default.toml");
const AGENT_DEFAULTS: &str = include_str!("../../crates/agent/src/default.toml");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The part of README.md under a heading.
fn section(heading: &str) -> &'static str {
    let start =
        README.find(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("README.md has no {heading}"));
    let rest = &README[start + 1..];
    &rest[..rest.find("\n## ").unwrap_or(rest.len())]
}

/// The rows of a section's tables, heads apart, as cells.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let lines = section(heading).lines().filter(|line| line.starts_with("| `"));
    lines.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The keys of a commented file, dotted, with their values; those behind a `#` have none.
fn keys(file: &str) -> BTreeMap<String, Option<String>> {
    let (mut found, mut table) = (BTreeMap::new(), String::new());
    for line in file.lines() {
        let text = line.trim_start_matches(['#', ' ']);
        if let Some(name) = text.strip_prefix('[') {
            table = format!("{}.", name.trim_matches(['[', ']']));
            found.extend(text.starts_with("[[").then(|| (table.trim_matches('.').to_owned(), None)));
        } else if let Some((key, value)) = text.split_once(" = ")
            && key.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
        {
            let value = (!line.starts_with('#')).then(|| value.trim_matches(['[', ']', '"']).to_owned());
            found.insert(format!("{table}{key}"), value);
        }
    }
    found
}

#[test]
fn every_key_has_its_row_with_its_default() {
    for (heading, defaults, atleast) in [
        ("Configuration of the server", SERVER_DEFAULTS, 25),
        ("Configuration of the agent", AGENT_DEFAULTS, 15),
    ] {
        let keys = keys(defaults);
        assert!(keys.len() >= atleast, "{heading}: {keys:?}");
        let rows: BTreeMap<String, &str> =
            rows(heading).into_iter().map(|cells| (quoted(cells[0]).remove(0), cells[1])).collect();
        assert_eq!(rows.keys().collect::<Vec<_>>(), keys.keys().collect::<Vec<_>>(), "{heading}");
        for (key, value) in keys {
            let Some(value) = value else { continue };
            let written = rows[&key].trim_matches('`');
            assert_eq!(written, if value.is_empty() { "empty" } else { value.as_str() }, "{heading}: {key}");
        }
    }
}

#[test]
fn the_sample_of_the_server_shows_every_key_and_is_valid() {
    let sample = root().join("deploy/server.toml");
    let text = std::fs::read_to_string(&sample).unwrap();
    let (shown, known) = (keys(&text), keys(SERVER_DEFAULTS));
    assert_eq!(shown.keys().collect::<Vec<_>>(), known.keys().collect::<Vec<_>>());
    let load = |path: &Path| Configuration::load(Some(path), std::iter::empty(), &BTreeMap::new()).unwrap();
    assert_eq!(load(&sample).public_url, "https://sealift.example.test:8443");

    // The keys behind a `#` are the defaults, too.
    let directory = tempfile::tempdir().unwrap();
    let all = directory.path().join("all.toml");
    let is_key = |line: &str| {
        line.split_once(" = ").is_some_and(|(key, _)| known.keys().any(|known| known.ends_with(key)))
    };
    let line =
        |line: &str| line.strip_prefix("# ").filter(|line| is_key(line)).unwrap_or(line).to_owned() + "\n";
    File::create(&all).unwrap().write_all(text.lines().map(line).collect::<String>().as_bytes()).unwrap();
    let mut defaults = Configuration::load(None, std::iter::empty(), &BTreeMap::new()).unwrap();
    let sample = load(&all);
    (defaults.listen, defaults.public_url) = (sample.listen, sample.public_url.clone());
    assert_eq!(format!("{sample:?}"), format!("{defaults:?}"));
}

#[test]
fn the_samples_fit_together() {
    let agent = std::fs::read_to_string(root().join("deploy/agent.toml")).unwrap();
    let nginx = std::fs::read_to_string(root().join("deploy/nginx-site.conf")).unwrap();
    for directive in ["ssl_certificate ", "ssl_certificate_key "] {
        let line = nginx.lines().find(|line| line.trim().starts_with(directive)).unwrap();
        let path = line.trim().trim_end_matches(';').rsplit(' ').next().unwrap();
        assert!(agent.contains(&format!("\"{path}\"")), "agent.toml does not allow {path}");
    }
    for (unit, file) in [("sealift-server.service", "server.toml"), ("sealift-agent.service", "agent.toml")] {
        let unit = std::fs::read_to_string(root().join("deploy").join(unit)).unwrap();
        assert!(unit.contains(&format!("/etc/sealift/{file}")));
    }
}

#[test]
fn every_operation_is_listed_and_no_other() {
    let served: BTreeSet<String> =
        routes().iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    let listed: BTreeSet<String> = rows("Compatibility").iter().flat_map(|cells| quoted(cells[0])).collect();
    assert_eq!(listed, served);
}

#[test]
fn the_exit_codes_are_those_of_the_program() {
    let help = Command::new(programs::path("sealift")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let told = help.split("Exit codes:\n").nth(1).expect("the program tells its exit codes");
    let told: Vec<String> = told
        .lines()
        .map_while(|line| line.trim().split_once("  "))
        .map(|(code, meaning)| format!("| {code} | {} |", meaning.trim()))
        .collect();
    assert!(told.len() >= 7, "{told:?}");
    for line in told {
        assert!(section("Automation").contains(&line), "not in README.md: {line}");
    }
}

#[test]
fn every_error_code_has_its_row() {
    let class = |class: FailureClass| match class {
        FailureClass::Transient => "may help",
        FailureClass::NeedsPerson => "needs a person first",
        FailureClass::Never => "never helps",
        FailureClass::Interrupted => "goes on by itself",
    };
    let known: Vec<Vec<String>> = CATALOGUE
        .iter()
        .map(|entry| {
            let code = format!("`{}`", entry.code);
            [code.as_str(), class(entry.class), entry.meaning, entry.remedy].map(str::to_owned).to_vec()
        })
        .collect();
    assert_eq!(rows("Error codes"), known);
}

#[test]
fn links_lead_somewhere() {
    let anchor = |heading: &str| heading.to_lowercase().replace('\'', "").replace(' ', "-");
    let headings: Vec<String> =
        README.lines().filter_map(|line| line.strip_prefix("## ")).map(anchor).collect();
    let targets = README.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for target in targets.filter(|target| !target.starts_with("https://")) {
        match target.strip_prefix('#') {
            Some(heading) => assert!(headings.iter().any(|known| known == heading), "no heading {target}"),
            None => assert!(root().join(target).exists(), "README.md links to {target}, which is not there"),
        }
    }
}

/// A type of custom jobs, and a blueprint.
async fn custom_type_and_blueprint(admin: &Client, agent: &RawAgent) -> (Value, Value) {
    let custom = admin.post("/JobTypes/Custom", &json!({"JobTypeName": "Restart"})).await.ok();
    let path = format!("/AgentBluePrint/GenerateBluePrint?agentId={}&name=Web", agent.id);
    let blueprint = admin.post(&path, &Value::Null).await.ok();
    (custom["Id"].clone(), blueprint["AgentBlueprintId"].clone())
}

/// What no other test asks for, so that nothing is listed that was never called.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_that_is_listed_answers() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let enrolled = enrollment(admin, &["www.example.test"]).await["CertificateInformation"].clone();
    let certificate = enrolled["KeyfactorId"].as_i64().unwrap();
    let thumbprint = enrolled["Thumbprint"].as_str().unwrap().to_owned();
    let (request, instance) =
        (enrolled["WorkflowReferenceId"].clone(), enrolled["WorkflowInstanceId"].clone());
    let role = json!({"Name": "Readers", "Description": "", "Permissions": ["/agents/management/read/"]});
    let role = admin.post("/Security/Roles", &role).await.ok()["Id"].clone();
    let user = json!({"Name": "ann", "Password": "a long password", "Roles": ["Readers"]});
    let user = admin.post("/Security/Users", &user).await.ok()["Id"].clone();
    let token = json!({"Name": "pipeline", "Roles": ["Readers"]});
    let token = admin.post("/Security/ApiTokens", &token).await.ok()["Id"].clone();
    let collection = json!({"Name": "Shop", "Query": "IssuedCN -startswith \"shop.\""});
    let collection = admin.post("/CertificateCollections", &collection).await.ok()["Id"].clone();
    let container = admin.post("/Applications", &json!({"Name": "Web farm"})).await.ok()["Id"].clone();
    let field = json!({"Name": "Owner", "Description": "who answers for it", "DataType": 1});
    let field = admin.post("/MetadataFields", &field).await.ok()["Id"].clone();

    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 2, "/etc/tls/site.pem").await;
    let job = admin.post("/CertificateStores/Certificates/Add", &addition(certificate, &[&store])).await.ok()
        [0]
    .clone();
    agent.lease(0).await;
    let attempt = admin.get("/OrchestratorJobs/JobHistory").await.ok()[0]["JobHistoryId"].clone();
    let (custom, blueprint) = custom_type_and_blueprint(admin, &agent).await;
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let id_of = |path: &str| match path.split('/').nth(1).unwrap() {
        "Agents" => agent.id.clone(),
        "Certificates" => certificate.to_string(),
        "CertificateCollections" => text(&collection),
        "CertificateStores" => store.clone(),
        "CertificateStoreContainers" | "Applications" => text(&container),
        "CertificateStoreTypes" if path.contains("Name") => "PEM".to_owned(),
        "MetadataFields" => text(&field),
        "OrchestratorJobs" => text(&job),
        "JobTypes" => text(&custom),
        "Security" if path.contains("/Containers/") => text(&container),
        "Security" if path.contains("/Claims/") || path.contains("/Identities/") => "1".to_owned(),
        "Security" => text(&role),
        "AgentBluePrint" => text(&blueprint),
        "Enrollment" if !path.contains("Settings") => certificate.to_string(),
        "Workflow" if path.contains("Instances") => text(&instance),
        "Workflow" => text(&request),
        other => born_with(other).to_owned(),
    };
    // There is no agent pool to ask for.
    let mut asked = routes();
    asked.retain(|route| route.method == "GET" && route.path != "/AgentPools/{id}");
    for route in &asked {
        let path = match route.path.contains('{') {
            true => route
                .path
                .replace("{id}", &id_of(route.path))
                .replace("{name}", &id_of(route.path))
                .replace("{thumbprint}", &thumbprint)
                .replace("{file}", &id_of(route.path)),
            false => route.path.to_owned(),
        };
        let answer = admin.get(&format!("{path}?{}", told(certificate, &attempt))).await;
        assert!(answer.status.is_success(), "GET {path}: {} {}", answer.status, answer.text);
    }

    take_back(admin, certificate, [("ApiTokens", token), ("Users", user), ("Roles", role)]).await;
    server.stop().await;
}

/// The id of something that every server has from the start, by the first part of its path.
fn born_with(part: &str) -> &'static str {
    match part {
        "PermissionSets" => "5ea11f70-0000-4000-8000-000000000001",
        "IdentityProviders" => "5ea11f70-0000-4000-8000-000000000002",
        "CertificateStoreTypes" => "2",
        "Audit" | "Templates" | "CertificateAuthority" | "EnrollmentPatterns" | "Enrollment" => "1",
        "crl" => "issuing.crl",
        "reference" => "index.html",
        other => panic!("this test knows no id for {other}"),
    }
}

/// What some operations must be told, and the others pass over.
fn told(certificate: i64, attempt: &Value) -> String {
    format!(
        "certificateId={certificate}&metadataFieldName=Owner&value=web&jobHistoryId={attempt}&accountName=ann\
         &ClaimType=User&ClaimValue=ann&ProviderAuthenticationScheme=Local"
    )
}

/// Revokes a certificate, and deletes who was made to call.
async fn take_back(admin: &Client, certificate: i64, callers: [(&str, Value); 3]) {
    let revocation = json!({"CertificateIds": [certificate], "Reason": 4, "Comment": "replaced"});
    admin.post("/Certificates/Revoke", &revocation).await.ok();
    assert_eq!(admin.get(&format!("/Certificates/{certificate}")).await.ok()["CertState"], 2);
    for (what, id) in callers {
        let path = format!("/Security/{what}");
        let answer = admin.send(admin.request(Method::DELETE, &format!("{path}/{id}"))).await;
        assert!(answer.status.is_success(), "DELETE {path}/{id}: {} {}", answer.status, answer.text);
    }
}
