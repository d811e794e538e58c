//! What every operation may use: database, clock, sealing key and configuration, in one place.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::configuration::Configuration;
use crate::database::Database;
use crate::sealing::SealingKey;

/// The floor under the slices, shared by all handlers and sweeps.
#[derive(Debug, Clone)]
pub struct Floor {
    /// The pools.
    pub database: Database,
    /// The time.
    pub clock: Clock,
    /// Encryption at rest.
    pub sealing: Arc<SealingKey>,
    /// What was configured.
    pub configuration: Arc<Configuration>,
    /// Address under which clients reach this server, without a slash at the end.
    pub public_url: String,
}

impl Floor {
    /// The time now.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}
