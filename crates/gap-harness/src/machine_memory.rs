//! The memory that this process may use, as Linux tells it.

use std::fs;
use std::path::Path;

/// The memory that this process may use, bytes: what the machine has, or less if a control group or a limit on
/// the address space allows less. `None` where this cannot be read, as on another system than Linux.
pub fn available_bytes() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let machine = meminfo_bytes(&meminfo, "MemTotal:");
    let group = least_limit_of_groups(&groups, Path::new("/sys/fs/cgroup"));
    let memory = machine.into_iter().chain(group).min();
    // Whether a control group may use swap space too is not asked, so that nothing is refused that could run.
    let swap = meminfo_bytes(&meminfo, "SwapTotal:").unwrap_or(0);
    let with_swap = memory.map(|memory| memory.saturating_add(swap));
    with_swap.into_iter().chain(address_space_limit()).min()
}

/// A line of `/proc/meminfo`, in bytes.
fn meminfo_bytes(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes.saturating_mul(1024))
}

/// The least memory that one of the control groups in `/proc/self/cgroup`, or a group around it, allows; `None`
/// if there is no limit. `root` is the folder in which control groups are mounted.
fn least_limit_of_groups(groups: &str, root: &Path) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
        // The first version has a folder for each controller, the second one folder for all.
        if controllers.is_empty() {
            least_limit_along(root, path, "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            least_limit_along(&root.join("memory"), path, "memory.limit_in_bytes")
        } else {
            None
        }
    });
    limits.min()
}

/// The least number in the files `name` of the folder `path` below `root`, and of the folders around it.
fn least_limit_along(root: &Path, path: &str, name: &str) -> Option<u64> {
    let folder = root.join(path);
    let around = folder.ancestors().take_while(|at| at.starts_with(root));
    // Without a limit a file holds the word `max`, or is not there.
    let limits = around.filter_map(|at| {
        let text = fs::read_to_string(at.join(name)).ok()?;
        text.trim().parse().ok()
    });
    limits.min()
}

/// The most bytes of address space that this process may have; `None` if there is no limit.
#[cfg(unix)]
fn address_space_limit() -> Option<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the pointer is to a structure of the kind that is written there.
    let status = unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) };
    (status == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

#[cfg(not(unix))]
fn address_space_limit() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_the_memory_of_its_meminfo() {
        let meminfo = "MemTotal:       24684084 kB\nMemFree: 1 kB\nSwapTotal:             12 kB\n";
        assert_eq!(meminfo_bytes(meminfo, "MemTotal:"), Some(24_684_084 * 1024));
        assert_eq!(meminfo_bytes(meminfo, "SwapTotal:"), Some(12 * 1024));
        assert_eq!(meminfo_bytes("", "MemTotal:"), None);
        assert_eq!(meminfo_bytes("MemTotal: many kB", "MemTotal:"), None);
    }

    #[test]
    fn of_control_groups_within_each_other_the_least_limit_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let limit = |groups: &str| least_limit_of_groups(groups, root.path());
        assert_eq!(limit("0::/user/job\n"), None);
        write("user/job/memory.max", "max\n");
        assert_eq!(limit("0::/user/job\n"), None);
        write("user/memory.max", "5000000\n");
        assert_eq!(limit("0::/user/job\n"), Some(5_000_000));
        write("user/job/memory.max", "4000000\n");
        assert_eq!(limit("0::/user/job\n"), Some(4_000_000));
        assert_eq!(limit("0::/user\n"), Some(5_000_000));
        // The first version, in a container that sees its own folder alone.
        write("memory/memory.limit_in_bytes", "3000000\n");
        assert_eq!(
            limit("4:memory:/of/the/host\n3:cpu,cpuacct:/\n0::/\n"),
            Some(3_000_000)
        );
    }

    #[test]
    fn this_process_may_use_some_memory() {
        if cfg!(target_os = "linux") {
            assert!(available_bytes().unwrap() > 100_000_000);
        }
    }
}
