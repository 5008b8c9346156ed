//! Variables of a rendering: JSON whose maps keep their order.

use std::fmt;

use hotset_base::Bytes;
use hotset_base::limits::MAX_TEMPLATE_VARIABLES;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::jinja::{Dict, Meter, Result, Value};

/// Variables for a chat template beside the conversation: `enable_thinking`, `tools`, `bos_token`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Variables {
    values: Vec<(String, Json)>,
    bytes: usize,
}

/// Why variables were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VariablesError {
    /// The JSON is too long.
    #[error("template variables have {bytes}, at most {limit} are supported")]
    TooLarge {
        /// Its length.
        bytes: Bytes,
        /// The longest that is taken.
        limit: Bytes,
    },
    /// It is not an object in JSON.
    #[error("template variables are not a JSON object: {0}")]
    NotAnObject(String),
}

#[derive(Debug, Clone, PartialEq)]
enum Json {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

impl Variables {
    /// The members of an object in JSON, in their order. Source: the user.
    pub fn from_json(json: &str) -> std::result::Result<Self, VariablesError> {
        let bytes = Bytes(json.len() as u64);
        if bytes > MAX_TEMPLATE_VARIABLES {
            return Err(VariablesError::TooLarge { bytes, limit: MAX_TEMPLATE_VARIABLES });
        }
        match serde_json::from_str(json) {
            Ok(Json::Map(values)) => Ok(Self { values, bytes: json.len() }),
            Ok(_) => Err(VariablesError::NotAnObject("write {\"name\": value}".to_owned())),
            Err(error) => Err(VariablesError::NotAnObject(error.to_string())),
        }
    }

    /// Sets a variable to a text; one that is there already stays.
    pub fn set_text_if_missing(&mut self, name: &str, text: &str) {
        if self.values.iter().all(|(other, _)| other != name) {
            self.values.push((name.to_owned(), Json::Text(text.to_owned())));
            self.bytes += text.len();
        }
    }

    /// Bytes of all texts together.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn values(&self, meter: &Meter) -> Result<Vec<(Box<str>, Value)>> {
        self.values.iter().map(|(name, json)| Ok((name.as_str().into(), json.value(meter)?))).collect()
    }
}

impl Json {
    fn value(&self, meter: &Meter) -> Result<Value> {
        Ok(match self {
            Self::Null => Value::None,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Int(number) => Value::Int(*number),
            Self::Float(number) => Value::Float(*number),
            Self::Text(text) => Value::text(meter, text.as_str())?,
            Self::List(items) => {
                Value::list(meter, items.iter().map(|item| item.value(meter)).collect::<Result<_>>()?)?
            }
            Self::Map(entries) => {
                let mut dict = Dict::new(meter)?;
                for (key, value) in entries {
                    dict.insert(meter, Value::text(meter, key.as_str())?, value.value(meter)?)?;
                }
                Value::Dict(dict.into())
            }
        })
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value in JSON")
            }

            fn visit_unit<E>(self) -> std::result::Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E>(self, flag: bool) -> std::result::Result<Json, E> {
                Ok(Json::Bool(flag))
            }

            fn visit_i64<E>(self, number: i64) -> std::result::Result<Json, E> {
                Ok(Json::Int(number))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> std::result::Result<Json, E> {
                i64::try_from(number)
                    .map(Json::Int)
                    .map_err(|_| E::custom("an integer has more than 63 bits"))
            }

            /// Larger integers arrive here too, as the nearest float.
            fn visit_f64<E: serde::de::Error>(self, number: f64) -> std::result::Result<Json, E> {
                if number.abs() >= 9.2e18 {
                    return Err(E::custom("a number has more than 63 bits"));
                }
                Ok(Json::Float(number))
            }

            fn visit_str<E>(self, text: &str) -> std::result::Result<Json, E> {
                Ok(Json::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Json, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Json::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<Json, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(Json::Map(map))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
