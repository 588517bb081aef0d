//! What the tests with generated input share, in this crate and in others: damaged bytes, and a process whose
//! memory is limited.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use proptest::sample::Index;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A change of one place in a file.
#[derive(Clone, Debug)]
pub enum Damage {
    /// These bytes are written over those from here on.
    Overwrite(Index, Vec<u8>),
    /// These bytes come between.
    Insert(Index, Vec<u8>),
    /// Up to so many bytes are gone.
    Remove(Index, usize),
    /// Up to so many bytes come once more.
    Repeat(Index, usize),
    /// The file ends here.
    Cut(Index),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: &Index| at.index(bytes.len() + 1);
        match self {
            Self::Overwrite(at, new) => {
                let at = place(at);
                for (byte, new) in bytes[at..].iter_mut().zip(new) {
                    *byte = *new;
                }
            }
            Self::Insert(at, new) => {
                let at = place(at);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Remove(at, n) => {
                let at = place(at);
                bytes.drain(at..bytes.len().min(at + n));
            }
            Self::Repeat(at, n) => {
                let at = place(at);
                let again = bytes[at..bytes.len().min(at + n)].to_vec();
                bytes.splice(at..at, again);
            }
            Self::Cut(at) => {
                let at = place(at);
                bytes.truncate(at);
            }
        }
    }
}

/// Bytes that a damage writes: any, the largest numbers of several sizes, or nothing but zeros.
fn written() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 1..4),
        2 => (1..10_usize).prop_map(|n| vec![0xff; n]),
        1 => (1..10_usize).prop_map(|n| vec![0; n]),
        // The largest positive numbers of 32 and 64 bits, and as a variable-length number with a sign.
        1 => Just(vec![0xff, 0xff, 0xff, 0x7f]),
        1 => Just(vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        1 => Just(vec![0xfe, 0xff, 0xff, 0xff, 0x0f]),
    ]
}

/// Up to three damages, most often one.
pub fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let damage = prop_oneof![
        6 => (any::<Index>(), written()).prop_map(|(at, new)| Damage::Overwrite(at, new)),
        2 => (any::<Index>(), written()).prop_map(|(at, new)| Damage::Insert(at, new)),
        1 => (any::<Index>(), 1..20_usize).prop_map(|(at, n)| Damage::Remove(at, n)),
        1 => (any::<Index>(), 1..200_usize).prop_map(|(at, n)| Damage::Repeat(at, n)),
        1 => any::<Index>().prop_map(Damage::Cut),
    ];
    prop_oneof![
        2 => prop::collection::vec(damage.clone(), 1),
        1 => prop::collection::vec(damage, 2..4),
    ]
}

/// `bytes` with all of `damages`, one after the other.
pub fn damaged(bytes: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for damage in damages {
        damage.apply(&mut bytes);
    }
    bytes
}

/// A file that is written again for each case, in place: some file systems take milliseconds for a new one.
pub struct ScratchFile {
    path: PathBuf,
    file: fs::File,
    _folder: TempDir,
}

impl ScratchFile {
    /// A file of this name, in a folder of its own.
    pub fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        Self {
            file: fs::File::create(&path).unwrap(),
            path,
            _folder: folder,
        }
    }

    /// The path of the file, which has these bytes now.
    pub fn with(&self, bytes: &[u8]) -> &Path {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0)).unwrap();
        file.write_all(bytes).unwrap();
        file.set_len(bytes.len() as u64).unwrap();
        &self.path
    }
}

/// So many cases, without a file of those that failed: a test in a child process reports its case to the
/// parent.
pub fn cases(n: u32) -> ProptestConfig {
    ProptestConfig {
        cases: n,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Runs the ignored tests `names` of this binary in a process of its own, which can allocate `MEMORY_MIB` in
/// all.
///
/// A process that asks for more is aborted, and the test fails. Thus no header decides how much is allocated.
#[track_caller]
pub fn pass_in_limited_memory(names: &[&str]) {
    let binary = std::env::current_exe().unwrap();
    let mut child = if cfg!(target_os = "linux") {
        let mut shell = Command::new("sh");
        let limit = format!(
            "ulimit -v {} && exec \"$0\" \"$@\"",
            own_kib() + 1024 * MEMORY_MIB
        );
        shell.args(["-c", &limit]).arg(binary);
        shell
    } else {
        Command::new(binary)
    };
    child
        .args(["--exact", "--ignored", "--test-threads=1"])
        .args(names)
        .env("POLARS_MAX_THREADS", "1")
        .env("OMP_NUM_THREADS", "1");
    let output = child.output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    assert!(output.status.success(), "{}\n{printed}", output.status);
    let passed = format!("test result: ok. {} passed", names.len());
    assert!(printed.contains(&passed), "{printed}");
}

/// More than any valid input of these tests needs, and less than a claim of 2³¹ bytes.
const MEMORY_MIB: u64 = 768;

/// The address space of this process, KiB: the child needs as much for its libraries.
fn own_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmPeak:"));
    let size = line.unwrap().split_whitespace().nth(1);
    size.unwrap().parse().unwrap()
}
