//! Each kind of finding, on real files and against a real TLS door.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use sealift_stores::atomic_file;

use super::*;
use crate::scripted_server::{Answer, ScriptedServer};

/// What was found about a subject.
fn about<'a>(findings: &'a [Finding], subject: &str) -> Vec<&'a Finding> {
    findings.iter().filter(|finding| finding.subject == subject).collect()
}

async fn server() -> ScriptedServer {
    ScriptedServer::start(|call| match call.path.as_str() {
        "Sealift/Renew" => Answer::Json(serde_json::json!({ "LeaseSeconds": 90 })),
        _ => Answer::Raw(404, "Date: Wed, 25 Nov 2020 12:00:00 GMT\r\n", String::new()),
    })
    .await
}

async fn findings(server: &ScriptedServer, lines: &str) -> Vec<Finding> {
    server.configuration(lines);
    examine(Some(&server.path("agent.toml")), []).await
}

fn has(findings: &[Finding], subject: &str, severity: Severity, text: &str) {
    let found = about(findings, subject);
    assert!(
        found.iter().any(|one| one.severity == severity && one.message.contains(text)),
        "{subject} {severity:?} '{text}': {findings:#?}"
    );
    assert!(findings.iter().all(|one| one.remedy.is_some() == (one.severity != Severity::Ok)));
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_all_there_is_to_say() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent.toml");
    let found = examine(Some(&file), []).await;
    has(&found, "configuration", Severity::Problem, "agent.toml");
    atomic_file::write(&file, b"server_ulr = 'https://a.example.test'", 0o600).unwrap();
    let found = examine(Some(&file), []).await;
    assert_eq!((found.len(), worst(&found)), (1, Severity::Problem));
    has(&found, "configuration", Severity::Problem, "server_ulr");
}

#[tokio::test]
async fn a_machine_in_order_has_no_problem_and_a_wrong_clock_is_a_warning() {
    let server = server().await;
    fs::create_dir(server.path("tls")).unwrap();
    atomic_file::write(&server.path("tls/site.pem"), b"x", 0o600).unwrap();
    let lines = format!(
        "[[stores]]\ntype = 'PEM'\npath = '{}'\nafter_change = {{ command = ['/bin/true'] }}\n[[stores]]\ntype = 'CCS'\npath = '{}'\n",
        server.path("tls/site.pem").display(),
        server.path("tls").display()
    );
    let (agent, _tell) = server.known_agent(&lines, 0, 90);
    let seen = examine(Some(&server.path("agent.toml")), []).await;
    assert_eq!(worst(&seen), Severity::Warning, "{seen:#?}");
    has(&seen, "data_dir", Severity::Ok, "closed to others");
    has(&seen, "identity", Severity::Ok, "matches its key");
    has(&seen, "identity", Severity::Ok, "accepts");
    has(&seen, "server", Severity::Ok, "takes connections");
    has(&seen, "server", Severity::Ok, "status 404");
    has(&seen, "store", Severity::Ok, "can be read and replaced");
    has(&seen, "store", Severity::Ok, "directory can be read and written");
    has(&seen, "after_change", Severity::Ok, "/bin/true");
    has(&seen, "outbox", Severity::Ok, "heard");
    has(&seen, "journal", Severity::Ok, "no command");
    has(&seen, "clock", Severity::Warning, "ahead of the server's");
    has(&seen, "agent", Severity::Warning, "holds the lock");
    drop(agent);
    has(&findings(&server, &lines).await, "agent", Severity::Warning, "no agent runs");
}

