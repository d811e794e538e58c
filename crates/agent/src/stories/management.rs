//! Stories of management jobs: what is written, refused, announced and repeated.

use super::*;

#[tokio::test]
async fn a_certificate_is_added_read_back_and_announced() {
    let story = Story::begin(Some("cat site.pem > ../seen")).await;
    let story = story_with_marker(story).await;
    let (certificate, key) = host_certificate(&authority(), "www.example.test");
    let job = story.job(add(&certificate, &key));
    story.give(&[&job]);
    let completions = story.run_until_reported(1).await;
    assert_eq!(completions[0].outcome, Outcome::Success, "{}", completions[0].message);
    assert_eq!(completions[0].lease.lease_token, job.lease_token);
    let expected =
        ["accepted", "store_opened", "snapshot", "store_created", "written", "read_back", "after_change"];
    assert_eq!(codes(&completions[0].steps), expected);
    assert!(completions[0].message.contains(&certificate.thumbprint().to_string()));
    assert!(text(&story.path()).contains(certificate.to_pem().trim()));
    assert!(text(&story.server.path("seen")).contains(certificate.to_pem().trim()));
    assert!(!story.agent.journal.is_pending(story.store));
    assert_eq!(count_files(&story.server.path("state/outbox")), 0);
    assert!(story.agent.leases.jobs().is_empty());
}

#[tokio::test]
async fn an_attempt_that_died_before_the_command_owes_it() {
    let story = story_with_marker(Story::begin(Some("echo ran >> ../ran")).await).await;
    let (certificate, key) = host_certificate(&authority(), "www.example.test");
    let (first, again, third) = (
        story.job(add(&certificate, &key)),
        story.job(add(&certificate, &key)),
        story.job(add(&certificate, &key)),
    );
    story.give(&[&first]);
    let completions = story.run_until_reported(1).await;
    assert_eq!(completions[0].outcome, Outcome::Success, "{}", completions[0].message);

    // As a crash between the change and the command leaves it.
    story.agent.journal.begin(story.store, &story.path()).unwrap();
    story.tell.send_replace(false);
    story.give(&[&again]);
    story.give(&[&third]);
    let completions = story.run_until_reported(3).await;
    assert_eq!(
        codes(&completions[1].steps),
        ["accepted", "store_opened", "unchanged", "read_back", "after_change"]
    );
    assert_eq!(codes(&completions[2].steps), ["accepted", "store_opened", "unchanged", "read_back"]);
    assert_eq!(text(&story.server.path("ran")), "ran\nran\n");
}

#[tokio::test]
async fn a_failing_command_is_told_with_the_change_in_place() {
    let story = Story::begin(Some("echo 'bad directive in line 7' >&2; exit 9")).await;
    let (certificate, key) = host_certificate(&authority(), "www.example.test");
    story.give(&[&story.job(add(&certificate, &key))]);
    let completions = story.run_until_reported(1).await;
    let (failed, message) = (&completions[0], &completions[0].message);
    assert_eq!(
        (failed.outcome, failed.error_code.as_deref()),
        (Outcome::Failure, Some("after_change_failed"))
    );
    assert!(message.contains("IS in place") && message.contains("exit status: 9"), "{message}");
    assert!(message.contains("bad directive in line 7"), "{message}");
    assert!(text(&story.path()).contains(certificate.to_pem().trim()));
    assert!(story.agent.journal.is_pending(story.store), "the next attempt runs the command again");
}

#[tokio::test]
async fn what_the_agent_does_not_allow_is_refused_and_untouched() {
    let story = Story::begin(None).await;
    let outside = story.server.path("outside.pem");
    atomic_file::write(&outside, b"untouched", 0o600).unwrap();
    let (certificate, key) = host_certificate(&authority(), "www.example.test");
    let mut jobs =
        [story.job(add(&certificate, &key)), story.job(add(&certificate, &key)), story.job(Work::Create)];
    jobs[0].store.path = outside.to_str().unwrap().to_owned();
    jobs[1].store.properties = [("privateKeyPath".to_owned(), "../outside.pem".to_owned())].into();
    jobs[2].store.store_type = "CCS".to_owned();
    story.give(&jobs.iter().collect::<Vec<_>>());
    for completion in story.run_until_reported(3).await {
        let said = (completion.outcome, completion.error_code.as_deref());
        assert_eq!(said, (Outcome::Failure, Some("store_not_allowed")));
        assert_eq!(codes(&completion.steps), ["accepted", "failed"]);
    }
    assert_eq!((text(&outside).as_str(), count_files(&story.server.path("tls"))), ("untouched", 0));
}

