//! What happens while a sync is under way: others publish, or the machine ends.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use jetsled_server::ServerByHand;
use jetsled_testkit::FaultyStorage;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::client::Wire;

pub(crate) struct DiskEvents {
    random: SmallRng,
    server: Weak<ServerByHand>,
    disk: FaultyStorage,
    wires: Vec<Rc<RefCell<Wire>>>,
    /// The machine is to end at one of the next syncs: by a kill, or a power cut.
    end_by_kill: Option<bool>,
    /// Not while its state is looked at.
    is_held: bool,
    /// What it left.
    left: Option<(bool, FaultyStorage)>,
}

impl DiskEvents {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: SmallRng::seed_from_u64(seed),
            server: Weak::new(),
            disk: FaultyStorage::new(),
            wires: Vec::new(),
            end_by_kill: None,
            is_held: false,
            left: None,
        }
    }

    pub(crate) fn begin(
        &mut self,
        server: &Rc<ServerByHand>,
        disk: &FaultyStorage,
        wires: Vec<Rc<RefCell<Wire>>>,
    ) {
        self.server = Rc::downgrade(server);
        self.disk = disk.clone();
        self.wires = wires;
    }

    pub(crate) fn set_wires(&mut self, wires: Vec<Rc<RefCell<Wire>>>) {
        self.wires = wires;
    }

    pub(crate) fn end_soon(&mut self, kill: bool) {
        self.end_by_kill = Some(kill);
    }

    /// Keeps the machine from ending, or no longer.
    pub(crate) fn hold(&mut self, is_held: bool) {
        self.is_held = is_held;
    }

    /// Whether the machine has ended: nothing that the server says since has been heard.
    pub(crate) fn has_ended(&self) -> bool {
        self.left.is_some()
    }

    /// What is on the disk of a machine that has ended; whether by a kill.
    pub(crate) fn take_left(&mut self) -> Option<(bool, FaultyStorage)> {
        self.left.take()
    }

    pub(crate) fn forget(&mut self) {
        self.wires.clear();
        self.end_by_kill = None;
    }

    /// Somebody waits for the disk.
    pub(crate) fn on_sync(&mut self) {
        if self.left.is_some() {
            return;
        }
        if let Some(kill) = self.end_by_kill
            && !self.is_held
            && self.random.random_bool(0.4)
        {
            let left = if kill {
                self.disk.after_kill()
            } else {
                self.disk.after_power_cut(self.random.random())
            };
            self.left = Some((kill, left));
            self.disk.cut_power_at(0);
            return;
        }
        // Somebody who waits for the disk under a lock lets nobody in.
        if !self
            .server
            .upgrade()
            .is_some_and(|server| server.is_at_rest())
        {
            return;
        }
        for _ in 0..self.random.random_range(0..3) {
            if self.wires.is_empty() {
                return;
            }
            let wire = self.random.random_range(0..self.wires.len());
            if let Ok(mut wire) = self.wires[wire].try_borrow_mut() {
                let under_way = wire.under_way();
                if under_way > 0 {
                    let max = self.random.random_range(1..=under_way);
                    wire.deliver(max);
                }
            }
        }
    }
}
