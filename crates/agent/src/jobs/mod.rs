//! The job types, each once, for every store type.

pub(crate) mod difference;
pub(crate) mod inventory;
pub(crate) mod management;
pub(crate) mod plan;
pub(crate) mod preflight;
pub(crate) mod reenrollment;
pub(crate) mod settlement;
