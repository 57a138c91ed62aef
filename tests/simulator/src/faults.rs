//! The machine's ends, its disk's failures, and what comes after them.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use jetsled_store::check::{CheckOptions, check};
use jetsled_testkit::{Call, Fault, FaultyStorage};
use rand::RngExt;

use crate::model::Removed;
use crate::plan::{Kind, SUBJECTS};
use crate::world::{StreamRun, Waiting, World};

impl World {
    /// The machine has ended at a sync.
    pub(crate) fn crash(&mut self) -> Result<(), String> {
        let Some((kill, left)) = self.disk_events.borrow_mut().take_left() else {
            return Ok(());
        };
        if kill {
            self.figures.kills += 1;
        } else {
            self.figures.power_cuts += 1;
        }
        self.history.note(format_args!(
            "the machine has ended at a sync, killed: {kill}"
        ));
        self.start_after_end(left)
    }

    pub(crate) fn cut_power(&mut self) -> Result<(), String> {
        self.figures.power_cuts += 1;
        self.history.note(format_args!("power cut"));
        let left = self.disk.after_power_cut(self.random.random());
        self.start_after_end(left)
    }

    pub(crate) fn kill(&mut self) -> Result<(), String> {
        self.figures.kills += 1;
        self.history.note(format_args!("kill"));
        let left = self.disk.after_kill();
        self.start_after_end(left)
    }

    fn start_after_end(&mut self, left: FaultyStorage) -> Result<(), String> {
        if let Some(server) = self.close() {
            server.abandon();
        }
        self.start(left)
    }

    pub(crate) fn stop(&mut self) -> Result<(), String> {
        self.figures.stops += 1;
        self.history.note(format_args!("stop"));
        let clients = self.clients.len();
        if let Some(server) = self.close() {
            server.stop();
        }
        debug_assert_eq!(clients, self.clients.len(), "closing keeps the clients");
        let left = self.disk.after_kill();
        self.start(left)
    }

    /// Starts on what is left of the disk, and compares everything.
    fn start(&mut self, left: FaultyStorage) -> Result<(), String> {
        self.disk = left;
        self.ailing = None;
        let failed = |error: std::io::Error| format!("the catalog's directory: {error}");
        self.catalog.wait_until_free().map_err(failed)?;
        if self.random.random_bool(0.3) {
            self.check_store()?;
        }
        match self.random.random_range(0..20) {
            0 => {
                self.history.note(format_args!("the catalog is lost"));
                self.catalog.remove().map_err(failed)?;
            }
            1 => {
                self.history
                    .note(format_args!("the catalog is an older one"));
                self.catalog.put_back_copy().map_err(failed)?;
                self.catalog_put_back = true;
            }
            2..6 => self.catalog.keep_copy().map_err(failed)?,
            _ => {}
        }
        if let Some(keys) = &mut self.keys
            && keys.change(&mut self.store)
        {
            self.figures.key_changes += 1;
            let encryption = &self.store.encryption;
            self.history.note(format_args!("{encryption:?}"));
        }
        let flipped = self.may_damage && self.random.random_bool(0.5) && self.flip_bits();
        for stream in 0..self.streams.len() {
            if self.streams[stream].model.in_memory {
                self.forget_stream(stream);
            }
        }
        let later = self.random.random_range(0..2_000_000);
        self.set_time(later);
        let clients = self.clients.len();
        self.open(clients)?;
        self.keep_awake(0);
        if self.damaged {
            let told = self.server.as_ref().is_some_and(|server| {
                let logs = server.report().shards.iter().map(|shard| &shard.log);
                logs.into_iter().any(|log| {
                    !log.damage.is_empty() || !log.set_aside.is_empty() || log.torn_bytes > 0
                })
            });
            for run in &mut self.streams {
                run.model.damaged = true;
                run.model.is_reported |= told;
                run.model.may_be_cut |= flipped;
            }
        }
        self.settle()?;
        self.compare()?;
        for stream in 0..self.streams.len() {
            if !self.streams[stream].exists {
                self.put_stream(stream);
            }
        }
        Ok(())
    }

