use serde::Deserialize;
use serde_json::{Map, Value};

use crate::json::{self, Decoded, Strictness};
use crate::{ApiError, StreamConfig, StreamSeq, StreamState};

/// `STREAM.CREATE` and `STREAM.UPDATE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamConfigRequest {
    /// The configuration, not validated yet.
    pub config: StreamConfig,
    /// Refuse instead of adjusting silently.
    pub pedantic: bool,
    /// Whether the request says which storage it wants.
    pub names_storage: bool,
}

impl StreamConfigRequest {
    /// Decodes a configuration with the member `pedantic` beside its own.
    ///
    /// # Errors
    ///
    /// Those of [`json::decode`].
    pub fn decode(payload: &[u8], strictness: Strictness) -> Result<Decoded<Self>, ApiError> {
        let take = |members: &mut Map<String, Value>| {
            let pedantic = match members.remove("pedantic") {
                None => false,
                Some(Value::Bool(pedantic)) => pedantic,
                Some(other) => {
                    let kind = json::kind(&other);
                    return Err(format!(
                        "json: cannot unmarshal {kind} into Go struct field {NAME}.pedantic of type bool"
                    ));
                }
            };
            Ok((pedantic, members.contains_key("storage")))
        };
        let (decoded, (pedantic, names_storage)) =
            json::decode_with(payload, NAME, strictness, take)?;
        let Decoded {
            value: config,
            warning,
        } = decoded;
        Ok(Decoded {
            value: Self {
                config,
                pedantic,
                names_storage,
            },
            warning,
        })
    }
}

/// `STREAM.NAMES` and `STREAM.LIST`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StreamsRequest {
    /// How many to skip; negative is none.
    pub offset: i64,
    /// Only streams that capture a subject that overlaps this one.
    pub subject: String,
}

/// `CONSUMER.NAMES` and `CONSUMER.LIST`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PagedRequest {
    /// How many to skip; negative is none.
    pub offset: i64,
}

/// `STREAM.INFO`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StreamInfoRequest {
    /// How many subjects to skip; negative is none.
    pub offset: i64,
    /// Whether to list the deleted sequences.
    pub deleted_details: bool,
    /// Which subjects to list with their counts; empty is none.
    pub subjects_filter: String,
}

/// `STREAM.PURGE`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StreamPurgeRequest {
    /// Remove what is below this sequence; zero is all.
    #[serde(rename = "seq")]
    pub sequence: StreamSeq,
    /// Keep this many of the newest messages.
    pub keep: u64,
    /// Only messages with this subject.
    #[serde(rename = "filter")]
    pub subject: String,
}

/// `STREAM.MSG.DELETE`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MsgDeleteRequest {
    /// The message.
    pub seq: StreamSeq,
    /// Whether its bytes may stay on disk until their space is used again.
    pub no_erase: bool,
}

/// `STREAM.SNAPSHOT`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StreamSnapshotRequest {
    /// Where the chunks go.
    pub deliver_subject: String,
    /// Whether to leave the consumers out.
    pub no_consumers: bool,
    /// The size of a chunk; zero is 128 KiB.
    pub chunk_size: i64,
    /// How many bytes may be unacknowledged; zero is 8 MiB.
    pub window_size: i64,
    /// Whether to check messages; has no effect since nats-server 2.15.
    #[serde(rename = "jsck")]
    pub check_messages: bool,
}

/// `STREAM.RESTORE`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StreamRestoreRequest {
    /// The stream to make.
    pub config: StreamConfig,
    /// What it held.
    pub state: StreamState,
}

/// The name that error texts show.
const NAME: &str = "StreamConfigRequest";
