use std::time::Duration;

use serde::{Serialize, Serializer, ser::SerializeStruct};

/// What a user may publish and subscribe to, as configured. [`crate::PermissionSet`] is the form that is checked.
///
/// Serializes as `$SYS.REQ.USER.INFO` reports it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Permissions {
    /// Subjects to publish to; `None` is unrestricted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish: Option<SubjectPermission>,
    /// Subjects to subscribe to, each `subject` or `subject queue`; `None` is unrestricted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<SubjectPermission>,
    /// Leave to answer requests that were delivered to this connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub responses: Option<ResponsePermission>,
}

/// An allow and a deny list. An empty allow list allows everything; a deny beats an allow.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SubjectPermission {
    /// Patterns of which one must cover the subject, unless the list is empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Patterns of which none may match the subject.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

/// `allow_responses`: a reply subject seen in a delivered message may be published to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponsePermission {
    /// Responses per request; `None` is unlimited.
    pub max: Option<u32>,
    /// Time after the delivery in which they may be sent; `None` is unlimited.
    pub expires: Option<Duration>,
}

impl Default for ResponsePermission {
    fn default() -> Self {
        Self {
            max: Some(1),
            expires: Some(Duration::from_secs(120)),
        }
    }
}

impl Serialize for ResponsePermission {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("ResponsePermission", 2)?;
        fields.serialize_field("max", &self.max.map_or(-1, i64::from))?;
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        fields.serialize_field("ttl", &self.expires.map_or(-1_000_000_000, nanos))?;
        fields.end()
    }
}
