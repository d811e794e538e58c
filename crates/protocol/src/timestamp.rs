//! Points in time as the operator API writes and reads them.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// The text was not a date and time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a date and time; expected RFC 3339, for example 2026-05-04T09:30:00Z")]
pub struct InvalidTimestamp {
    /// What was given, shortened to 64 characters.
    pub text: String,
}

/// A point in time. Written as RFC 3339 in UTC with suffix `Z`, and a fraction only where it is not zero;
/// read leniently (a blank for the `T`, no zone meaning UTC), as public clients send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// The same point as a chrono value.
    pub const fn utc(self) -> DateTime<Utc> {
        self.0
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(at: DateTime<Utc>) -> Self {
        Self(at)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let precision = match self.0.timestamp_subsec_micros() {
            0 => SecondsFormat::Secs,
            micros if micros % 1_000 == 0 => SecondsFormat::Millis,
            _ => SecondsFormat::Micros,
        };
        f.write_str(&self.0.to_rfc3339_opts(precision, true))
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let trimmed = text.trim();
        if let Ok(at) = DateTime::parse_from_rfc3339(trimmed) {
            return Ok(Self(at.to_utc()));
        }
        let local = trimmed.trim_end_matches(['Z', 'z']).replacen(' ', "T", 1);
        for form in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"] {
            if let Ok(at) = NaiveDateTime::parse_from_str(local.trim(), form) {
                return Ok(Self(at.and_utc()));
            }
        }
        Err(InvalidTimestamp { text: text.chars().take(64).collect() })
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "openapi")]
mod openapi {
    use utoipa::openapi::RefOr;
    use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

    impl utoipa::PartialSchema for super::Timestamp {
        fn schema() -> RefOr<Schema> {
            let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
            RefOr::T(ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into())
        }
    }

    impl utoipa::ToSchema for super::Timestamp {}
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        text.parse::<Timestamp>().unwrap().to_string()
    }

    #[test]
    fn reads_what_clients_send() {
        assert_eq!(read("2026-05-04T09:30:00Z"), "2026-05-04T09:30:00Z");
        assert_eq!(read("2026-05-04 14:00:00Z"), "2026-05-04T14:00:00Z");
        assert_eq!(read("2026-05-04T09:30:00.743+02:00"), "2026-05-04T07:30:00.743Z");
        assert_eq!(read("2026-05-04T09:30:00"), "2026-05-04T09:30:00Z");
    }

    #[test]
    fn refuses_what_is_no_date() {
        for text in ["", "soon", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
