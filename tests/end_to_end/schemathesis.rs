//! Schemathesis, which knows nothing of the server but its OpenAPI document, finds no answer that the document does not
//! tell: no fault, no status or content type that is not listed, no body of another shape. It calls as nobody, as a
//! caller with few permissions and as an administrator.
//!
//! One small round for each caller by default; with `SEALIFT_TEST_CASES`, rounds with further seeds until there were so
//! many calls. `SEALIFT_TEST_SEED` chooses the first seed, and each round prints its own.

use std::process::Stdio;

use sealift_server::startup::routes;
use serde_json::{Value, json};
use support::client::Credentials;
use support::examples::{spoken, words};
use support::story::{addition, enroll};
use support::{Client, RawAgent, TestServer, python, random};

/// Who calls in a round.
struct Caller {
    name: &'static str,
    authorization: Option<String>,
    /// Phases and calls for each operation, of a small round and of a large one.
    small: (&'static str, u32),
    large: (&'static str, u32),
}

/// What a round found.
struct Round {
    calls: u64,
    successes: u64,
}

/// What the calls name, made once before them: of each kind the first stays, the others may be ended.
async fn fixtures(server: &TestServer) -> Value {
    let admin = &server.admin;
    let words = words(server).await;
    let word = |name: &str| {
        let found = words.iter().find(|(word, _)| word.trim_matches(['{', '}']) == name);
        found.unwrap_or_else(|| panic!("{name} is no word of the examples")).1.clone()
    };
    let mut found = serde_json::Map::new();
    let mut add = |kind: &str, value: Value| match found.entry(kind).or_insert_with(|| json!([])) {
        Value::Array(values) => values.push(value),
        other => panic!("{kind}: {other}"),
    };
    for kind in [
        "agent",
        "alias",
        "blueprint",
        "certificate",
        "claim",
        "collection",
        "container",
        "custom_type",
        "instance",
        "metadata_field_id",
        "permission_set",
        "provider",
        "request",
        "server",
        "store",
        "store_type",
        "template",
        "thumbprint",
    ] {
        let text = word(kind);
        add(kind, text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number)));
    }
    for number in 1..=3 {
        add("certificate", json!(enroll(admin, &[&format!("www{number}.example.test")]).await));
        let agent = RawAgent::enroll(server, &format!("farm{number}.example.test")).await;
        add("store", json!(agent.store(server, 2, "/etc/tls/site.pem").await));
        add("agent", json!(agent.id));
        let container = json!({"Name": format!("Web farm {number}")});
        add("container", admin.post("/CertificateStoreContainers", &container).await.ok()["Id"].clone());
        let collection = json!({"Name": format!("Collection {number}"), "Query": ""});
        add("collection", admin.post("/CertificateCollections", &collection).await.ok()["Id"].clone());
    }
    let jobs = addition(word("certificate").parse().unwrap(), &[&word("store")]);
    add("job", admin.post("/CertificateStores/Certificates/Add", &jobs).await.ok()[0].clone());
    let mut examples = serde_json::Map::new();
    for route in routes() {
        let Some(example) = route.example else { continue };
        let body: Value = serde_json::from_str(&spoken(example, &words)).unwrap();
        examples.insert(format!("{} {}", route.method, route.path), body);
    }
    found.extend([
        ("examples".to_owned(), Value::Object(examples)),
        ("permission".to_owned(), json!(["/agents/management/read/"])),
        ("role".to_owned(), json!(["Administrators", "Readers"])),
        ("role_id".to_owned(), json!([word("role").parse::<i64>().unwrap(), 1])),
        ("store_type_name".to_owned(), json!(["PEM", "pkcs12"])),
        ("subject".to_owned(), json!(["CN=www.example.test,O=Example"])),
        ("template_name".to_owned(), json!(["TLSServer", "TLSServerClient"])),
        (
            "schedule".to_owned(),
            json!([{"Immediate": true}, {"Interval": {"Minutes": 60}},
            {"Daily": {"Time": "2026-05-04T03:00:00Z"}}]),
        ),
    ]);
    Value::Object(found)
}

