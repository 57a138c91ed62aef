//! Credentials and permissions.
