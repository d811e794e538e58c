//! `kill -9` of the server between any two statements of an approval: the request waits on, or its certificate is on
//! record with its key and its delivery is scheduled; a repeat issues no second one.

use std::path::Path;

use serde_json::{Value, json};
use support::random::{self, Random};
use support::statement_proxy::Moment;
use support::{Client, Machine};

use super::kills_of_servers::{Scene, Victim, kill};

/// Statements of an approval, roughly.
const STATEMENTS: u32 = 24;
const APPROVE: &str = "/Workflow/Certificates/Approve";

/// Asks for a certificate that goes to a store; answers the request.
async fn ask(admin: &Client, store: &str) -> i64 {
    let body =
        json!({"Subject": "CN=www.example.test", "Template": "TLSServer", "Stores": [{"StoreId": store}]});
    let request = admin.request(reqwest::Method::POST, "/Enrollment/PFX");
    let request = request.header("x-keyfactor-api-version", "2").header("x-certificateformat", "STORE");
    let answer = admin.send(request.json(&body)).await.ok();
    assert_eq!(answer["SuccessfulStores"], json!([store]));
    answer["CertificateInformation"]["KeyfactorRequestId"].as_i64().expect("a request that waits")
}

async fn count(admin: &Client, path: &str) -> usize {
    admin.get(&format!("{path}?ReturnLimit=1000")).await.ok().as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_while_it_approves_issues_one_certificate_or_none() {
    let mut random = Random::seeded("kills of approvals");
    let mut scene = Scene::set().await;
    let machine = {
        let (agent, ca) = (scene.server.text("AgentUrl").to_owned(), scene.server.text("CaFile").to_owned());
        Machine::install(&scene.admin, &agent, Path::new(&ca), "web1.example.test", "").await
    };
    // An agent must be known for a store; this one never comes back for its jobs.
    let agent = machine.start();
    let store = machine.store(&scene.admin, 2, "stores/site.pem", json!({})).await;
    drop(agent);
    let templates = scene.admin.query("/Templates", "CommonName -eq \"TLSServer\"").await.ok();
    let strict = json!({"Id": templates[0]["Id"], "RequiresApproval": true});
    scene.admin.put("/Templates", &strict).await.ok();
    let kills = random::times(10);
    let (mut struck, mut round, mut issued_by_the_dead) = (0, 0, 0);
    while struck < kills {
        round += 1;
        assert!(round < kills * 4, "most strikes fall after the approval");
        let id = ask(&scene.admin, &store).await;
        let certificates = count(&scene.admin, "/Certificates").await;
        let jobs = count(&scene.admin, "/OrchestratorJobs/ScheduledJobs").await;
        let process = scene.server.process.id();
        let moment = if random.below(2) == 0 { Moment::Before } else { Moment::After };
        let statement = 1 + random.below(STATEMENTS);
        scene.proxy.arm(statement, moment, move || kill(process));
        let answered = scene.admin.request(reqwest::Method::POST, APPROVE).json(&json!([id])).send().await;
        let acknowledged = answered.is_ok_and(|answer| answer.status().is_success());
        let fallen = !scene.proxy.disarm();
        struck += u32::from(fallen);
        if fallen {
            scene.restore(Victim::Server).await;
        }
        let place = format!("{moment:?} statement {statement}");
        let request = scene.admin.get(&format!("/Workflow/Certificates/{id}")).await.ok();
        let issued = request["State"] == 1;
        assert!(issued || !acknowledged, "{place}: an approval that was acknowledged is lost");
        issued_by_the_dead += u32::from(issued && !acknowledged);
        let after = count(&scene.admin, "/Certificates").await;
        assert_eq!(after, certificates + usize::from(issued), "{place}");
        for _ in 0..2 {
            let repeated = scene.admin.post(APPROVE, &json!([id])).await.ok();
            assert_eq!(repeated["Successes"][0]["KeyfactorRequestId"], id, "{place}: {repeated}");
        }
        assert_eq!(count(&scene.admin, "/Certificates").await, certificates + 1, "{place}");
        assert_eq!(count(&scene.admin, "/OrchestratorJobs/ScheduledJobs").await, jobs + 1, "{place}");
        let newest = newest(&scene.admin).await;
        assert_eq!(newest["HasPrivateKey"], true, "{place}: the key that waited is the certificate's");
    }
    println!("{struck} kills in {round} approvals; {issued_by_the_dead} were issued and not answered");
}

async fn newest(admin: &Client) -> Value {
    let path = "/Certificates?SortField=CertId&SortAscending=1&ReturnLimit=1&includeHasPrivateKey=true";
    admin.get(path).await.ok()[0].clone()
}
