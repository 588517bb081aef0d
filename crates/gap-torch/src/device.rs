//! Chooses the device and the number of threads, and waits for the device where its work is timed.

use std::str::FromStr;
use tch::{Cuda, Device};

/// The reason why a requested device cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// There is no device of this name.
    #[error("unknown device `{0}`; use `cpu` or `cuda:N`")]
    Unknown(String),
    /// This machine has no such GPU, or its libtorch does not support CUDA.
    #[error(
        "device `cuda:{index}` is not there: {reason}; use `--device cpu`, or a LIBTORCH with CUDA on a machine with a GPU"
    )]
    NoCuda {
        /// The GPU's index.
        index: usize,
        /// The part that is missing.
        reason: String,
    },
}

/// A device, as users name it: `cpu` or `cuda:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceName {
    /// The CPU.
    Cpu,
    /// The GPU with this index.
    Cuda(usize),
}

impl FromStr for DeviceName {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown(name.to_owned());
        match name.split_once(':') {
            None if name == "cpu" => Ok(Self::Cpu),
            None if name == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", index)) => index.parse().map(Self::Cuda).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }
}

impl std::fmt::Display for DeviceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl DeviceName {
    /// Returns the device if this machine has it.
    ///
    /// # Errors
    ///
    /// [`DeviceError::NoCuda`] if libtorch has no CUDA library, or finds no GPU with this index.
    pub fn to_available_device(self) -> Result<Device, DeviceError> {
        let Self::Cuda(index) = self else {
            return Ok(Device::Cpu);
        };
        let absent = |reason: String| DeviceError::NoCuda { index, reason };
        load_cuda_library().map_err(&absent)?;
        let count = usize::try_from(Cuda::device_count()).unwrap_or(0);
        if !Cuda::is_available() || index >= count {
            return Err(absent(format!("libtorch sees {count} GPUs")));
        }
        Ok(Device::Cuda(index))
    }
}

/// Loads libtorch's CUDA library. The linker leaves it out of executables that use none of its symbols
/// directly.
#[cfg(target_os = "linux")]
fn load_cuda_library() -> Result<(), String> {
    // SAFETY: loading the library runs its initialisers, exactly as linking with it would.
    let handle = unsafe {
        libc::dlopen(
            c"libtorch_cuda.so".as_ptr(),
            libc::RTLD_NOW | libc::RTLD_GLOBAL,
        )
    };
    if handle.is_null() {
        return Err(
            "this libtorch has no CUDA part (libtorch_cuda.so cannot be loaded)".to_owned(),
        );
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn load_cuda_library() -> Result<(), String> {
    Ok(())
}

/// Limits each libtorch operation to one thread, for the whole process. Call it once, before any work.
///
/// Independent tasks run in parallel instead. For small networks that scales better, and the order of a sum,
/// and hence its last bits, cannot depend on the number of threads.
#[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
pub fn set_one_thread_per_operation() {
    tch::set_num_threads(1);
}

/// Waits until `device` has finished all its work, so that a time measurement includes that work.
pub fn synchronize(device: Device) {
    if let Device::Cuda(index) = device {
        Cuda::synchronize(index as i64);
    }
}

/// The version of libtorch that tch requires; tch's build script rejects any other.
pub const LIBTORCH_VERSION: &str = "2.11.0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names_are_read_and_written_alike() {
        for name in ["cpu", "cuda:0", "cuda:3"] {
            assert_eq!(name.parse::<DeviceName>().unwrap().to_string(), name);
        }
        for name in ["gpu", "cuda:x", "", "cuda:-1"] {
            assert!(name.parse::<DeviceName>().is_err(), "{name}");
        }
    }
}
