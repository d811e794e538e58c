//! Metadata fields: what operators may say about certificates (operator contract, 8.6).

use serde::{Deserialize, Serialize};

/// A metadata field.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct MetadataField {
    /// The field.
    pub id: i64,
    /// Its name, unique; filters may use it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// 1 String, 2 Integer, 3 Date, 4 Boolean, 5 MultipleChoice, 6 BigText, 7 Email.
    pub data_type: i32,
    /// An example for those who fill it in.
    pub hint: Option<String>,
    /// Regular expression that values of type String match.
    pub validation: Option<String>,
    /// 0 optional, 1 required, 2 hidden when certificates are enrolled.
    pub enrollment: i32,
    /// What is said to who gives a value that does not match.
    pub message: Option<String>,
    /// The choices of type MultipleChoice, with commas between.
    pub options: Option<String>,
    /// Value that is proposed.
    pub default_value: Option<String>,
    /// Place among the fields.
    pub display_order: i32,
    /// Whether values may be changed through the API.
    #[serde(rename = "AllowAPI")]
    pub allow_api: bool,
    /// Kept as given.
    pub explicit_update: bool,
}

/// `POST` and `PUT` of `/MetadataFields`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct WriteMetadataField {
    /// The field that is changed; only `PUT` has it.
    pub id: Option<i64>,
    /// Its name: 1 to 256 letters, digits, `-` and `_`.
    pub name: Option<String>,
    /// What it is for, at most 1,024 characters.
    pub description: Option<String>,
    /// By number, or by name such as `MultipleChoice`.
    pub data_type: Option<String>,
    /// At most 128 characters.
    pub hint: Option<String>,
    /// Regular expression, at most 4,000 characters; only for type String.
    pub validation: Option<String>,
    /// By number, or by name: `Optional`, `Required`, `Hidden`.
    pub enrollment: Option<String>,
    /// At most 1,024 characters.
    pub message: Option<String>,
    /// The choices of type MultipleChoice, with commas between.
    pub options: Option<String>,
    /// At most 100 characters.
    pub default_value: Option<String>,
    /// Place among the fields; at the end when absent.
    pub display_order: Option<i32>,
    /// Whether values may be changed through the API; true when absent.
    #[serde(rename = "AllowAPI")]
    pub allow_api: Option<bool>,
    /// Kept as given.
    pub explicit_update: Option<bool>,
}
