//! Tests of the summaries, tables, figures and files that are made from records and trace points.

mod ascent_files;
mod ascents;
mod by_hand;
mod calibration;
mod evidence;
mod evidence_files;
mod files;
mod gap_laws;
mod methods;
mod nesting;
mod optima;
mod pairing;
mod readings;
mod report_files;
mod sandwich;
mod synthetic;
mod traces;
mod variants;
