//! Reading a stream's messages, block by block.

use std::fs;
use std::ops::RangeInclusive;

use jetsled_archive::filestore::RecordKind;

use crate::block::{Break, decompress, records};
use crate::directory::BlockFile;
use crate::live::{Live, without};
use crate::stream::SourceStream;
use crate::{Block, Damage, DamageCause, ReadError, SourceError};

/// The blocks of a stream, in order.
#[derive(Debug)]
pub struct Blocks<'a> {
    stream: &'a SourceStream,
    /// Files, and blocks that only the index knows.
    rest: std::vec::IntoIter<(u64, Option<BlockFile>)>,
    /// The last sequence handed out.
    last: u64,
    damages: Vec<Damage>,
}

/// A block's file, decrypted if need be.
pub(crate) enum Covered {
    Open(Vec<u8>),
    Lost(DamageCause),
}

/// No server writes larger ones.
const MAX_FILE: u64 = 1 << 30;
/// A disk's own error, as the operating system numbers it.
const EIO: i32 = 5;

impl SourceStream {
    /// A block's bytes as they were written; what was lost on the way.
    pub(crate) fn load(
        &self,
        file: &BlockFile,
    ) -> Result<(Vec<u8>, Option<DamageCause>), ReadError> {
        Ok(match self.uncovered(file)? {
            Covered::Open(bytes) => decompress(bytes),
            Covered::Lost(cause) => (Vec::new(), Some(cause)),
        })
    }

    pub(crate) fn uncovered(&self, file: &BlockFile) -> Result<Covered, ReadError> {
        if file.len > MAX_FILE {
            return Ok(Covered::Lost(DamageCause::Unreadable));
        }
        let mut bytes = match fs::read(&file.path) {
            Ok(bytes) => bytes,
            Err(error) if error.raw_os_error() == Some(EIO) => {
                return Ok(Covered::Lost(DamageCause::Unreadable));
            }
            Err(error) => return Err(ReadError::at(&file.path)(error)),
        };
        match self.block_cipher(file) {
            Ok(None) => {}
            Ok(Some(key)) => key.uncover(&mut bytes),
            Err(SourceError::Read(error)) => return Err(error),
            Err(_) => return Ok(Covered::Lost(DamageCause::Key)),
        }
        Ok(Covered::Open(bytes))
    }
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(stream: &'a SourceStream) -> Self {
        let mut blocks: Vec<_> = stream
            .files
            .iter()
            .map(|file| (file.number, Some(file.clone())))
            .collect();
        if let Live::Indexed(index) = &stream.live {
            for (number, block) in &index.blocks {
                let is_there = stream.files.iter().any(|file| file.number == *number);
                if !is_there && block.messages() > 0 {
                    blocks.push((*number, None));
                }
            }
            blocks.sort_by_key(|(number, _)| *number);
        }
        Self {
            stream,
            rest: blocks.into_iter(),
            last: 0,
            damages: Vec::new(),
        }
    }

    /// The next block; sequences rise from block to block.
    ///
    /// # Errors
    /// When a file can not be read for another reason than its disk's.
    pub fn next_block(&mut self) -> Option<Result<Block, ReadError>> {
        let (number, file) = self.rest.next()?;
        Some(self.read(number, file.as_ref()))
    }

    /// The damage found so far.
    #[must_use]
    pub fn damages(&self) -> &[Damage] {
        &self.damages
    }

    fn read(&mut self, number: u64, file: Option<&BlockFile>) -> Result<Block, ReadError> {
        let (bytes, cause) = match file {
            Some(file) => self.stream.load(file)?,
            None => (Vec::new(), Some(DamageCause::Missing)),
        };
        let live = &self.stream.live;
        let mut messages = Vec::new();
        let mut last = self.last;
        let key = self.stream.block_key(number);
        let breaks = records(&bytes, &key, &mut |told| {
            let seq = told.place.seq;
            if told.kind == RecordKind::Message && seq > last && live.is_live(number, seq) {
                last = seq;
                messages.push(told.place);
            }
        });
        self.last = last;
        let block = Block {
            number,
            file_len: file.map_or(0, |file| file.len),
            bytes,
            messages,
        };
        self.note_damage(&block, cause, &breaks);
        Ok(block)
    }

    fn note_damage(&mut self, block: &Block, cause: Option<DamageCause>, breaks: &[Break]) {
        let cause = cause.or_else(|| breaks.first().map(|b| b.cause));
        let (mut lost, mut open_ended) = (Vec::new(), false);
        let cause = match &self.stream.live {
            Live::Indexed(_) => {
                let Some(indexed) = self.stream.live.indexed(block.number) else {
                    // Nothing of it is wanted.
                    return;
                };
                let found = block.messages.len() as u64;
                if found < indexed.messages() {
                    let mut from = indexed.block.first_seq.get();
                    for place in &block.messages {
                        without(from, place.seq - 1, &indexed.deleted, &mut lost);
                        from = place.seq + 1;
                    }
                    let last = indexed.block.last_seq.get();
                    without(from, last, &indexed.deleted, &mut lost);
                }
                cause.or((!lost.is_empty()).then_some(DamageCause::Incomplete))
            }
            Live::Scanned(scanned) => {
                let whole = [Break {
                    cause: DamageCause::Unreadable,
                    above: 0,
                    below: None,
                }];
                let breaks = match cause {
                    Some(_) if breaks.is_empty() && block.messages.is_empty() => &whole,
                    Some(_) if breaks.is_empty() => {
                        // Decompression ended between two records.
                        &[Break {
                            above: block.messages.last().map_or(0, |place| place.seq),
                            ..whole[0]
                        }]
                    }
                    _ => breaks,
                };
                for part in breaks {
                    open_ended |= scanned.lost(block.number, part.above, part.below, &mut lost);
                }
                cause
            }
        };
        if let Some(cause) = cause {
            self.damages.push(Damage {
                block: block.number,
                cause,
                lost: merged(lost),
                open_ended,
            });
        }
    }
}

/// Ranges that touch become one.
fn merged(ranges: Vec<RangeInclusive<u64>>) -> Vec<RangeInclusive<u64>> {
    let mut merged: Vec<RangeInclusive<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if *range.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=*range.end().max(last.end());
            }
            _ => merged.push(range),
        }
    }
    merged
}
