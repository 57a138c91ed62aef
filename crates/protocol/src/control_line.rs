//! Splitting of control lines.
