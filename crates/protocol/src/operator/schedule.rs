//! Schedules as they appear in requests and answers (operator contract, chapter 3.1).

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// When a job runs. Exactly one member is set; an empty object means "no schedule".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Schedule {
    /// At the agent's next contact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub immediate: Option<bool>,
    /// Again and again, so many minutes apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// Every day at a time of day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily: Option<AtTime>,
    /// On some days of the week.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weekly: Option<Weekly>,
    /// On one day of the month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monthly: Option<Monthly>,
    /// Once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exactly_once: Option<AtTime>,
    /// No schedule, spelled out. What clients send with it is not known, so anything but false and null counts.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "off")]
    pub off: Option<bool>,
}

fn off<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let given = match &value {
        serde_json::Value::Null | serde_json::Value::Bool(false) => false,
        serde_json::Value::String(text) => !text.is_empty() && !text.eq_ignore_ascii_case("false"),
        _ => true,
    };
    Ok(given.then_some(true))
}

impl Schedule {
    /// "Now": the schedule of a job that runs at the next contact.
    pub fn immediate() -> Self {
        Self { immediate: Some(true), ..Self::default() }
    }

    /// "Once, then".
    pub fn exactly_once(at: Timestamp) -> Self {
        Self { exactly_once: Some(AtTime { time: at }), ..Self::default() }
    }
}

/// A repetition in minutes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Interval {
    /// Minutes between two runs, at least 1.
    pub minutes: i64,
}

/// A point in time; `Daily` keeps only its time of day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct AtTime {
    /// The time.
    pub time: Timestamp,
}

/// A weekly repetition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Weekly {
    /// The days, as names in answers, as names or numbers (0 is Sunday) in requests.
    pub days: Vec<Day>,
    /// The time of day.
    pub time: Timestamp,
}

/// A monthly repetition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Monthly {
    /// Day of the month, 1 to 31.
    pub day: i64,
    /// The time of day.
    pub time: Timestamp,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the names say all")]
pub enum Day {
    Sunday,
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
}

impl Day {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Sunday, "sunday"),
        (Self::Monday, "monday"),
        (Self::Tuesday, "tuesday"),
        (Self::Wednesday, "wednesday"),
        (Self::Thursday, "thursday"),
        (Self::Friday, "friday"),
        (Self::Saturday, "saturday"),
    ];
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let text = match &value {
            serde_json::Value::String(text) => text.to_ascii_lowercase(),
            other => other.to_string(),
        };
        Self::ALL
            .iter()
            .enumerate()
            .find(|(number, (_, name))| *name == text || number.to_string() == text)
            .map(|(_, (day, _))| *day)
            .ok_or_else(|| serde::de::Error::custom(format!("{value} is not a day of the week")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_is_understood_however_it_is_written() {
        for text in [r#"{"Off":true}"#, r#"{"Off":{}}"#, r#"{"Off":"true"}"#] {
            assert_eq!(serde_json::from_str::<Schedule>(text).unwrap().off, Some(true), "{text}");
        }
        for text in ["{}", r#"{"Off":false}"#, r#"{"Off":null}"#, r#"{"Off":""}"#] {
            assert_eq!(serde_json::from_str::<Schedule>(text).unwrap(), Schedule::default(), "{text}");
        }
    }

    #[test]
    fn only_the_chosen_kind_is_written() {
        let text = r#"{"Weekly":{"Days":["Tuesday",5],"Time":"2026-06-01T03:15:00Z"}}"#;
        let schedule: Schedule = serde_json::from_str(text).unwrap();
        assert_eq!(
            serde_json::to_string(&schedule).unwrap(),
            r#"{"Weekly":{"Days":["Tuesday","Friday"],"Time":"2026-06-01T03:15:00Z"}}"#
        );
    }
}