#[tokio::test]
async fn payloads_that_make_no_sense_change_nothing() {
    let story = Story::begin(None).await;
    let (certificate, key) = host_certificate(&authority(), "www.example.test");
    let (_, stranger) = host_certificate(&authority(), "other.example.test");
    let Work::Add(good) = add(&certificate, &key) else { unreachable!() };
    let bad = [
        AddWork { certificates: Vec::new(), ..good.clone() },
        AddWork { certificates: vec!["%".to_owned()], ..good.clone() },
        AddWork { certificates: vec!["MIIB".to_owned()], ..good.clone() },
        AddWork { private_key: Some(Secret::new("canary-key")), ..good.clone() },
        AddWork { private_key: Some(Secret::new(STANDARD.encode(stranger.to_pkcs8_der()))), ..good.clone() },
    ];
    let jobs: Vec<LeasedJob> = bad.into_iter().map(|work| story.job(Work::Add(work))).collect();
    story.give(&jobs.iter().collect::<Vec<_>>());
    for (at, completion) in story.run_until_reported(jobs.len()).await.into_iter().enumerate() {
        let expected = if at == 4 { "key_mismatch" } else { "invalid_payload" };
        assert_eq!(completion.error_code.as_deref(), Some(expected), "{}", completion.message);
        assert!(!completion.message.contains("canary"));
    }
    assert_eq!(count_files(&story.server.path("tls")), 0);
}

#[tokio::test]
async fn removing_and_creating_can_be_repeated() {
    let story = story_with_marker(Story::begin(Some("echo ran >> ../ran")).await).await;
    let (certificate, key) = host_certificate(&authority(), "www.example.test");
    let alias = certificate.thumbprint().to_string();
    let remove = Work::Remove(RemoveWork { alias, job_fields: [].into() });
    let works = [Work::Create, Work::Create, add(&certificate, &key), remove.clone(), remove];
    let jobs: Vec<LeasedJob> = works.into_iter().map(|work| story.job(work)).collect();
    story.give(&jobs.iter().collect::<Vec<_>>());
    let completions = story.run_until_reported(5).await;
    for completion in &completions {
        assert_eq!(completion.outcome, Outcome::Success, "{}", completion.message);
    }
    assert!(
        codes(&completions[3].steps).contains(&"removed")
            && codes(&completions[4].steps).contains(&"unchanged")
    );
    assert_eq!(text(&story.server.path("ran")), "ran\nran\n");
    assert!(!text(&story.path()).contains("CERTIFICATE"));
}

#[tokio::test]
async fn a_java_keystore_is_made_and_filled_and_java_reads_it() {
    let story = Story::begin(None).await;
    let keystore = story.server.path("tls/keystore.jks");
    let (certificate, key) = host_certificate(&authority(), "app.example.test");
    let on_keystore = |work, password: &str| {
        let mut job = story.job(work);
        job.store.store_type = "JKS".to_owned();
        job.store.path = keystore.to_str().unwrap().to_owned();
        job.store.password = Some(Secret::new(password));
        job
    };
    let jobs = [
        on_keystore(add(&certificate, &key), "canary-password"),
        on_keystore(Work::Inventory, "canary-password"),
        on_keystore(Work::Inventory, "canary-wrong"),
    ];
    story.give(&jobs.each_ref());
    let completions = story.run_until_reported(3).await;
    assert_eq!(completions[0].outcome, Outcome::Success, "{}", completions[0].message);
    assert_eq!(completions[1].outcome, Outcome::Success, "{}", completions[1].message);
    assert_eq!(completions[2].outcome, Outcome::Failure, "{}", completions[2].message);
    assert!(completions[2].message.contains("wrong password"), "{}", completions[2].message);
    assert!(!completions.iter().any(|completion| completion.message.contains("canary")));
    let page = story.pages().remove(0);
    assert_eq!((page.entries.len(), page.entries[0].alias.as_str()), (1, "app.example.test"));
    let listed = std::process::Command::new("keytool")
        .args(["-list", "-storetype", "JKS", "-storepass", "canary-password", "-keystore"])
        .arg(&keystore)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let said = String::from_utf8(listed.stdout).unwrap();
    assert!(said.contains("app.example.test,") && said.contains("PrivateKeyEntry"), "{said}");
}
