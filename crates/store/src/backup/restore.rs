use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{
    BackupError, Backups, CopiedSegment, Manifest, PIECE, Progress, failed, hex, make_dir,
    shard_name, sync_dir,
};
use crate::log::{SegmentNo, segment_path};
use crate::storage::FsStorage;

impl Backups {
    /// Makes a store of a backup in `into`, a directory that does not exist yet; everything is compared with what was copied then.
    /// Its catalog and indexes are made by the first start.
    ///
    /// # Errors
    /// [`BackupError::Exists`], [`BackupError::SegmentDamaged`], files that can't be read or written. What was made until then stays under `into` with `.restoring` behind it.
    pub fn restore(
        &self,
        manifest: &Manifest,
        into: &Path,
        progress: Progress<'_>,
    ) -> Result<(), BackupError> {
        if into.exists() {
            return Err(BackupError::Exists(into.to_owned()));
        }
        let unfinished = into.with_extension("restoring");
        if unfinished.exists() {
            return Err(BackupError::Exists(unfinished));
        }
        let total = manifest.bytes();
        let mut done = 0;
        make_dir(&unfinished)?;
        for shard in 0..manifest.store.shards.get() {
            let dir = unfinished.join(shard_name(shard));
            make_dir(&dir)?;
            for segment in manifest.segments.iter().filter(|s| s.shard == shard) {
                let target = segment_path(&dir, SegmentNo(segment.segment));
                self.bring_back(segment, &target, &mut |bytes| {
                    done += bytes;
                    progress(done, total);
                })?;
            }
            sync_dir(&dir)?;
        }
        manifest.store.write_both(&unfinished, &FsStorage)?;
        sync_dir(&unfinished)?;
        fs::rename(&unfinished, into).map_err(failed("can't rename to", into))?;
        into.parent().map_or(Ok(()), sync_dir)
    }

    fn bring_back(
        &self,
        segment: &CopiedSegment,
        target: &Path,
        copied: &mut dyn FnMut(u64),
    ) -> Result<(), BackupError> {
        let path = self.segment_path(segment);
        let source = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::SegmentDamaged(path));
            }
            source => source.map_err(failed("can't open", &path))?,
        };
        let mut source = source.take(segment.stored);
        let mut file = File::create(target).map_err(failed("can't make", target))?;
        let mut hash = Sha256::new();
        let mut piece = vec![0; PIECE];
        loop {
            let read = source
                .read(&mut piece)
                .map_err(failed("can't read", &path))?;
            if read == 0 {
                break;
            }
            hash.update(&piece[..read]);
            file.write_all(&piece[..read])
                .map_err(failed("can't write", target))?;
            copied(read as u64);
        }
        if hex(&hash.finalize()) != segment.sha256 {
            return Err(BackupError::SegmentDamaged(path));
        }
        file.set_len(segment.len)
            .and_then(|()| file.sync_all())
            .map_err(failed("can't write", target))
    }
}
