//! What a folder of results accepts, keeps, mends and refuses.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use gap_store::published::{self, Files, Publication, Published};
use gap_store::{StageOutput, StageState, Store, StoreError, status};
use serde_json::{Map, Value};
use std::fs;
use std::path::Path;

fn open(folder: &Path) -> Store {
    Store::open(folder, "small").unwrap().0
}

fn publication(plan: &str, files: &[(&str, &str)], is_same: bool) -> Publication {
    let files = files.iter();
    Publication {
        files: files
            .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
            .collect(),
        manifest: Map::from_iter([("plan".to_owned(), Value::from(plan))]),
        is_same,
        ..Publication::default()
    }
}

fn files_of_stage() -> Files {
    let output = StageOutput::default();
    output.add("note", "a note");
    output.into_files()
}

fn faults(folder: &Path) -> Vec<String> {
    match published::read(folder) {
        Published::WithDigests { faults, .. } => faults.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_folder_with_files_of_others_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("summary.json"), "mine").unwrap();
    let error = Store::open(folder.path(), "small").unwrap_err();
    assert!(matches!(&error, StoreError::Foreign { file, .. } if file == "summary.json"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    // Hidden files, such as those that a file manager makes, are nobody's results.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".DS_Store"), "").unwrap();
    open(folder.path());
}

#[cfg(unix)]
#[test]
fn nothing_is_written_or_deleted_through_a_link() {
    for name in [".stages", "figures", "earlier", ".stages/claims"] {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let results = folder.path().join("results");
        drop(open(&results));
        let link = results.join(name);
        if link.exists() {
            fs::remove_dir_all(&link).unwrap();
        }
        let kept = elsewhere.path().join("model-1");
        fs::create_dir(&kept).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), &link).unwrap();
        let error = Store::open(&results, "small").unwrap_err();
        assert!(matches!(error, StoreError::Link { .. }), "{name}: {error}");
        assert!(kept.is_dir(), "{name}");
    }
    // The folder of results itself may lie on another disk.
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let results = folder.path().join("results");
    std::os::unix::fs::symlink(elsewhere.path(), &results).unwrap();
    open(&results);
    published::publish(
        &results,
        &publication("p", &[("a", "1"), ("figures/b", "2")], false),
    )
    .unwrap();
    assert_eq!(faults(&results), [""; 0]);
}

#[test]
fn what_killed_runs_left_is_removed_unless_another_run_is_at_work() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    let leftovers = [
        ".stages/model-1.partial",
        ".publishing",
        "earlier/.partial",
        ".stages/claims/model-1",
    ];
    for name in leftovers {
        fs::create_dir_all(folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join(".amortgap-x.png"), "half").unwrap();
    let exists = || leftovers.map(|name| folder.path().join(name).exists());
    drop(open(folder.path()));
    assert_eq!(exists(), [true; 4]);
    drop(first);
    open(folder.path());
    assert_eq!(exists(), [false; 4]);
    assert!(!folder.path().join(".amortgap-x.png").exists());
}

#[test]
fn a_damaged_name_of_the_owner_is_mended_and_another_owner_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let owner = folder.path().join(".stages/experiment");
    for damage in [
        "",
        "{}",
        "\u{0}\u{1}",
        "{\"experiment\": \"small\", \"digest\": \"1\"}",
    ] {
        fs::write(&owner, damage).unwrap();
        let (_, notices) = Store::open(folder.path(), "small").unwrap();
        let [notice] = &notices[..] else {
            panic!("{damage}: {notices:?}")
        };
        assert!(
            notice.contains("experiment: it ") && notice.ends_with("written again"),
            "{notice}"
        );
        assert_eq!(status(folder.path()).unwrap().experiment, "small");
    }
    let error = Store::open(folder.path(), "other").unwrap_err();
    assert!(matches!(error, StoreError::OtherExperiment { other, .. } if other == "small"));
}