    /// Changes some bits of segments, or of their indexes. Answers whether of segments.
    fn flip_bits(&mut self) -> bool {
        let files = self.disk.files();
        let of = |end: &str| -> Vec<_> {
            let name = |path: &Path| path.to_string_lossy().ends_with(end);
            files.iter().filter(|path| name(path)).cloned().collect()
        };
        let in_index = self.random.random_bool(0.4);
        let files = of(if in_index { ".idx" } else { ".seg" });
        if files.is_empty() {
            return false;
        }
        let file = &files[self.random.random_range(0..files.len())];
        let used = self.disk.contents(file).map_or(0, |bytes| {
            bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0)
        });
        for _ in 0..self.random.random_range(1..4) {
            let at = self.random.random_range(0..=used);
            let bit = self.random.random_range(0..8);
            self.disk.damage(file, |bytes| {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            });
            self.figures.flips += 1;
            let name = file.strip_prefix(&self.store.dir).unwrap_or(file);
            self.history
                .note(format_args!("bit {bit} of byte {at} of {}", name.display()));
        }
        // Indexes are rebuilt from what they are of.
        self.damaged |= !in_index;
        !in_index
    }

    /// Something of the disk fails.
    pub(crate) fn fail_disk(&mut self) {
        if self.ailing.is_some() {
            return;
        }
        self.ailing = Some(self.random.random_range(20..80));
        if self.random.random_bool(0.3) {
            let files = self.disk.files();
            let used: u64 = files
                .iter()
                .filter_map(|path| self.disk.contents(path))
                .map(|bytes| bytes.len() as u64)
                .sum();
            self.disk
                .limit(Some(used + self.random.random_range(0..20_000)));
            self.figures.full += 1;
            self.may_go_on = true;
            return self.history.note(format_args!("the disk is nearly full"));
        }
        let (call, fault) = match self.random.random_range(0..4) {
            0 => (Call::SyncData, Fault::Error(ErrorKind::Other)),
            1 => (Call::Write, Fault::Short(ErrorKind::StorageFull)),
            2 => (Call::Write, Fault::Error(ErrorKind::Other)),
            _ => (Call::SyncDir, Fault::Error(ErrorKind::Other)),
        };
        // After a failed sync nothing is known of the disk, nor after a failed overwrite of a deleted message: the shard takes no writes until
        // the next start.
        self.may_go_on = call == Call::Write;
        let skip = self.random.random_range(0..4);
        self.disk.fail(call, skip, fault);
        self.figures.disk_faults += 1;
        self.history
            .note(format_args!("{call:?} will fail: {fault:?}"));
    }

    /// The disk is seen to, and the server started anew on it.
    pub(crate) fn recover_disk(&mut self) -> Result<(), String> {
        self.disk.heal();
        self.history.note(format_args!("the disk is whole again"));
        let is_fenced = self.server.as_ref().is_some_and(|s| s.is_fenced());
        if self.may_go_on && !is_fenced && self.random.random_bool(0.6) {
            // What has failed is void, and the server goes on.
            for client in 0..self.clients.len() {
                self.read(client, usize::MAX)?;
                // What was delivered of late may be void as well: it comes again, and an ack of the first time is not answered.
                let waiting = &mut self.clients[client].waiting;
                waiting.retain(|_, waiting| !matches!(waiting, Waiting::Ack { .. }));
            }
            self.unacked.clear();
            for consumer in &mut self.consumers {
                consumer.model.pins.clear();
            }
            self.ailing = None;
            // What had expired when a write failed expires again soon.
            self.set_time(150_000_000);
            // A schedule whose message was refused tries again in a minute.
            self.keep_awake(60_000_000_000);
            self.settle()?;
            return self.compare();
        }
        match self.random.random_range(0..3) {
            0 => self.cut_power(),
            1 => self.kill(),
            _ => self.stop(),
        }
    }

    /// Nothing fails any more: all that is promised comes true.
    pub(crate) fn heal(&mut self) -> Result<(), String> {
        if self.disk_events.borrow().has_ended() {
            self.crash()?;
        }
        self.disk.heal();
        self.may_damage = false;
        match self.random.random_range(0..3) {
            0 => self.cut_power()?,
            1 => self.kill()?,
            _ => self.stop()?,
        }
        self.settle()?;
        self.end_schedules()?;
        // Each message not acknowledged comes again, to those who ask for it.
        let mut quiet = 0;
        for _ in 0..200 {
            let before = self.figures.delivered;
            for consumer in 0..self.consumers.len() {
                self.pull_all(consumer);
            }
            self.settle()?;
            for unacked in std::mem::take(&mut self.unacked) {
                self.note_ack(unacked.consumer, unacked.seq);
                let waiting = Waiting::Ack {
                    consumer: unacked.consumer,
                    seq: unacked.seq,
                };
                self.request(0, &unacked.subject, b"+ACK", waiting);
            }
            self.settle()?;
            if self.figures.delivered == before {
                quiet += 1;
                if quiet == 3 {
                    break;
                }
                self.set_time(2_500_000_000);
            } else {
                quiet = 0;
            }
        }
        self.compare()?;
        for stream in 0..self.streams.len() {
            let Some(content) = self.read_stream(stream)? else {
                continue;
            };
            for run in &self.consumers {
                if run.plan.stream == stream && run.exists && !self.damaged {
                    let (model, born) = (&self.streams[stream].model, run.model.born);
                    let is_later = |seq| model.was_sent_after(seq, born);
                    run.model.check_complete(&content, &is_later, self.time)?;
                }
            }
        }
        self.history.note(format_args!("end"));
        Ok(())
    }

    fn pull_all(&mut self, consumer: usize) {
        let run = &self.consumers[consumer];
        if run.exists && run.plan.push.is_none() {
            let body = r#"{"batch":200,"no_wait":true"#;
            self.ask_for_messages(0, consumer, body.to_owned());
        }
    }

    /// Nothing keeps schedules from sending any more, in so many nanoseconds at the latest.
    fn keep_awake(&mut self, later: i64) {
        for run in &mut self.streams {
            run.model.awake_since = self.time + later;
        }
    }

    /// All schedules that still repeat must have sent of late; then they are ended.
    fn end_schedules(&mut self) -> Result<(), String> {
        let scheduled = |run: &StreamRun| run.plan.kind == Kind::Scheduled;
        if !self.streams.iter().any(scheduled) {
            return Ok(());
        }
        for _ in 0..4 {
            self.set_time(2_500_000_000);
            self.settle()?;
        }
        for run in &mut self.streams {
            run.model.is_final = true;
        }
        self.compare()?;
        for stream in 0..self.streams.len() {
            let run = &mut self.streams[stream];
            run.model.is_final = false;
            if run.exists && scheduled(run) {
                let prefix = run.plan.prefix();
                for tail in SUBJECTS {
                    self.ask_to_remove(stream, Removed::Subject(format!("{prefix}.{tail}")));
                }
            }
        }
        self.settle()
    }

    /// `jetsled check` finds nothing in what a machine that has ended has left, unless somebody has damaged it.
    fn check_store(&mut self) -> Result<(), String> {
        self.figures.store_checks += 1;
        let checked = CheckOptions {
            dir: self.store.dir.clone(),
            encryption: self.store.encryption.clone(),
            storage: Arc::new(self.disk.clone()),
            scratch: self.store.dir.clone(),
        };
        let mut report = check(&checked, &mut |_| ())
            .map_err(|error| format!("the store can not be checked: {error}"))?;
        if self.catalog_put_back {
            // That it is an older one is told, until the next checkpoint.
            let is_catalog = |path: &Path| path.to_string_lossy().contains("catalog");
            report.damage.retain(|found| !is_catalog(&found.path));
        }
        if self.figures.flips > 0 {
            // Indexes with flipped bits stay until somebody needs what is damaged of them.
            let is_index = |path: &Path| path.extension().is_some_and(|end| end == "idx");
            report.damage.retain(|found| !is_index(&found.path));
        }
        if !self.damaged && !report.is_clean() {
            return Err(format!("a check of the store finds {report:?}"));
        }
        Ok(())
    }
}
