//! What agents prove: settings of stores, evidence in history, and what is served; agents that lie among it.

use reqwest::StatusCode;
use sealift_protocol::agent::leases::{
    AttemptSteps, Completion, LeaseKey, LeasedJob, Outcome, Step, StepsRequest,
};
use sealift_protocol::agent::paths;
use sealift_protocol::agent::verification::{
    Evidence, OnMismatch, Restored, Target, TargetResult, Verification, Verified,
};
use sealift_server::scheduler::Sweep;
use serde_json::{Value, json};
use support::story::{addition, enrollment};
use support::{RawAgent, TestServer};

const STORES: &str = "/CertificateStores";

/// A store whose agent is to look at two targets, and a certificate.
struct Scene {
    server: TestServer,
    agent: RawAgent,
    store: String,
    certificate: i64,
    thumbprint: String,
}

fn settings() -> Value {
    json!({"Targets": [{"Host": "www.example.test", "Port": 443},
            {"Host": "10.0.0.1", "Port": 8443, "ServerName": "www.example.test", "Protocols": ["1.3"]}],
        "OnMismatch": "Restore", "DeadlineSeconds": 20})
}

impl Scene {
    async fn begin() -> Self {
        let server = TestServer::start().await;
        let agent = RawAgent::enroll(&server, "web1.example.test").await;
        let body = json!({"ClientMachine": agent.machine, "Storepath": "/etc/tls/a.pem", "CertStoreType": 2,
            "AgentId": agent.id, "Properties": "{}", "Verification": settings()});
        let store = server.admin.post(STORES, &body).await.ok()["Id"].as_str().unwrap().to_owned();
        let enrolled =
            enrollment(&server.admin, &["www.example.test"]).await["CertificateInformation"].clone();
        Self {
            certificate: enrolled["KeyfactorId"].as_i64().unwrap(),
            thumbprint: enrolled["Thumbprint"].as_str().unwrap().to_owned(),
            server,
            agent,
            store,
        }
    }

    /// Schedules an addition and leases it, passing over inventories.
    async fn leased(&self) -> LeasedJob {
        let ids = self
            .server
            .admin
            .post("/CertificateStores/Certificates/Add", &addition(self.certificate, &[&self.store]))
            .await
            .ok();
        loop {
            let job = self.agent.lease(0).await.remove(0);
            if job.job_id.to_string() == ids[0] {
                return job;
            }
            self.agent.complete(&job, Outcome::Failure, "not looked at").await;
        }
    }

    fn shown(&self, job: &LeasedJob) -> Vec<TargetResult> {
        let targets = job.verification.clone().unwrap().targets;
        let shown = targets.into_iter().map(|target| TargetResult {
            target,
            matches: true,
            thumbprint: Some(self.thumbprint.clone()),
            protocol: Some("1.3".to_owned()),
            tries: 1,
            ..TargetResult::default()
        });
        shown.collect()
    }

    /// Evidence of a change that is served everywhere.
    fn proof(&self, job: &LeasedJob) -> Evidence {
        Evidence {
            installed: true,
            verified: Verified::Verified,
            after: Some(self.thumbprint.clone()),
            targets: self.shown(job),
            ..Evidence::default()
        }
    }

    async fn row(&self, job: &LeasedJob) -> Value {
        let filter = format!("JobHistoryId -eq {}", job.audit_id);
        self.server.admin.query("/OrchestratorJobs/JobHistory", &filter).await.ok()[0].clone()
    }

    async fn evidence(&self, job: &LeasedJob) -> Value {
        self.server.admin.get(&format!("/OrchestratorJobs/{}/Evidence", job.job_id)).await.ok()
    }

