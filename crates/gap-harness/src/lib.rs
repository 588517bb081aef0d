//! From a checked spec to published results: plan, run, resume.
