//! Enumerations that are a word in JSON.

/// Defines an enum whose variants are written as the given words. Input must match a word exactly, unless the enum is
/// declared with `ignoring case`; the error texts are those of nats-server 2.15.1, of which some enums have an own one
/// behind `else`, which the refused word follows if it ends in a blank; it may be `for strings` only.
macro_rules! wire_enum {
    (
        $(#[$doc:meta])* $name:ident $(ignoring $case:ident)? $(else $unknown:literal $(for $strings:ident)?)? {
            $($(#[$variant_doc:meta])* $variant:ident = $word:literal $(| $alias:literal)*,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// The word in JSON.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Whether this is the default, which some members leave out of JSON.
            #[must_use]
            #[allow(dead_code, reason = "not every enum is left out of JSON")]
            pub(crate) fn is_default(&self) -> bool {
                *self == Self::default()
            }

            fn from_word(word: &str) -> Option<Self> {
                $crate::wire_enum::wire_enum!(@fold word $($case)?);
                match word { $($word $(| $alias)* => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = serde_json::Value::deserialize(deserializer)?;
                value.as_str().and_then(Self::from_word).ok_or_else(|| {
                    let text = $crate::wire_enum::wire_enum!(@refuse value $($unknown $($strings)?)?);
                    serde::de::Error::custom(text)
                })
            }
        }
    };
    (@refuse $value:ident) => { format!("can not unmarshal {:?}", $value.to_string()) };
    (@refuse $value:ident $unknown:literal strings) => {
        if $value.is_string() || $value.is_null() {
            $unknown.to_owned()
        } else {
            let kind = $crate::json::kind(&$value);
            format!("json: cannot unmarshal {kind} into Go value of type string")
        }
    };
    (@refuse $value:ident $unknown:literal) => {
        format!("{}{}", $unknown, if $unknown.ends_with(' ') { $value.to_string() } else { String::new() })
    };
    (@fold $word:ident) => {};
    (@fold $word:ident case) => { let $word = &*$word.to_ascii_lowercase(); };
}

pub(crate) use wire_enum;
