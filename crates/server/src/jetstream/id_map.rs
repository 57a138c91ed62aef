//! Tables by numbers that the server itself gives out.

use foldhash::fast::FixedState;

/// A table whose order depends on nothing but what was done to it: nobody can choose the keys, so they need no secret. One run is then like another.
pub(super) type IdMap<K, V> = hashbrown::HashMap<K, V, FixedState>;
