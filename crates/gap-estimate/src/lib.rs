//! Bounds on the log evidence, each with a standard error and a side.
