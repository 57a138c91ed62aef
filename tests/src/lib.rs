//! What the scenario tests in `tests/` and the programs in `src/bin/` share.

pub mod certificates;
pub mod crash;
pub mod damage;
pub mod histories;
pub mod jetstream;
pub mod observed;
pub mod small_disk;
pub mod soak;
