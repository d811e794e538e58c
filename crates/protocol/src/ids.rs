//! Identifiers, each a type of its own so that one cannot be passed for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The text was not a GUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a GUID; expected 32 hexadecimal digits with hyphens")]
pub struct InvalidId {
    /// What was given, shortened to 64 characters.
    pub text: String,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new identifier, time-ordered (RFC 9562, version 7), so that index inserts stay at the right edge.
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// The bare UUID, for binding to SQL.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text)
                    .map(Self)
                    .map_err(|_| InvalidId { text: text.chars().take(64).collect() })
            }
        }
    };
}

id!(
    /// An agent, for life: renewals and re-approvals keep it.
    AgentId
);
id!(
    /// A certificate store.
    StoreId
);
id!(
    /// An orchestrator job; the same for all its attempts.
    JobId
);
id!(
    /// One call of the operator API that created jobs; groups them in history.
    RequestId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_id_reads_any_case_and_writes_lower_case() {
        let id: JobId = "0D6C4F43-0C5D-4B0E-8A5E-0B7A4E0F9C11".parse().unwrap();
        assert_eq!(id.to_string(), "0d6c4f43-0c5d-4b0e-8a5e-0b7a4e0f9c11");
    }

    #[test]
    fn a_text_that_is_no_guid_is_named_in_the_error() {
        let error = "web1".parse::<AgentId>().unwrap_err();
        assert!(error.to_string().contains("'web1'"));
    }
}
