//! The consumer-group dispatcher: JetStream consumers as pure state machines.
