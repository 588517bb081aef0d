//! The program, the machine and the data that results were made with.

use crate::stage_id::Environment;
use gap_model::Backend;
use gap_torch::device::{DeviceName, LIBTORCH_VERSION};
use gap_torch::math_library::detect_mkl_path;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The program, the machine and the data that results were made with; written to `provenance.json` and to the
/// footer of the records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The program's version.
    pub amortgap: String,
    /// The commit that it was built from.
    pub commit: String,
    /// Whether the source differed from that commit: `true`, `false` or `unknown`.
    pub dirty: String,
    /// A digest of the source files whose code can change a result (listed in `build.rs`).
    pub source: String,
    /// The version of libtorch.
    pub libtorch: String,
    /// The code path of libtorch's math library: `switched`, `stock` or `not-exported` (see
    /// [`detect_mkl_path`]).
    pub math: String,
    /// The instruction set of the fused kernels, with `+bf16` if they can multiply 16-bit numbers; `off` if
    /// libtorch computes instead.
    #[serde(default)]
    pub kernels: String,
    /// The processor.
    pub cpu: String,
    /// The number of processors that this process may use.
    pub cores: usize,
    /// The device.
    pub device: String,
    /// The number of stages that run in parallel.
    pub jobs: usize,
    /// The number of threads of one libtorch operation.
    pub threads_per_operation: usize,
    /// The operating system and the processor's architecture.
    pub platform: String,
    /// All seeds that some variant uses.
    pub seeds: Vec<u32>,
    /// A digest of the observations; `None` for synthetic ones, and for an experiment with variants, whose
    /// digests are in `variants`.
    pub data_digest: Option<String>,
    /// A digest of all plans.
    pub plan: String,
    /// The seeds, data and plan of each variant that was run; empty for an experiment without variants.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variants: BTreeMap<String, VariantProvenance>,
    /// The digests of stored models that were taken in place of fits, by the settings of the fits; those of an
    /// experiment with variants are in `variants`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stored_models: BTreeMap<String, String>,
    /// Variants that were left out, because no folder with their data was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped_variants: Vec<String>,
}

/// The seeds, data and plan of one variant of an experiment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariantProvenance {
    /// The seeds.
    pub seeds: Vec<u32>,
    /// A digest of the observations; `None` for synthetic ones.
    pub data_digest: Option<String>,
    /// A digest of the plan.
    pub plan: String,
    /// As in [`Provenance`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stored_models: BTreeMap<String, String>,
}

impl Provenance {
    /// The program and the machine of this process; seeds, data and plan are left empty.
    pub fn of_this_process(device: DeviceName, jobs: usize) -> Self {
        Self {
            amortgap: env!("CARGO_PKG_VERSION").to_owned(),
            commit: env!("AMORTGAP_COMMIT").to_owned(),
            dirty: env!("AMORTGAP_DIRTY").to_owned(),
            source: env!("AMORTGAP_SOURCE_DIGEST").to_owned(),
            libtorch: LIBTORCH_VERSION.to_owned(),
            math: detect_mkl_path().to_string(),
            kernels: kernel_path(),
            cpu: cpu_model(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            device: device.to_string(),
            jobs,
            threads_per_operation: 1,
            platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
            seeds: Vec::new(),
            data_digest: None,
            plan: String::new(),
            variants: BTreeMap::new(),
            stored_models: BTreeMap::new(),
            skipped_variants: Vec::new(),
        }
    }

    /// The entries, for `provenance.json`.
    ///
    /// # Panics
    ///
    /// Never: provenance is plain data.
    pub fn to_map(&self) -> serde_json::Map<String, serde_json::Value> {
        match serde_json::to_value(self).expect("provenance is plain data") {
            serde_json::Value::Object(entries) => entries,
            _ => unreachable!("a struct is written as an object"),
        }
    }

    /// The part of the provenance that numbers may depend on, which goes into the names of stages.
    pub fn environment(&self) -> Environment {
        Environment {
            source: self.source.clone(),
            device: self.device.clone(),
            math: self.math.clone(),
            kernels: self.kernels.clone(),
        }
    }
}

fn kernel_path() -> String {
    Backend::default().arithmetic_label()
}

fn cpu_model() -> String {
    std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        })
        .unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}
