//! JSON as existing clients send it (operator contract, chapter 1.10).
//!
//! Member names of structures are matched whatever their case; null and empty text count as not given;
//! numbers and booleans may come as text; bytes after the first value are ignored. Keys of maps are kept as
//! they came. Every refusal names the member.

use std::fmt;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, IntoDeserializer as _, Visitor, value::StringDeserializer,
};
use serde_json::{Number, Value};

/// Why a body was refused.
#[derive(Debug)]
pub(super) struct Error {
    path: String,
    message: String,
}

impl Error {
    fn below(mut self, step: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{step}{dot}{}", self.path);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { path: String::new(), message: message.to_string() }
    }
}

/// Reads the first JSON value of a body.
pub(super) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    match values.next() {
        None => Err(de::Error::custom("a JSON body is missing")),
        Some(Err(error)) => Err(de::Error::custom(format_args!("the body is not JSON: {error}"))),
        Some(Ok(value)) => T::deserialize(Lenient(value)),
    }
}

struct Lenient(Value);

impl Lenient {
    fn not_given(value: &Value) -> bool {
        matches!(value, Value::Null) || matches!(value, Value::String(text) if text.is_empty())
    }

    fn describe(&self) -> &'static str {
        match self.0 {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        }
    }

    fn refuse(&self, expected: &str) -> Error {
        de::Error::custom(format_args!("expected {expected}, found {}", self.describe()))
    }
}

/// A text without the character NUL, which the database cannot keep and nobody means.
fn storable(text: String) -> Result<String, Error> {
    if text.contains('\0') {
        return Err(de::Error::custom("a text cannot hold the character NUL"));
    }
    Ok(text)
}

/// A number as text; whole numbers without the fraction that some writers give them (`2.0`).
fn shortest(number: &Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() && value.fract() == 0.0 && value.abs() < 9e15 => format!("{value:.0}"),
        _ => number.to_string(),
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $kind:ty),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let number = match &self.0 {
                Value::Number(number) => shortest(number).parse::<$kind>().ok(),
                Value::String(text) => text.trim().parse::<$kind>().ok(),
                _ => return Err(self.refuse("a whole number")),
            };
            match number {
                Some(number) => visitor.$visit(number),
                None => Err(de::Error::custom(format_args!("{} is not a whole number in range", self.0))),
            }
        })*
    };
}

impl<'de> de::Deserializer<'de> for Lenient {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => visitor.visit_u64(value),
                (None, Some(value)) => visitor.visit_i64(value),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_string(storable(text)?),
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Object(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = match &self.0 {
            Value::Bool(value) => return visitor.visit_bool(*value),
            Value::String(text) => text.to_ascii_lowercase(),
            Value::Number(number) => number.to_string(),
            _ => return Err(self.refuse("true or false")),
        };
        match text.trim() {
            "true" | "1" => visitor.visit_bool(true),
            "false" | "0" => visitor.visit_bool(false),
            _ => Err(self.refuse("true or false")),
        }
    }

