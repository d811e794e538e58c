//! Stories of keys that are made here.

use sealift_protocol::agent::leases::ReenrollWork;

use super::*;

fn reenroll(story: &Story) -> LeasedJob {
    story.job(Work::Reenroll(ReenrollWork {
        subject: "CN=www.example.test".to_owned(),
        dns_names: vec!["www.example.test".to_owned()],
        key_algorithm: "P-256".to_owned(),
        overwrite: true,
        ..ReenrollWork::default()
    }))
}

#[tokio::test]
async fn the_key_is_made_here_and_never_leaves() {
    let story = Story::begin(None).await;
    let mut planned = reenroll(&story);
    planned.dry_run = true;
    story.give(&[&planned, &reenroll(&story)]);
    let completions = story.run_until_reported(2).await;
    assert!(completions[0].evidence.as_ref().unwrap().plan.as_ref().unwrap().changes);
    assert_eq!(completions[1].outcome, Outcome::Success, "{}", completions[1].message);
    assert_eq!(codes(&completions[1].steps)[..3], ["accepted", "key_made", "certified"]);
    let kept = text(&story.path());
    let key = PrivateKey::from_pem(&kept).unwrap();
    let certificates = sealift_pki::pem::certificates(&kept).unwrap();
    assert!(key.matches(&certificates[0]));
    let asked = story.server.calls().into_iter().filter(|call| call.path == "Sealift/Enroll").count();
    assert_eq!(asked, 1, "a dry run asks for nothing");
    let sent: String = story.server.calls().iter().map(|call| call.body.to_string()).collect();
    assert!(!sent.contains(&STANDARD.encode(key.to_pkcs8_der())) && !sent.contains("PRIVATE KEY"));
    assert_eq!(count_files(&story.server.path("state/keys")), 0, "the key is in the store alone");
}

#[tokio::test]
async fn a_refusal_changes_nothing_and_leaves_no_key() {
    let story = Story::begin(None).await;
    story.door.refuses_enrollment.store(true, std::sync::atomic::Ordering::Relaxed);
    story.give(&[&reenroll(&story)]);
    let completion = story.run_until_reported(1).await.remove(0);
    let said = (completion.outcome, completion.error_code.as_deref());
    assert_eq!(said, (Outcome::Failure, Some("enrollment_refused")), "{}", completion.message);
    assert!(completion.message.contains("not by this template"));
    assert!(!story.path().exists());
    assert_eq!(count_files(&story.server.path("state/keys")), 0);
}
