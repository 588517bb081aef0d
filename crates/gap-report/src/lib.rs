//! From records to gaps, tables, figures and a page. Never sees a model.
