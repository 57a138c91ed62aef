//! JetStream's configurations, requests, replies, states and error table.
