//! A consumer: its configuration and what it has delivered.

use jetsled_archive::filestore::{ChecksumKey, ConsumerMeta, decode_consumer_state};
use jetsled_jetstream_api::{ConsumerConfig, ConsumerState, Timestamp};

use crate::stream::{optional, read_meta};
use crate::{ConsumerPlace, SourceError, StoreKeys, StreamPlace};

/// A consumer.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceConsumer {
    /// Its name.
    pub name: String,
    /// When it was created; unset if it was made by an old server.
    pub created: Timestamp,
    /// Its configuration, not validated.
    pub config: ConsumerConfig,
    /// What it has delivered and what was acked, not validated. Times of deliveries are in whole seconds.
    pub state: ConsumerState,
}

impl SourceConsumer {
    pub(crate) fn open(
        stream: &StreamPlace,
        place: &ConsumerPlace,
        keys: &StoreKeys,
    ) -> Result<Self, SourceError> {
        let checksum = ChecksumKey::of(&format!("{}/{}", stream.name, place.name));
        let context = format!("{}.{}", stream.name, place.name);
        let (meta, key) = read_meta(&place.dir, &checksum, &stream.account, &context, keys)?;
        let ConsumerMeta { created, config } = serde_json::from_slice(&meta)?;
        let mut state = optional(&place.dir.join("o.dat"))?.unwrap_or_default();
        if let Some(key) = key
            && !state.is_empty()
        {
            state = key.open(&state).ok_or(SourceError::Sealed("o.dat"))?;
        }
        Ok(Self {
            name: place.name.clone(),
            created,
            config,
            state: decode_consumer_state(&state).ok_or(SourceError::State)?,
        })
    }
}