#[test]
fn a_stage_is_whole_or_not_there_and_is_set_aside_when_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    assert_eq!(store.stages().state("model-1"), StageState::Missing);
    store.publish_stage("model-1", &files_of_stage()).unwrap();
    assert_eq!(store.stages().state("model-1"), StageState::Finished);
    assert_eq!(
        store.stages().read_file("model-1", "note").unwrap(),
        b"a note"
    );

    // The files of one stage in the folder of another, manifest and all.
    store.publish_stage("model-2", &files_of_stage()).unwrap();
    let [from, to] = ["model-1", "model-2"].map(|stage| {
        folder
            .path()
            .join(".stages")
            .join(stage)
            .join("manifest.json")
    });
    fs::copy(from, to).unwrap();
    assert!(matches!(
        store.stages().state("model-2"),
        StageState::Damaged(_)
    ));
    let error = store.stages().read_file("model-2", "note").unwrap_err();
    assert!(
        error.to_string().contains("it is the manifest of model-1"),
        "{error}"
    );
    let first = store.set_stage_aside("model-2").unwrap();
    store.publish_stage("model-2", &files_of_stage()).unwrap();
    fs::write(folder.path().join(".stages/model-2/note"), "").unwrap();
    let second = store.set_stage_aside("model-2").unwrap();
    assert!(first != second && first.is_dir() && second.is_dir());
    assert_eq!(store.stages().state("model-2"), StageState::Missing);
    let (removed, bytes) = store.remove_stages(|stage| stage == "model-1").unwrap();
    assert!(removed.is_empty() && bytes > 0 && !first.exists());
}

#[test]
fn results_of_another_plan_are_kept_and_those_of_the_same_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let publish = |plan: &str, files: &[(&str, &str)], is_same| {
        published::publish(folder.path(), &publication(plan, files, is_same)).unwrap()
    };
    let text = |name: &Path| fs::read_to_string(name).unwrap();
    assert_eq!(
        publish(
            "p1",
            &[("summary.json", "1"), ("figures/a.svg", "a")],
            false
        ),
        None
    );
    assert_eq!(
        publish("p1", &[("summary.json", "2"), ("figures/a.svg", "a")], true),
        None
    );
    let earlier = publish("p2", &[("summary.json", "3")], false).unwrap();
    assert!(
        earlier.to_string_lossy().ends_with("-p1"),
        "{}",
        earlier.display()
    );
    assert_eq!(text(&earlier.join("summary.json")), "2");
    assert_eq!(text(&earlier.join("figures/a.svg")), "a");
    assert_eq!(faults(&earlier), [""; 0]);
    assert!(!folder.path().join("figures/a.svg").exists());
    assert_eq!(faults(folder.path()), [""; 0]);

    // A file that somebody has edited since is kept too.
    fs::write(folder.path().join("summary.json"), "edited").unwrap();
    assert_eq!(faults(folder.path()).len(), 1);
    let edited = publish("p2", &[("summary.json", "3")], true).unwrap();
    assert_eq!(text(&edited.join("summary.json")), "edited");
    assert_eq!(text(&folder.path().join("summary.json")), "3");

    // Files that stay as they are remain in the manifest.
    let Published::WithDigests { files, .. } = published::read(folder.path()) else {
        panic!("it is published")
    };
    let report = Publication {
        unchanged: files,
        ..publication("p2", &[("report.html", "page")], true)
    };
    assert_eq!(published::publish(folder.path(), &report).unwrap(), None);
    fs::write(folder.path().join("summary.json"), "").unwrap();
    assert_eq!(faults(folder.path()).len(), 1);
}

#[test]
fn a_changed_manifest_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    published::publish(folder.path(), &publication("p", &[("a", "1")], false)).unwrap();
    let path = folder.path().join("provenance.json");
    let whole = fs::read_to_string(&path).unwrap();
    for damaged in [
        whole.replace("\"plan\": \"p\"", "\"plan\": \"q\""),
        whole.replace("\"bytes\": 1", "\"bytes\": 2"),
        whole.replace("\"digest\"", "\"digests\""),
        whole[..whole.len() / 2].to_owned(),
        String::new(),
    ] {
        fs::write(&path, &damaged).unwrap();
        let read = published::read(folder.path());
        assert!(
            matches!(read, Published::DamagedManifest(_)),
            "{damaged}: {read:?}"
        );
    }
}
