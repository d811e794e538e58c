//! Reading while others write.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::Suite;
use crate::{Entry, Overwrite, open};

/// How often the certificate is replaced.
const REPLACEMENTS: usize = 60;

pub(super) fn replace(suite: &Suite<'_>) {
    let (settings, mut store) = suite.created();
    let versions = [suite.material.entry(&["www.example.test"]), suite.material.entry(&["www.example.test"])];
    let files = store.add(versions[0].clone(), Overwrite::Refuse).unwrap().files;
    // A key in a file of its own is new a moment before its certificate is; each file is whole all the same.
    let in_parts = files.len() > 1;
    let allowed = versions.each_ref().map(|version| version.certificates[0].thumbprint());
    let (done, short_name) = (AtomicBool::new(false), suite.capability.short_name);
    let reads = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0_u64;
            while !done.load(Ordering::Relaxed) || reads == 0 {
                let found = open(short_name, settings.clone()).unwrap().inventory().unwrap();
                let leaves = found.entries.iter().filter_map(Entry::thumbprint);
                assert_eq!(leaves.filter(|leaf| allowed.contains(leaf)).count(), 1, "{found:?}");
                assert!(in_parts || found.unreadable.is_empty(), "{found:?}");
                reads += 1;
            }
            reads
        });
        for round in 1..=REPLACEMENTS {
            let added = store.add(versions[round % 2].clone(), Overwrite::Allow).unwrap();
            assert_eq!(added.replaced, Some(allowed[(round + 1) % 2]));
            if reader.is_finished() {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
        reader.join()
    });
    match reads {
        Ok(reads) => assert!(reads > 0),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
