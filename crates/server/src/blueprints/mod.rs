//! Blueprints (operator contract, chapter 7.1): the certificate stores of one agent with their schedules, kept under a
//! name, and set up for other agents. Stores with a password or another secret are left out: a secret is not copied to
//! other machines unasked.

mod apply;
mod blueprint;
mod error;
mod queries;
mod routes;

pub(crate) use routes::endpoints;
