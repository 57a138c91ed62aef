//! The nats-server configuration language, its options, the command line, and what a reload may change.
