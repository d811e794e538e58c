//! A reader that opens a file of a Central Certificate Store in a loop, as IIS may at any moment, while it is
//! replaced two thousand times: it is never missing, never unreadable, never half of one version.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    fs,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use sealift_pki::{Limits, Pkcs12};
use sealift_stores::{Overwrite, Secret, Settings, conformance::material::Material, open};
use tempfile::TempDir;

/// How often the certificate is replaced.
const REPLACEMENTS: usize = 2_000;
const NAMES: [&str; 2] = ["www.example.test", "*.example.test"];
const FILES: [&str; 2] = ["www.example.test.pfx", "_.example.test.pfx"];
const PASSWORD: &str = "Secret1";

/// A directory in memory where there is one: names and content are looked at here, and waiting two thousand times
/// for a disk would show nothing more.
fn scratch() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a directory for files")
}

#[test]
fn a_reader_never_finds_a_file_missing_torn_or_unreadable() {
    let scratch = scratch();
    let material = Material::new();
    let versions = [material.entry(&NAMES), material.entry(&NAMES)];
    let settings = Settings { password: Some(Secret::new(PASSWORD)), ..Settings::new(scratch.path()) };
    let mut store = open("CCS", settings).unwrap();
    store.add(versions[0].clone(), Overwrite::Refuse).unwrap();
    let leaves = versions.each_ref().map(|version| version.certificates[0].clone());

    let (done, start) = (AtomicBool::new(false), Barrier::new(2));
    let seen = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut seen, mut last) = ([0_u64; 2], [Vec::new(), Vec::new()]);
            start.wait();
            while !done.load(Ordering::Relaxed) {
                for (name, last) in FILES.iter().zip(&mut last) {
                    let bytes = fs::read(scratch.path().join(name)).expect("the file is there");
                    // Every version has other bytes; opening the same ones again would only slow the reading down.
                    if bytes == *last {
                        continue;
                    }
                    let read = Pkcs12::decode(&bytes, PASSWORD, Limits::STORE).expect("the file opens");
                    let version =
                        leaves.iter().position(|leaf| *leaf == read.certificates[0]).expect("a version");
                    assert!(read.key.is_some() && read.certificates.len() == 3);
                    seen[version] += 1;
                    *last = bytes;
                }
            }
            seen
        });
        start.wait();
        for round in 1..=REPLACEMENTS {
            let added = store.add(versions[round % 2].clone(), Overwrite::Allow).unwrap();
            assert!(added.changed && added.replaced.is_some());
            if reader.is_finished() {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
        reader.join().expect("the reader found nothing wrong")
    });
    assert!(seen.iter().all(|count| *count > 0), "both versions were read: {seen:?}");
    let mut left: Vec<_> = fs::read_dir(scratch.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["_.example.test.pfx", "www.example.test.pfx"]);
}