/// A token of a new role; answers the token and the ids of both.
async fn caller(admin: &Client, role: &str, permissions: Option<&[&str]>) -> (String, [Value; 2]) {
    let id = match permissions {
        Some(permissions) => {
            let body = json!({"Name": role, "Description": "", "Permissions": permissions});
            admin.post("/Security/Roles", &body).await.ok()["Id"].clone()
        }
        None => json!(1),
    };
    let token = admin.post("/Security/ApiTokens", &json!({"Name": role, "Roles": [role]})).await.ok();
    (token["Token"].as_str().unwrap().to_owned(), [id, token["Id"].clone()])
}

/// One run of the program.
fn round(server: &TestServer, caller: &Caller, fixtures: &Value, large: bool, seed: u64) -> Round {
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    let (phases, examples) = if large { caller.large } else { caller.small };
    let mut program = python::program("schemathesis", "fuzz.py");
    program
        .env("SEALIFT_URL", &server.ready.base_url)
        .env("SEALIFT_CA_FILE", &server.ready.ca_file)
        .env("SEALIFT_CALLER", caller.name)
        .env("SEALIFT_SEED", seed.to_string())
        .env("SEALIFT_PHASES", phases)
        .env("SEALIFT_EXAMPLES", examples.to_string())
        .env("SEALIFT_FIXTURES", fixtures.to_string())
        .env("SEALIFT_REPORT", &report)
        .envs(caller.authorization.as_ref().map(|value| ("SEALIFT_AUTHORIZATION", value)))
        .current_dir(directory.path())
        .stdin(Stdio::null());
    let ended = program.output().unwrap();
    let text = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
    assert!(
        ended.status.success(),
        "as {} with SEALIFT_TEST_SEED={seed}, {examples} calls each, {phases}:\n{text}",
        caller.name
    );
    println!("{}", text.trim_end().lines().last().unwrap_or_default());
    let counts = std::fs::read_to_string(report.with_extension("json.statuses")).unwrap();
    let counts: std::collections::BTreeMap<u16, u64> = serde_json::from_str(&counts).unwrap();
    let successes = counts.iter().filter(|(status, _)| (200..300).contains(*status)).map(|(_, count)| count);
    Round { calls: counts.values().sum(), successes: successes.sum() }
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_no_answer_that_the_document_does_not_tell() {
    let server = TestServer::start().await;
    let wanted = std::env::var("SEALIFT_TEST_CASES").ok().map(|text| text.parse::<u64>().expect("a number"));
    let (reader, reader_ids) = caller(&server.admin, "Few rights", Some(&["/agents/management/read/"])).await;
    let (administrator, administrator_ids) = caller(&server.admin, "Administrators", None).await;
    let mut fixtures = fixtures(&server).await;
    fixtures["callers"] = json!([&reader_ids[..], &administrator_ids[..]].concat());
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    let callers = [
        Caller { name: "nobody", authorization: None, small: ("fuzzing", 1), large: ("fuzzing", 3) },
        Caller {
            name: "a reader",
            authorization: bearer(&reader),
            small: ("fuzzing", 2),
            large: ("coverage,fuzzing", 20),
        },
        Caller {
            name: "an administrator",
            authorization: bearer(&administrator),
            small: ("examples,fuzzing,stateful", 8),
            large: ("examples,coverage,fuzzing,stateful", 100),
        },
    ];
    let mut calls = 0;
    for seed in random::seed().. {
        for caller in &callers {
            let found =
                tokio::task::block_in_place(|| round(&server, caller, &fixtures, wanted.is_some(), seed));
            calls += found.calls;
            // Else it met nothing but its own lack of rights.
            assert!(caller.name != "an administrator" || found.successes * 10 > found.calls, "few successes");
        }
        if calls >= wanted.unwrap_or_default() {
            break;
        }
    }
    println!("{calls} calls");
    for token in [reader, administrator] {
        server.admin.with(Credentials::Token(token)).get("/Security/My").await.ok();
    }
    server.stop().await;
}
