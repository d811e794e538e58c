//! Enrollment and deployment (operator contract, chapters 4.3 to 4.9 and 9.10).

mod context;
mod csr;
mod deployment;
mod pfx;
mod renewal;
mod workflow;

pub use context::*;
pub use csr::*;
pub use deployment::*;
pub use pfx::*;
pub use renewal::*;
pub use workflow::*;
