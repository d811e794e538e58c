//! Who calls and what they may do: users, API tokens, tokens of an identity provider, roles, permissions, and the
//! audit log.
//!
//! A credential becomes a `Principal` before a handler runs (`guard.rs`); operations then ask it for
//! permissions. Everything is denied that no role grants. A caller can pass on only what it holds itself.

mod administrator;
pub(crate) mod audit;
mod callers;
mod claims;
mod credential;
mod error;
mod guard;
mod identities;
mod license;
mod oidc;
pub(crate) mod password;
pub(crate) mod permission;
mod permission_sets;
mod principal;
mod providers;
mod queries;
mod roles;
mod routes;
mod text;
mod tokens;
mod users;

pub(crate) use administrator::ensure_administrator;
pub(crate) use callers::Callers;
pub(crate) use error::Error;
pub(crate) use guard::guard;
pub(crate) use oidc::open as open_provider;
pub(crate) use principal::Principal;
pub(crate) use routes::{EndpointList, endpoints};
