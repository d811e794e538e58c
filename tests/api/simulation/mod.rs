//! Servers, agents and the network between them in virtual time: crashes, delays, repeats, losses, pauses and clocks
//! that jump, all chosen by a seed.
//!
//! The servers are real below their sockets: several [`sealift_server::startup::Replica`]s run their own statements
//! against one Postgres, each at the time of its own clock, and crash by losing their connection before or after a
//! chosen statement. Agents, network and disks are simulated (`agent.rs`, `world.rs`), one event after another. The
//! seed fixes what happens and when; a repeated run mostly goes the same way, moment by moment (`trace`), but not yet
//! always. After every call of a server the queue is held against a model of it
//! (`model.rs`), and at the end, with all faults over, everything that was acknowledged must have ended.
//!
//! `SEALIFT_TEST_SEEDS` says how many runs there are, `SEALIFT_TEST_SEED` which is the first; a failure prints its own.

mod agent;
mod calls;
mod deeds;
mod model;
mod site;
mod world;

use std::sync::atomic::{AtomicU32, Ordering};

use support::random;

use site::Site;
use world::{Counts, World};

/// Runs in the suite.
const SEEDS: u32 = 60;
/// Threads that run seeds, each on a database of its own.
const WORKERS: u32 = 2;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn work(first: u64, seeds: u32, next: &AtomicU32) -> Counts {
    runtime().block_on(async {
        let mut site = Site::set().await;
        let mut counts = Counts::default();
        loop {
            let number = u64::from(next.fetch_add(1, Ordering::SeqCst));
            if number >= u64::from(seeds) {
                return counts;
            }
            let seed = first + number;
            let run = World::run(&mut site, seed).await;
            counts.add(&run);
        }
    })
}

#[test]
fn whatever_fails_no_job_is_lost_run_twice_or_taken_from_its_agent() {
    let (first, seeds) = (random::seed(), random::seeds(SEEDS));
    println!("simulation: SEALIFT_TEST_SEED={first} SEALIFT_TEST_SEEDS={seeds}");
    let next = AtomicU32::new(0);
    let mut counts = Counts::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(|| work(first, seeds, &next))).collect();
        for worker in workers {
            match worker.join() {
                Ok(one) => counts.add(&one),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    println!("{counts:#?}");
    if seeds >= SEEDS {
        counts.each_fault_happened();
    }
}