#[tokio::test]
async fn what_waits_in_the_agents_directory_is_told() {
    let server = server().await;
    let root = server.path("state");
    has(&findings(&server, "").await, "data_dir", Severity::Warning, "is not there");
    for directory in ["outbox", "journal"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    for file in ["outbox/7.json", "outbox/8.json.refused", "journal/a.pending", "drained", "identity.json"] {
        atomic_file::write(&root.join(file), b"{", 0o600).unwrap();
    }
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    let found = findings(&server, "").await;
    has(&found, "configuration", Severity::Warning, "allow-list is empty");
    has(&found, "data_dir", Severity::Warning, "open to other users");
    has(&found, "outbox", Severity::Warning, "1 results wait");
    has(&found, "outbox", Severity::Warning, "set aside");
    has(&found, "journal", Severity::Warning, "1 stores");
    has(&found, "agent", Severity::Warning, "drained");
    has(&found, "identity", Severity::Problem, "identity.json");
    fs::remove_file(root.join("identity.json")).unwrap();
    has(&findings(&server, "").await, "identity", Severity::Warning, "no identity yet");
    let token = format!("enrollment_token_file = '{}'\n", root.join("absent").display());
    has(&findings(&server, &token).await, "identity", Severity::Problem, "token");
}

#[tokio::test]
async fn an_identity_that_is_over_or_not_accepted_is_a_problem() {
    let server = ScriptedServer::start(|_| Answer::Raw(403, "", String::new())).await;
    let (agent, _tell) = server.known_agent("", -90, -1);
    let found = findings(&server, "").await;
    has(&found, "identity", Severity::Problem, "is over");
    has(&found, "identity", Severity::Problem, "does not accept");
    drop(agent);
}

#[tokio::test]
async fn stores_that_cannot_be_changed_are_named() {
    let server = server().await;
    fs::create_dir(server.path("tls")).unwrap();
    fs::create_dir(server.path("closed")).unwrap();
    fs::set_permissions(server.path("closed"), fs::Permissions::from_mode(0o555)).unwrap();
    let rule = |kind: &str, key: &str, path: &str| {
        format!("[[stores]]\ntype = '{kind}'\n{key} = '{}'\n", server.path(path).display())
    };
    let lines = [
        rule("PEM", "path", "tls/new.pem"),
        rule("PEM", "path", "absent/new.pem"),
        rule("PEM", "path", "tls"),
        rule("JKS", "path_prefix", "nowhere"),
        rule("CCS", "path", "agent.toml"),
        format!(
            "[[stores]]\ntype = 'PEM'\npath = '{}'\nafter_change = {{ command = ['{}'] }}\n",
            server.path("closed/a.pem").display(),
            server.path("agent.toml").display()
        ),
        "[[stores]]\ntype = 'PEM'\npath = '/x/a.pem'\nafter_change = { command = ['/x/reload'] }\n"
            .to_owned(),
    ];
    let found = findings(&server, &lines.concat()).await;
    has(&found, "store", Severity::Warning, "tls/new.pem is not there yet");
    has(&found, "store", Severity::Problem, "absent cannot be used");
    has(&found, "store", Severity::Problem, "tls is no file");
    has(&found, "store", Severity::Problem, "nowhere cannot be used");
    has(&found, "store", Severity::Problem, "that is a file");
    if !rustix::process::geteuid().is_root() {
        has(&found, "store", Severity::Problem, "closed cannot be written");
    }
    has(&found, "after_change", Severity::Problem, "may not be run");
    has(&found, "after_change", Severity::Problem, "cannot be found");
}

#[tokio::test]
async fn the_step_to_the_server_that_fails_is_named() {
    let (one, other) = (server().await, server().await);
    let toml = |url: &str| {
        let ca = one.path("ca.pem");
        format!(
            "server_url = '{url}'\nca_file = '{}'\ndata_dir = '{}'\n",
            ca.display(),
            one.path("state").display()
        )
    };
    one.configuration("");
    let file = one.path("other.toml");
    for (url, text, remedy) in [
        ("https://name.invalid/K", "is not found", "resolver"),
        ("https://127.0.0.1:1/K", "takes no connection", "firewall"),
        (&other.url, "invalid peer certificate", "ca_file"),
    ] {
        atomic_file::write(&file, toml(url).as_bytes(), 0o600).unwrap();
        let found = examine(Some(&file), []).await;
        has(&found, "server", Severity::Problem, text);
        let told = about(&found, "server").into_iter().find(|one| one.severity == Severity::Problem).unwrap();
        assert!(told.remedy.as_deref().unwrap().contains(remedy), "{told:?}");
    }
    fs::remove_file(one.path("ca.pem")).unwrap();
    has(&examine(Some(&file), []).await, "server", Severity::Problem, "ca.pem");
}
