//! Enumerations that are a word in JSON.

/// Defines an enum whose variants are written as the given words. Input must match a word exactly, unless the enum is
/// declared with `ignoring case`; the error text is the one that nats-server 2.15.1 shows.
macro_rules! wire_enum {
    (
        $(#[$doc:meta])* $name:ident $($ignoring:ident case)? {
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
            #[allow(dead_code, clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
            pub(crate) fn is_default(&self) -> bool {
                *self == Self::default()
            }

            fn from_word(word: &str) -> Option<Self> {
                $crate::wire_enum::wire_enum!(@fold word $($ignoring)?);
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
                    serde::de::Error::custom(format_args!("can not unmarshal {:?}", value.to_string()))
                })
            }
        }
    };
    (@fold $word:ident) => {};
    (@fold $word:ident ignoring) => { let $word = &*$word.to_ascii_lowercase(); };
}

pub(crate) use wire_enum;
