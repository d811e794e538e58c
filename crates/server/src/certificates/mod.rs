//! Certificates: records of all that were issued or found, their private keys, metadata, collections, and search.
//!
//! A certificate is the same by the SHA-256 of its bytes, whoever reports it. Its private key lies in a table of its
//! own, sealed to its row, and leaves it only in a `Bundle` for an agent's job, or under a password for a caller that
//! may recover it (`handing_out`). Whose signature it bears is the `authority` slice's matter; where it is deployed is
//! what `certificate_stores` learned from agents and is only read here.

mod access;
mod answer;
mod chain;
mod collection;
mod collection_changes;
mod csv;
mod error;
mod fields;
mod given;
mod handing_out;
mod history;
mod identify;
mod import;
mod metadata;
mod metadata_field;
mod metadata_value;
mod owner;
mod packing;
mod queries;
mod record;
mod removal;
mod revocation;
mod routes;
mod search;
mod supply;
pub mod sweep;
mod validation;

pub(crate) use error::Error;
pub(crate) use fields::filter_statement;
pub(crate) use import::{ImportCall, ImportedCertificate, import, open as open_import};
pub(crate) use metadata::metadata_of_new;
pub(crate) use owner::assign_owner;
pub(crate) use packing::{KeyFormat, Parcel, file_name, unfit_password, with_subject};
pub(crate) use record::{NewCertificate, record, store_key};
pub(crate) use routes::endpoints;
pub(crate) use supply::{Bundle, CertificateFacts, bundles, facts, require_readable};
