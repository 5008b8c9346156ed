//! Parts of JSON files that may come in several forms, or as more elements than any model has.
//!
//! Read with visitors of our own: serde's untagged enums first copy what they read into a tree many
//! times its size, which would let a file take more memory than it has bytes.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::named_templates::without_default;

/// A list of at most `MOST` elements.
pub(super) struct Few<T, const MOST: usize>(pub Vec<T>);

impl<T, const MOST: usize> Default for Few<T, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Few<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FewVisitor(PhantomData))
    }
}

struct FewVisitor<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for FewVisitor<T, MOST> {
    type Value = Few<T, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MOST}")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Few(Vec::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            if elements.len() == MOST {
                return Err(A::Error::invalid_length(MOST + 1, &self));
            }
            elements.push(element);
        }
        Ok(Few(elements))
    }
}

const MOST_IDS: usize = 1 << 10;

/// One token id or several.
#[derive(Default)]
pub(super) struct Ids(pub Vec<u64>);

struct IdsVisitor;

impl<'de> Visitor<'de> for IdsVisitor {
    type Value = Ids;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token id or a list of them")
    }

    fn visit_u64<E: Error>(self, id: u64) -> Result<Ids, E> {
        Ok(Ids(vec![id]))
    }

    fn visit_unit<E: Error>(self) -> Result<Ids, E> {
        Ok(Ids::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Ids, A::Error> {
        FewVisitor::<u64, MOST_IDS>(PhantomData).visit_seq(list).map(|few| Ids(few.0))
    }
}

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdsVisitor)
    }
}

/// A chat template: the text, or a list of named ones of which the default is taken.
#[derive(Default)]
pub(super) struct Template(pub Option<String>);

#[derive(Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

const MOST_TEMPLATES: usize = 64;

impl Pairs<String, MOST_TEMPLATES> {
    fn default_template<E: Error>(self) -> Result<Template, E> {
        let (mut default, others): (Vec<_>, Vec<_>) =
            self.0.into_iter().partition(|(name, _)| name == "default");
        if default.len() > 1 {
            return Err(E::custom("two chat templates are named default"));
        }
        let default = default.pop().map(|(_, template)| template);
        Ok(Template(default.or_else(|| without_default(others.iter().map(|(name, _)| name.as_str())))))
    }
}

struct TemplateVisitor;

impl<'de> Visitor<'de> for TemplateVisitor {
    type Value = Template;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a chat template or a list of named ones")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Template, E> {
        Ok(Template(Some(text.to_owned())))
    }

    fn visit_unit<E: Error>(self) -> Result<Template, E> {
        Ok(Template(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Template, A::Error> {
        let mut named = Pairs::<String, MOST_TEMPLATES>(Vec::new());
        while let Some(NamedTemplate { name, template }) = list.next_element()? {
            if named.0.len() == MOST_TEMPLATES {
                return Err(A::Error::invalid_length(MOST_TEMPLATES + 1, &self));
            }
            named.0.push((name, template));
        }
        named.default_template()
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Template, A::Error> {
        PairsVisitor::<String, MOST_TEMPLATES>(PhantomData).visit_map(map)?.default_template()
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TemplateVisitor)
    }
}

/// An object of at most `MOST` pairs, in the order of the file, repeats included: a map would silently
/// keep the last of two.
pub(super) struct Pairs<T, const MOST: usize>(pub Vec<(String, T)>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Pairs<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor(PhantomData))
    }
}

struct PairsVisitor<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for PairsVisitor<T, MOST> {
    type Value = Pairs<T, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object of at most {MOST} entries")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            if pairs.len() == MOST {
                return Err(A::Error::invalid_length(MOST + 1, &self));
            }
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }
}

/// Merges of a BPE vocabulary, `"a b"` or `["a", "b"]`, best first, in one buffer: there are hundreds
/// of thousands, and two strings each would be many times the file.
#[derive(Default)]
pub(super) struct Merges {
    text: String,
    /// Ends of the left and of the right part of each.
    ends: Vec<(u32, u32)>,
}

impl Merges {
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|&(_, end)| end));
        starts.zip(&self.ends).map(|(start, &(middle, end))| {
            let [start, middle, end] = [start, middle, end].map(|at| at as usize);
            (&self.text[start..middle], &self.text[middle..end])
        })
    }

    fn push<E: Error>(&mut self, left: &str, right: &str) -> Result<(), E> {
        if self.ends.len() == MOST_MERGES {
            return Err(E::custom(format_args!("more than {MOST_MERGES} merges")));
        }
        let place = |length: usize| u32::try_from(length).map_err(|_| E::custom("merges of over 4 GiB"));
        self.text.push_str(left);
        let middle = place(self.text.len())?;
        self.text.push_str(right);
        self.ends.push((middle, place(self.text.len())?));
        Ok(())
    }
}

const MOST_MERGES: usize = hotset_base::limits::MAX_VOCAB;

impl<'de> Deserialize<'de> for Merges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(MergesVisitor)
    }
}

struct MergesVisitor;

impl<'de> Visitor<'de> for MergesVisitor {
    type Value = Merges;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of merges")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Merges, A::Error> {
        let mut merges = Merges::default();
        while list.next_element_seed(OneMerge(&mut merges))?.is_some() {}
        Ok(merges)
    }
}

/// Reads one merge into the buffer.
struct OneMerge<'m>(&'m mut Merges);

impl<'de> DeserializeSeed<'de> for OneMerge<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OneMerge<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a merge, \"a b\" or [\"a\", \"b\"]")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let (left, right) = text.split_once(' ').ok_or_else(|| E::custom("a merge of one part"))?;
        self.0.push(left, right)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<(), A::Error> {
        let mut part = || pair.next_element::<String>();
        let (Some(left), Some(right)) = (part()?, part()?) else {
            return Err(A::Error::custom("a merge of fewer than two parts"));
        };
        if part()?.is_some() {
            return Err(A::Error::custom("a merge of more than two parts"));
        }
        self.0.push(&left, &right)
    }
}

/// A value of any kind, as far as it takes to say whether a setting is on and what it is.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Setting {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    /// A list, and whether all its elements are one text, which one.
    List {
        length: usize,
        all: Option<String>,
    },
    Object {
        length: usize,
    },
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(on) => write!(f, "{on}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "`{}`", crate::printable::printable(text)),
            Self::List { length, .. } => write!(f, "(a list of {length})"),
            Self::Object { .. } => f.write_str("(an object)"),
        }
    }
}

struct SettingVisitor;

impl<'de> Visitor<'de> for SettingVisitor {
    type Value = Setting;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a setting")
    }

    fn visit_unit<E: Error>(self) -> Result<Setting, E> {
        Ok(Setting::Null)
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<Setting, E> {
        Ok(Setting::Bool(on))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Setting, E> {
        Ok(Setting::Number(number as f64))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Setting, E> {
        Ok(Setting::Number(number as f64))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Setting, E> {
        Ok(Setting::Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Setting, E> {
        Ok(Setting::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Setting, A::Error> {
        let (mut length, mut all) = (0, None);
        while let Some(element) = list.next_element::<Setting>()? {
            let text = if let Setting::Text(text) = element { Some(text) } else { None };
            all = if length == 0 { text } else { all.filter(|all| Some(all) == text.as_ref()) };
            length += 1;
        }
        Ok(Setting::List { length, all })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Setting, A::Error> {
        let mut length = 0;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            length += 1;
        }
        Ok(Setting::Object { length })
    }
}

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SettingVisitor)
    }
}
