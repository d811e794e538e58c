//! Stories of jobs that fail for a reason of their own: each ends with its code.

use std::time::Duration;

use super::*;
use crate::allow_list::allow;
use crate::execution::Attempt;
use crate::failure::ErrorCode;
use crate::write_lane;

async fn codes_of(story: &Story, jobs: &[&LeasedJob]) -> Vec<(Outcome, String)> {
    story.give(jobs);
    let completions = story.run_until_reported(jobs.len()).await;
    completions
        .into_iter()
        .map(|completion| (completion.outcome, completion.error_code.unwrap_or_default()))
        .collect()
}

#[tokio::test]
async fn another_certificate_in_the_place_is_left_alone() {
    let story = Story::begin(None).await;
    let issuer = authority();
    let (first, key) = host_certificate(&issuer, "www.example.test");
    let (second, other_key) = host_certificate(&issuer, "www.example.test");
    let mut careful = story.job(add(&second, &other_key));
    if let Work::Add(work) = &mut careful.work {
        work.overwrite = false;
    }
    let found = codes_of(&story, &[&story.job(add(&first, &key)), &careful]).await;
    assert_eq!(found[1], (Outcome::Failure, "already_exists".to_owned()));
    assert!(text(&story.path()).contains(first.to_pem().trim()));
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_key_are_told_apart() {
    let story = Story::begin(None).await;
    let (certificate, key) = host_certificate(&authority(), "www.example.test");
    let at = |store_type: &str, place: &str, work, password: &str| {
        let mut job = story.job(work);
        job.store.store_type = store_type.to_owned();
        job.store.path = story.server.path(place).to_str().unwrap().to_owned();
        job.store.password = Some(Secret::new(password));
        job
    };
    std::fs::create_dir(story.server.path("share")).unwrap();
    let mut bare = at("CCS", "share", add(&certificate, &key), "canary-password");
    if let Work::Add(work) = &mut bare.work {
        work.private_key = None;
    }
    let mut named = add(&certificate, &key);
    if let Work::Add(work) = &mut named {
        work.alias = Some("www".to_owned());
    }
    let good = at("PKCS12", "tls/site.p12", named, "canary-password");
    let wrong = at("PKCS12", "tls/site.p12", Work::Inventory, "another-password");
    let found = codes_of(&story, &[&bare, &good, &wrong]).await;
    assert_eq!(found[0], (Outcome::Failure, "entry_refused".to_owned()));
    assert_eq!(found[1].0, Outcome::Success, "{found:?}");
    assert_eq!(found[2], (Outcome::Failure, "wrong_password".to_owned()));
}

#[tokio::test]
async fn a_server_that_wants_no_inventory_at_all_is_told_so() {
    let story = Story::begin(None).await;
    atomic_file::write(&story.path(), b"", 0o600).unwrap();
    locked(&story.door.dispositions).extend([InventoryDisposition::SendEverything; 2]);
    let found = codes_of(&story, &[&story.job(Work::Inventory)]).await;
    assert_eq!(found[0], (Outcome::TransientFailure, "inventory_refused".to_owned()));
}

#[tokio::test]
async fn a_key_that_is_not_the_certificates_changes_nothing() {
    let story = Story::begin(None).await;
    let issuer = authority();
    let (certificate, key) = host_certificate(&issuer, "www.example.test");
    let (_, other_key) = host_certificate(&issuer, "www.example.test");
    let good = story.job(add(&certificate, &key));
    let wrong = story.job(add(&certificate, &other_key));
    let found = codes_of(&story, &[&good, &wrong]).await;
    assert_eq!(found[0].0, Outcome::Success, "{found:?}");
    assert_eq!(found[1], (Outcome::Failure, "key_mismatch".to_owned()));
}

#[tokio::test]
async fn a_store_that_another_process_writes_to_is_tried_again_later() {
    let story = Story::begin(None).await;
    let job = story.job(Work::Create);
    let lease = story.agent.leases.take(&job).unwrap();
    let attempt = Attempt::new(&lease, &story.agent.stop);
    let allowed = allow(&story.agent.configuration.stores, &job.store).unwrap();
    let directory = std::fs::File::open(story.path().parent().unwrap()).unwrap();
    directory.lock().unwrap();
    let failure = write_lane::enter_within(&attempt, &allowed, Duration::ZERO).await.unwrap_err();
    assert_eq!((failure.code, failure.transient), (ErrorCode::StoreBusy, true));
    directory.unlock().unwrap();
    write_lane::enter_within(&attempt, &allowed, Duration::ZERO).await.unwrap();
}
