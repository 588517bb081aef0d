//! Arrays of observations with identity: datapoint ids, names, checksums.
