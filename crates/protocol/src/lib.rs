//! The NATS wire protocol: operations, headers, subjects and their matching, without IO.
