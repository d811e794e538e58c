//! Stories of leases and reports: what comes twice, too late, or not at all.

use super::*;

#[tokio::test]
async fn a_job_of_an_unknown_kind_fails_alone() {
    let story = Story::begin(None).await;
    let (strange, good) = (story.job(Work::Create), story.job(Work::Create));
    let mut value = json!({ "Jobs": [&strange, &good], "PauseSeconds": 0 });
    value["Jobs"][0]["Work"] = json!({ "Kind": "Reenrollment", "Subject": "CN=x" });
    locked(&story.door.leases).push(value);
    let completions = story.run_until_reported(2).await;
    assert_eq!(completions[0].lease.lease_token, strange.lease_token);
    assert_eq!(completions[0].error_code.as_deref(), Some("invalid_payload"));
    assert_eq!(completions[1].outcome, Outcome::Success, "{}", completions[1].message);
}

#[tokio::test]
async fn a_finished_job_does_not_run_again_under_a_new_lease() {
    let story = Story::begin(None).await;
    let (certificate, key) = host_certificate(&authority(), "www.example.test");
    let mut job = story.job(add(&certificate, &key));
    let lease =
        sealift_protocol::agent::leases::LeaseKey { job_id: job.job_id, lease_token: job.lease_token };
    story.agent.outbox.put(Completion::new(lease, Outcome::Success, "done in an earlier life"));
    // The report does not get through until the job has come again.
    locked(&story.door.refused).push((lease.lease_token.to_string(), 503));
    job.lease_token = Uuid::new_v4();
    story.give(&[&job]);
    let freed = async {
        story.server.wait_for("Sealift/Lease", 2).await;
        locked(&story.door.refused).clear();
    };
    let (completions, ()) = tokio::join!(story.run_until_reported(2), freed);
    assert!(completions.iter().all(|completion| completion.message == "done in an earlier life"));
    assert!(completions.iter().any(|completion| completion.lease.lease_token == job.lease_token));
    assert_eq!(count_files(&story.server.path("tls")), 0);
    let asked = &story.server.wait_for("Sealift/Lease", 1).await[0].body;
    assert_eq!((&asked["Recover"], &asked["Holding"]), (&json!(true), &json!([job.job_id])));
}

#[tokio::test]
async fn one_report_that_is_refused_does_not_hold_up_the_others() {
    let story = Story::begin(None).await;
    let jobs: Vec<LeasedJob> = (0..4).map(|_| story.job(Work::Create)).collect();
    locked(&story.door.refused).push((jobs[1].lease_token.to_string(), 400));
    for job in &jobs {
        let lease =
            sealift_protocol::agent::leases::LeaseKey { job_id: job.job_id, lease_token: job.lease_token };
        story.agent.outbox.put(Completion::new(lease, Outcome::Success, ""));
    }
    report::send_all(&story.agent).await.unwrap();
    let heard: Vec<JobId> = story.reported().iter().map(|completion| completion.lease.job_id).collect();
    assert_eq!(heard, [jobs[0].job_id, jobs[2].job_id, jobs[3].job_id]);
    assert_eq!(story.agent.outbox.len(), 0);
}

#[tokio::test]
async fn a_stopping_agent_ends_what_it_began_and_gives_back_the_rest() {
    let story = story_with_marker(Story::begin(Some("echo x > ../begun; cat < ../gate")).await).await;
    let gate = story.server.path("gate");
    assert!(std::process::Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let (certificate, key) = host_certificate(&authority(), "www.example.test");
    let (first, second) = (story.job(add(&certificate, &key)), story.job(Work::Create));
    story.give(&[&first, &second]);
    let told = async {
        // The gate opens for writing when the command reads it, so the command runs when the stop is told.
        let opened =
            tokio::task::spawn_blocking(move || std::fs::File::options().write(true).open(gate).unwrap());
        let opened = opened.await.unwrap();
        story.tell.send_replace(true);
        drop(opened);
    };
    tokio::select! {
        _ = async { tokio::join!(poll::run(&story.agent), told) } => {}
        never = crate::heartbeat::run(&story.agent.leases, &story.agent.client) => match never {},
    }
    assert_eq!(story.agent.outbox.len(), 2);
    report::last_words(&story.agent).await;
    let completions = story.reported();
    assert_eq!(completions[0].outcome, Outcome::Success, "{}", completions[0].message);
    let said = (completions[1].outcome, completions[1].error_code.as_deref());
    assert_eq!(said, (Outcome::TransientFailure, Some("agent_stopping")));
}

#[tokio::test]
async fn a_lost_lease_stops_the_job_before_its_next_change() {
    let story = story_with_marker(Story::begin(Some("cat < ../gate")).await).await;
    let gate = story.server.path("gate");
    assert!(std::process::Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let (certificate, key) = host_certificate(&authority(), "www.example.test");
    let (mut first, mut second) = (story.job(add(&certificate, &key)), story.job(Work::Create));
    (first.lease_seconds, second.lease_seconds) = (3, 3);
    second.store.path = story.server.path("tls/second.pem").to_str().unwrap().to_owned();
    locked(&story.door.lost).push(second.job_id);
    story.give(&[&first, &second]);
    let held = async {
        story.server.wait_for("Sealift/Renew", 1).await;
        while story.agent.leases.jobs().contains(&second.job_id) {
            tokio::task::yield_now().await;
        }
        let gate = gate.clone();
        tokio::task::spawn_blocking(move || drop(std::fs::File::options().write(true).open(gate).unwrap()))
            .await
            .unwrap();
    };
    let (completions, ()) = tokio::join!(story.run_until_reported(2), held);
    assert_eq!(completions[0].outcome, Outcome::Success, "{}", completions[0].message);
    assert_eq!(completions[1].error_code.as_deref(), Some("lease_lost"));
    assert!(!story.server.path("tls/second.pem").exists());
    let told = story.server.calls().into_iter().any(|call| call.path == "Sealift/Steps");
    assert!(told, "steps of a job that takes its time are told before its end");
}

#[tokio::test]
async fn nothing_that_leaves_the_agent_or_stays_on_its_disk_holds_a_secret() {
    let story = Story::begin(Some("exit 1")).await;
    let (certificate, key) = host_certificate(&authority(), "www.example.test");
    let mut job = story.job(add(&certificate, &key));
    job.store.password = Some(Secret::new("canary-password"));
    story.give(&[&job]);
    locked(&story.door.refused).push(("after_change_failed".to_owned(), 503));
    let refused = async {
        story.server.wait_for("Sealift/Complete", 1).await;
        story.tell.send_replace(true);
    };
    tokio::select! {
        _ = async { tokio::join!(poll::run(&story.agent), refused) } => {}
        never = report::run(&story.agent) => match never {},
    }
    let secret_key = STANDARD.encode(key.to_pkcs8_der());
    let sent: String = story.server.calls().iter().map(|call| call.body.to_string()).collect();
    let mut kept = String::new();
    for directory in ["state/outbox", "state/journal", "state/inventory"] {
        for file in std::fs::read_dir(story.server.path(directory)).unwrap() {
            kept.push_str(&text(&file.unwrap().path()));
        }
    }
    assert!(kept.contains("after_change_failed"));
    for canary in ["canary-password", &secret_key, &secret_key[..64]] {
        assert!(!sent.contains(canary) && !kept.contains(canary));
    }
}