    async fn store(&self) -> Value {
        self.server.admin.get(&format!("{STORES}/{}", self.store)).await.ok()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_keeps_what_it_says_of_verification_until_a_client_says_otherwise() {
    let scene = Scene::begin().await;
    let admin = &scene.server.admin;
    let mut expected = settings();
    expected["DeriveFromNames"] = json!(false);
    assert_eq!(scene.store().await["Verification"], expected);
    // A client that does not know of it sends it not, and it stays.
    let mut body =
        json!({"Id": scene.store, "CertStoreType": 2, "Properties": "{\"IncludeChain\": \"false\"}"});
    assert_eq!(admin.put(STORES, &body).await.ok()["Verification"], expected);
    for (wrong, named) in [
        (json!({"Targets": [{"Host": "", "Port": 443}]}), "Verification.Targets[0].Host"),
        (json!({"Targets": [{"Host": "a", "Port": 0}]}), "Verification.Targets[0].Port"),
        (
            json!({"Targets": [{"Host": "a", "Port": 443, "Protocols": ["1.1"]}]}),
            "Verification.Targets[0].Protocols",
        ),
        (json!({"DeriveFromNames": true, "DeadlineSeconds": 601}), "Verification.DeadlineSeconds"),
        (json!({"DeriveFromNames": true, "OnMismatch": "Explode"}), "OnMismatch"),
        (
            json!({"Targets": (1..=65).map(|port| json!({"Host": "a", "Port": port})).collect::<Vec<_>>()}),
            "at most 64",
        ),
    ] {
        body["Verification"] = wrong;
        let answer = admin.put(STORES, &body).await;
        assert!(answer.refused(400).contains(named), "{}", answer.text);
    }
    let leased = scene.leased().await;
    let verification = leased.verification.clone().unwrap();
    assert_eq!((verification.on_mismatch, verification.deadline_seconds), (OnMismatch::Restore, 20));
    assert_eq!(verification.targets[1].server_name.as_deref(), Some("www.example.test"));
    body["Verification"] = json!({});
    assert!(admin.put(STORES, &body).await.ok().get("Verification").is_none(), "an empty one ends it");
    scene.agent.complete(&leased, Outcome::Failure, "no").await;
    assert_eq!(scene.leased().await.verification, None::<Verification>);
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_kept_and_locations_say_what_is_served() {
    let scene = Scene::begin().await;
    let admin = &scene.server.admin;
    let leased = scene.leased().await;
    scene.agent.prove(&leased, Outcome::Success, scene.proof(&leased)).await;
    let row = scene.row(&leased).await;
    let facts = (&row["Result"], &row["Installed"], &row["Verified"], row.get("ErrorCode"));
    assert_eq!(facts, (&json!(2), &json!(true), &json!("Verified"), None));
    let filter = "Verified -eq \"Verified\" AND Installed -eq true";
    assert_eq!(admin.query("/OrchestratorJobs/JobHistory", filter).await.ok().as_array().unwrap().len(), 1);
    let told = scene.evidence(&leased).await;
    assert_eq!(
        (&told[0]["JobHistoryId"], &told[0]["After"]),
        (&row["JobHistoryId"], &json!(scene.thumbprint))
    );
    assert_eq!(told[0]["Targets"][1]["Port"], 8443);
    let store = scene.store().await;
    assert_eq!((&store["ServedDiffers"], store["Served"].as_array().unwrap().len()), (&json!(false), 2));

    // The certificate must be in the store for it to have a location.
    let entry = "WITH entry AS (INSERT INTO store_entries (store_id, alias, private_key_entry, seen_in)
        VALUES ($1::uuid, 'a', true, 1) RETURNING id)
        INSERT INTO store_entry_certificates SELECT id, 0, $2 FROM entry";
    sqlx::query(entry)
        .bind(&scene.store)
        .bind(scene.certificate)
        .execute(scene.server.database())
        .await
        .unwrap();
    let path = format!("/Certificates/{}?includeLocations=true", scene.certificate);
    let served = admin.get(&path).await.ok()["Locations"][0]["Served"].clone();
    assert_eq!((&served[1]["Host"], &served[1]["Matches"]), (&json!("www.example.test"), &json!(true)));

    // Another attempt finds another certificate on one of them.
    let other = "F".repeat(40);
    let leased = scene.leased().await;
    let mut evidence = Evidence { verified: Verified::NotVerified, ..scene.proof(&leased) };
    evidence.targets[0].matches = false;
    evidence.targets[0].thumbprint = Some(other.clone());
    evidence.targets[0].reason = Some("another certificate".to_owned());
    scene.agent.prove(&leased, Outcome::Warning, evidence).await;
    let row = scene.row(&leased).await;
    assert_eq!((&row["Result"], &row["Verified"]), (&json!(3), &json!("NotVerified")));
    let details = admin.get(&format!("/Certificates/Locations/{}", scene.certificate)).await.ok();
    let served = details["Details"][0]["Locations"][0]["Served"].clone();
    assert_eq!((&served[0]["Matches"], &served[1]["Matches"]), (&json!(true), &json!(false)));
    assert_eq!(
        (&served[1]["Thumbprint"], &served[1]["Reason"]),
        (&json!(other), &json!("another certificate"))
    );
    let differing = admin.query(STORES, "ServedDiffers -eq true").await.ok();
    assert_eq!(differing[0]["Id"], scene.store);
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_without_proof_is_a_warning() {
    let scene = Scene::begin().await;
    // One target is missing.
    let leased = scene.leased().await;
    let mut evidence = scene.proof(&leased);
    evidence.targets.truncate(1);
    scene.agent.prove(&leased, Outcome::Success, evidence).await;
    // All targets show another certificate than that of the job.
    let second = scene.leased().await;
    let mut evidence = scene.proof(&second);
    evidence.after = None;
    evidence.targets.iter_mut().for_each(|result| result.thumbprint = Some("A".repeat(40)));
    scene.agent.prove(&second, Outcome::Success, evidence).await;
    // Nothing was said at all.
    let third = scene.leased().await;
    scene.agent.complete(&third, Outcome::Success, "done").await;
    for job in [&leased, &second, &third] {
        let row = scene.row(job).await;
        let facts = (&row["Result"], &row["Status"], &row["Verified"], &row["ErrorCode"]);
        assert_eq!(facts, (&json!(3), &json!(3), &json!("NotVerified"), &json!("not_proved")));
    }
    assert_eq!(scene.evidence(&leased).await[0]["Verified"], "NotVerified");
    assert_eq!(scene.evidence(&third).await, json!([]));
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_evidence_is_cut_and_touches_no_other_store() {
    let scene = Scene::begin().await;
    let leased = scene.leased().await;
    let stranger = TargetResult {
        target: Target { host: "elsewhere.example.test".to_owned(), port: 443, ..Target::default() },
        matches: true,
        thumbprint: Some("<script>".to_owned()),
        reason: Some("r\u{0}".repeat(700)),
        elapsed_milliseconds: u64::MAX,
        ..TargetResult::default()
    };
    let mut targets = scene.shown(&leased);
    targets.extend(vec![stranger; 100]);
    let evidence = Evidence {
        installed: true,
        verified: Verified::Verified,
        before: Some("not a thumbprint".to_owned()),
        targets,
        restored: Some(Restored { message: "m".repeat(100_000), ..Restored::default() }),
        ..Evidence::default()
    };
    scene.agent.prove(&leased, Outcome::Success, evidence).await;
    assert_eq!(scene.row(&leased).await["Verified"], "NotVerified");
    let told = scene.evidence(&leased).await[0].clone();
    assert!(told.get("Before").is_none());
    assert_eq!(told["Targets"].as_array().unwrap().len(), 64);
    assert_eq!(told["Targets"][3]["Matches"], false, "what was not shown cannot match");
    assert!(told["Targets"][3]["Reason"].as_str().unwrap().len() <= 1_000);
    assert_eq!(told["Restored"]["Message"].as_str().unwrap().len(), 4_000);
    let served = scene.store().await["Served"].clone();
    assert_eq!(served.as_array().unwrap().len(), 2, "only what the store names: {served}");

    // Without a lease nothing is kept, whoever says it.
    let other = RawAgent::enroll(&scene.server, "web2.example.test").await;
    let second = scene.leased().await;
    other.prove(&second, Outcome::Success, scene.proof(&second)).await;
    assert_eq!(scene.evidence(&second).await, json!([]));
    assert_eq!(scene.row(&second).await["Status"], 2, "its own agent still has it");
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_back_is_what_is_served() {
    let scene = Scene::begin().await;
    let leased = scene.leased().await;
    let old = "B".repeat(40);
    let mut back = scene.shown(&leased);
    back.iter_mut().for_each(|result| result.thumbprint = Some(old.clone()));
    let mut targets = back.clone();
    targets.iter_mut().for_each(|result| result.matches = false);
    let evidence = Evidence {
        before: Some(old.clone()),
        after: Some(old.clone()),
        verified: Verified::NotVerified,
        targets,
        restored: Some(Restored { complete: true, targets: back, ..Restored::default() }),
        ..Evidence::default()
    };
    scene.agent.prove(&leased, Outcome::Failure, evidence).await;
    let row = scene.row(&leased).await;
    assert_eq!((&row["Installed"], &row["Result"]), (&json!(false), &json!(4)));
    let store = scene.store().await;
    assert_eq!((&store["ServedDiffers"], &store["Served"][0]["Thumbprint"]), (&json!(false), &json!(old)));
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_say_how_long_they_took_and_go_with_their_month() {
    let scene = Scene::begin().await;
    let leased = scene.leased().await;
    let lease = LeaseKey { job_id: leased.job_id, lease_token: leased.lease_token };
    let step = Step {
        ordinal: 1,
        code: "written".to_owned(),
        message: "wrote /etc/tls/a.pem".to_owned(),
        elapsed_milliseconds: 12,
        duration_milliseconds: Some(7),
        before: Some("A".repeat(40)),
        after: Some("x".repeat(9_000)),
    };
    let request = StepsRequest { attempts: vec![AttemptSteps { lease, steps: vec![step.clone()] }] };
    assert!(scene.agent.call(paths::STEPS, &request).await.0.is_success());
    // A later word about the same step changes nothing.
    let again = Step { message: "never mind".to_owned(), ..step };
    let evidence = Some(scene.proof(&leased));
    let completion =
        Completion { steps: vec![again], evidence, ..Completion::new(lease, Outcome::Success, "done") };
    scene.agent.report(completion).await;
    let path = format!("/OrchestratorJobs/{}/Steps", leased.job_id);
    let steps = scene.server.admin.get(&path).await.ok();
    assert_eq!(steps.as_array().unwrap().len(), 1);
    assert_eq!(
        (&steps[0]["Message"], &steps[0]["DurationMilliseconds"]),
        (&json!("wrote /etc/tls/a.pem"), &json!(7))
    );
    assert_eq!(
        (&steps[0]["Before"], steps[0]["After"].as_str().unwrap().len()),
        (&json!("A".repeat(40)), 400)
    );

    let rows = async |filter: String| {
        scene.server.admin.query("/OrchestratorJobs/JobHistory", &filter).await.ok().as_array().unwrap().len()
    };
    for filter in [
        "AgentMachine -eq \"WEB1.example.test\"".to_owned(),
        format!("StoreId -eq \"{}\"", scene.store),
        format!("CertificateId -eq {}", scene.certificate),
        "RequestedBy -eq \"admin\"".to_owned(),
    ] {
        assert_eq!(rows(filter.clone()).await, 1, "{filter}");
    }

    scene.server.clock.advance(chrono::TimeDelta::days(3_000));
    scene.server.sweep(Sweep::TurnHistory).await;
    assert_eq!(scene.server.admin.get(&path).await.ok(), json!([]));
    assert_eq!(scene.evidence(&leased).await, json!([]));
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_of_codes_is_served() {
    let server = TestServer::start().await;
    let codes = server.admin.get("/OrchestratorJobs/ErrorCodes").await.ok();
    let known = sealift_protocol::agent::error_catalogue::CATALOGUE;
    assert_eq!(codes.as_array().unwrap().len(), known.len());
    let one = codes.as_array().unwrap().iter().find(|code| code["Code"] == "wrong_password").unwrap();
    assert_eq!(
        (&one["Class"], &one["Remedy"]),
        (&json!("NeedsPerson"), &json!("correct the password of the store"))
    );
    let answer = server.admin.get("/OrchestratorJobs/not-a-job/Evidence").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text);
    server.stop().await;
}