    integers!(deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64, deserialize_f32 visit_f32 f32,
        deserialize_f64 visit_f64 f64);

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(text) => visitor.visit_string(storable(text)?),
            Value::Number(number) => visitor.visit_string(number.to_string()),
            Value::Bool(value) => visitor.visit_string(value.to_string()),
            _ => Err(self.refuse("a text")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if Self::not_given(&self.0) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_seq(Elements { rest: Vec::new().into_iter(), index: 0 }),
            Value::Array(items) => visitor.visit_seq(Elements { rest: items.into_iter(), index: 0 }),
            _ => Err(self.refuse("a list")),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let members = match self.0 {
            Value::Null => Vec::new(),
            Value::Object(members) => members.into_iter().collect(),
            _ => return Err(self.refuse("an object")),
        };
        visitor.visit_map(Members { rest: members.into_iter(), current: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Value::Object(given) = self.0 else { return Err(self.refuse("an object")) };
        let mut members: Vec<(String, Value)> = Vec::with_capacity(given.len().min(fields.len()));
        for (name, value) in given {
            let Some(field) = fields.iter().find(|field| field.eq_ignore_ascii_case(&name)) else { continue };
            let known = members.iter().any(|(member, _)| member == field);
            if !known && !Self::not_given(&value) {
                members.push(((*field).to_owned(), value));
            }
        }
        visitor.visit_map(Members { rest: members.into_iter(), current: None })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Value::String(text) = &self.0 else { return Err(self.refuse("a name")) };
        match variants.iter().find(|variant| variant.eq_ignore_ascii_case(text)) {
            Some(variant) => {
                let name: StringDeserializer<Error> = (*variant).to_owned().into_deserializer();
                visitor.visit_enum(name)
            }
            None => Err(de::Error::custom(format_args!("expected one of {}", variants.join(", ")))),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { bytes byte_buf }
}

struct Elements {
    rest: std::vec::IntoIter<Value>,
    index: usize,
}

impl<'de> de::SeqAccess<'de> for Elements {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(value) = self.rest.next() else { return Ok(None) };
        self.index += 1;
        let step = format!("[{}]", self.index - 1);
        seed.deserialize(Lenient(value)).map(Some).map_err(|error| error.below(&step))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

struct Members {
    rest: std::vec::IntoIter<(String, Value)>,
    current: Option<(String, Value)>,
}

impl<'de> de::MapAccess<'de> for Members {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.current = self.rest.next();
        match &self.current {
            None => Ok(None),
            Some((name, _)) => seed.deserialize(Lenient(Value::String(name.clone()))).map(Some),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (name, value) = self.current.take().unwrap_or_default();
        seed.deserialize(Lenient(value)).map_err(|error| error.below(&name))
    }
}

#[cfg(test)]
mod tests {
    use sealift_protocol::operator::certificate_stores::{AddCertificate, CreateCertificateStore};
    use sealift_protocol::operator::enrollment::{Deploy, EnrollPfx};

    use super::*;

    #[test]
    fn numbers_may_have_an_empty_fraction_and_texts_no_nul() {
        let add: AddCertificate = read(r#"{"CertificateId": 7.0}"#);
        assert_eq!(add.certificate_id, Some(7));
        for (body, reason) in [
            (r#"{"CertificateId": 7.5}"#, "CertificateId: 7.5 is not a whole number in range"),
            (
                r#"{"CertificateStores": [{"Alias": "a\u0000"}]}"#,
                "CertificateStores[0].Alias: a text cannot hold the character NUL",
            ),
        ] {
            let refused = from_slice::<AddCertificate>(body.as_bytes()).map(|_| ()).unwrap_err();
            assert_eq!(refused.to_string(), reason);
        }
    }

    fn read<T: DeserializeOwned>(text: &str) -> T {
        from_slice(text.as_bytes()).unwrap()
    }

    #[test]
    fn names_match_whatever_their_case_and_keys_of_maps_are_kept() {
        let add: AddCertificate = read(
            r#"{"certificateId":"512","CERTIFICATESTORES":[{"certificateStoreId":"7A6F1C52-0D1E-4F0B-9A6C-2F6F5F0F7A10",
                "overwrite":"true","jobFields":{"siteName":"x"}}],"collectionId":0,"Unknown":1} stray"#,
        );
        assert_eq!(add.certificate_id, Some(512));
        let store = &add.certificate_stores[0];
        assert!(store.overwrite);
        assert!(store.job_fields.contains_key("siteName"));
        let enroll: EnrollPfx = read(r#"{"saNs":{"dns":["a.example.test"]}}"#);
        assert_eq!(enroll.sans["dns"], ["a.example.test"]);
        for spelling in ["Storepath", "StorePath", "storepath"] {
            let store: CreateCertificateStore = read(&format!(r#"{{"{spelling}":"/a"}}"#));
            assert_eq!(store.store_path.as_deref(), Some("/a"));
        }
    }

    #[test]
    fn null_and_empty_text_count_as_not_given() {
        let deploy: Deploy =
            read(r#"{"Stores":null,"Password":"","CertificateId":null,"JobTime":"","StoreTypes":[]}"#);
        assert!(deploy.stores.is_empty() && deploy.password.is_none() && deploy.job_time.is_none());
    }

    #[test]
    fn a_refusal_names_the_member() {
        let refuse = |text: &str| from_slice::<AddCertificate>(text.as_bytes()).unwrap_err().to_string();
        let store = r#"{"CertificateStores":[{},{"CertificateStoreId":"web1"}]}"#;
        assert!(refuse(store).starts_with("CertificateStores[1].CertificateStoreId: "), "{}", refuse(store));
        assert!(refuse(r#"{"CertificateId":"many"}"#).starts_with("CertificateId: "));
        assert!(
            refuse(r#"{"Schedule":{"ExactlyOnce":{"Time":"soon"}}}"#)
                .starts_with("Schedule.ExactlyOnce.Time: ")
        );
        assert!(refuse("[1").contains("not JSON"));
        assert!(refuse("").contains("missing"));
        assert!(refuse("[]").contains("expected an object"));
    }
}
