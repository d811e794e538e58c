//! Why certificates are revoked, as clients send it: by number, by number as text, or by name (operator contract, 3.5).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

/// Numbers that clients send, with their names.
const NAMES: [(i64, &str); 11] = [
    (-1, "RemoveFromHold"),
    (0, "Unspecified"),
    (1, "KeyCompromised"),
    (1, "KeyCompromise"),
    (2, "CACompromised"),
    (3, "AffiliationChanged"),
    (4, "Superseded"),
    (5, "CessationOfOperation"),
    (6, "CertificateHold"),
    (8, "RemoveFromCRL"),
    (999, "Unknown"),
];

/// A reason, as a number of the contract; which numbers mean something is not decided here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = i64))]
pub struct RevokeReason(pub i64);

impl<'de> Deserialize<'de> for RevokeReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl de::Visitor<'_> for Reader {
    type Value = RevokeReason;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reason by number or name, such as 4 or Superseded")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<RevokeReason, E> {
        Ok(RevokeReason(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<RevokeReason, E> {
        i64::try_from(number).map(RevokeReason).map_err(|_| E::custom("the number is out of range"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RevokeReason, E> {
        let text = text.trim();
        if let Ok(number) = text.parse() {
            return Ok(RevokeReason(number));
        }
        let bare: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
        let known = NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(&bare));
        known
            .map(|(number, _)| RevokeReason(*number))
            .ok_or_else(|| E::custom("expected a reason by number or name, such as 4 or Superseded"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_mean_the_same() {
        for text in ["4", "\"4\"", "\"superseded\"", "\" Superseded \""] {
            assert_eq!(serde_json::from_str::<RevokeReason>(text).unwrap(), RevokeReason(4), "{text}");
        }
        assert_eq!(serde_json::from_str::<RevokeReason>("\"Key compromised\"").unwrap(), RevokeReason(1));
        assert_eq!(serde_json::from_str::<RevokeReason>("-1").unwrap(), RevokeReason(-1));
        for text in ["\"because\"", "1.5", "[]", "true"] {
            assert!(serde_json::from_str::<RevokeReason>(text).is_err(), "{text}");
        }
        assert_eq!(serde_json::to_string(&RevokeReason(4)).unwrap(), "4");
    }
}
