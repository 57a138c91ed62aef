use serde::{Deserialize, Serialize};

use crate::stream::SubjectTransform;
use crate::{StreamSeq, Timestamp};

/// A stream whose messages another stream copies, as its mirror or as one of its sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamSource {
    /// The origin's name.
    pub name: String,
    /// The first sequence to copy; zero is the first that there is.
    #[serde(skip_serializing_if = "StreamSeq::is_zero")]
    pub opt_start_seq: StreamSeq,
    /// The time from which to copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opt_start_time: Option<Timestamp>,
    /// The subjects to copy; empty is all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter_subject: String,
    /// The subjects to copy and their new names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subject_transforms: Vec<SubjectTransform>,
    /// How to reach an origin in another account or domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalStream>,
    /// The durable consumer of the origin to use instead of an own one (2.14).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<StreamConsumerSource>,
}

/// How to reach a stream in another account or domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExternalStream {
    /// The prefix that takes the place of `$JS.API`.
    pub api: String,
    /// The prefix of delivery subjects.
    pub deliver: String,
}

/// A durable consumer made beforehand for a mirror or a source (2.14).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamConsumerSource {
    /// The consumer's name.
    pub name: String,
    /// Its delivery subject.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub deliver_subject: String,
}
