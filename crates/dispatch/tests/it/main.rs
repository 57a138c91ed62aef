//! Consumers as their rules describe them (scenarios), and as nobody foresaw (a model).

mod acks;
mod inactivity;
mod model;
mod priority;
mod pull;
mod push;
mod recovery;
mod removal;
mod start;
mod world;
