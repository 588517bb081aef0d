//! What a folder of results accepts, keeps, mends and refuses.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use gap_store::published::{self, Extent, Files, Kept, Publication, Published, WhyKept};
use gap_store::{
    FileDigest, FileDigests, StageOutput, StageState, Store, StoreError, seal, status,
};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn open(folder: &Path) -> Store {
    Store::open(folder, "small").unwrap().0
}

/// Publishes files of the results of `plan`, which replace those of the same plan.
fn try_publish(
    folder: &Path,
    plan: &str,
    files: &[(&str, &str)],
    extent: Extent,
) -> Result<Vec<Kept>, StoreError> {
    let plan = Value::from(plan);
    let contents = files.iter();
    let publication = Publication {
        files: contents
            .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
            .collect(),
        manifest: Map::from_iter([
            ("amortgap".to_owned(), Value::from("1")),
            ("plan".to_owned(), plan.clone()),
        ]),
        is_same: &|manifest, _| manifest.get("plan") == Some(&plan),
        extent,
    };
    published::publish(folder, &publication)
}

/// Publishes all files of the results of `plan`, and returns what was kept.
fn publish(folder: &Path, plan: &str, files: &[(&str, &str)]) -> Vec<Kept> {
    try_publish(folder, plan, files, Extent::Whole).unwrap()
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

#[test]
fn a_folder_that_looks_like_ours_and_is_not_is_refused_and_left_as_it_is() {
    type Maker = fn(&Path);
    let foreign: [(&str, Maker); 4] = [
        ("a manifest of another program", |folder| {
            fs::write(folder.join("provenance.json"), r#"{"who": "mine"}"#).unwrap();
        }),
        ("a manifest that nobody can read", |folder| {
            fs::write(folder.join("provenance.json"), b"\xff mine").unwrap();
        }),
        ("stages of another program", |folder| {
            fs::create_dir(folder.join(".stages")).unwrap();
            fs::write(folder.join(".stages/one"), "mine").unwrap();
        }),
        ("a hidden folder", |folder| {
            fs::create_dir(folder.join(".publishing")).unwrap();
            fs::write(folder.join(".publishing/draft"), "mine").unwrap();
        }),
    ];
    for (what, make) in foreign {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path());
        fs::write(folder.path().join("report.html"), "mine").unwrap();
        fs::write(folder.path().join("x.partial"), "mine").unwrap();
        let before = contents(folder.path());
        for error in [
            Store::open(folder.path(), "small").unwrap_err(),
            try_publish(folder.path(), "a1", &[("report.html", "1")], Extent::Whole).unwrap_err(),
            try_publish(folder.path(), "a1", &[("report.html", "1")], Extent::Part).unwrap_err(),
        ] {
            assert!(
                matches!(
                    error,
                    StoreError::Foreign { .. } | StoreError::Unknown { .. }
                ),
                "{what}: {error}"
            );
        }
        assert_eq!(contents(folder.path()), before, "{what}");
    }
    // Hidden files alone are nobody's results, and stay.
    let folder = tempfile::tempdir().unwrap();
    foreign[3].1(folder.path());
    open(folder.path());
    assert!(folder.path().join(".publishing/draft").is_file());
}

/// Every file below `folder` with its content, and every folder and link.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap();
        if kind.is_dir() {
            found.extend(contents(&path));
        }
        let content = kind.is_file().then(|| fs::read(&path).unwrap());
        found.insert(path, content);
    }
    found
}

const RESULTS: [(&str, &str); 3] = [
    ("summary.json", "1"),
    ("figures/a.svg", "a"),
    ("report.html", "r"),
];

/// Every place that we write to or delete in, as a link, and what would be reached through it.
#[test]
fn nothing_is_written_or_deleted_through_a_link() {
    for name in [
        ".stages",
        ".stages/claims",
        ".stages/damaged",
        ".stages/scratch",
        "figures",
        "earlier",
        "report.html",
        "provenance.json",
        ".amortgap-publishing",
        ".amortgap-publishing.lock",
        ".amortgap-publishing.partial",
    ] {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let results = folder.path().join("results");
        drop(open(&results));
        publish(&results, "a1", &RESULTS);
        let link = results.join(name);
        let target = elsewhere.path().join("target");
        // What was there lies elsewhere now, as if somebody had moved it to another disk.
        if fs::rename(&link, &target).is_err() {
            fs::create_dir(&target).unwrap();
            fs::write(target.join("kept"), "mine").unwrap();
        }
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let before = contents(elsewhere.path());
        let others = [("summary.json", "2"), ("figures/b.svg", "b")];
        let opened = Store::open(&results, "small").map(drop);
        let published = [Extent::Whole, Extent::Part]
            .map(|extent| try_publish(&results, "b2", &others, extent).map(drop));
        assert_eq!(contents(elsewhere.path()), before, "{name}");
        // A draft is deleted, and so is the link in its place; stages are not needed to publish.
        if !name.ends_with(".partial") {
            assert!(
                matches!(opened, Err(StoreError::Link { .. })),
                "{name}: {opened:?}"
            );
            let is_refused =
                |result: &Result<(), StoreError>| matches!(result, Err(StoreError::Link { .. }));
            assert_eq!(
                published.iter().all(is_refused),
                !name.starts_with(".stages"),
                "{name}"
            );
        }
    }
    // The folder of results itself may lie on another disk.
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let results = folder.path().join("results");
    std::os::unix::fs::symlink(elsewhere.path(), &results).unwrap();
    open(&results);
    publish(&results, "a1", &RESULTS);
    assert_eq!(faults(&results), [""; 0]);
}

#[test]
fn what_is_in_place_of_a_file_or_a_folder_is_named() {
    type Maker = fn(&Path);
    let file: Maker = |path| fs::write(path, "mine").unwrap();
    let folder: Maker = |path| fs::create_dir(path).unwrap();
    let fifo: Maker = |path| {
        let made = std::process::Command::new("mkfifo").arg(path).status();
        assert!(made.unwrap().success());
    };
    for (name, make, message) in [
        (".stages", file, "is a file in place of a folder"),
        (".stages/claims", file, "is a file in place of a folder"),
        (".stages/damaged", file, "is a file in place of a folder"),
        ("figures", file, "is a file in place of a folder"),
        ("earlier", file, "is a file in place of a folder"),
        ("report.html", folder, "is a folder in place of a file"),
        ("provenance.json", folder, "is a folder in place of a file"),
        (
            "summary.json",
            fifo,
            "is a FIFO, a socket or a device in place of a file",
        ),
        (
            ".amortgap-publishing.lock",
            fifo,
            "is a FIFO, a socket or a device in place of a file",
        ),
        (
            ".amortgap-publishing",
            file,
            "is a file in place of a folder",
        ),
    ] {
        let results = tempfile::tempdir().unwrap();
        let path = results.path().join(name);
        drop(open(results.path()));
        publish(results.path(), "a1", &RESULTS);
        let _ = fs::remove_file(&path);
        let _ = fs::remove_dir_all(&path);
        make(&path);
        let error = Store::open(results.path(), "small").unwrap_err();
        assert!(error.is_about_folder(), "{name}: {error}");
        let expected = format!("{} {message}; move it away, ", path.display());
        assert!(error.to_string().starts_with(&expected), "{error}");
        if !name.starts_with(".stages") {
            let error = try_publish(results.path(), "b2", &RESULTS, Extent::Whole).unwrap_err();
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
        fs::remove_file(&path)
            .or_else(|_| fs::remove_dir(&path))
            .unwrap();
        drop(open(results.path()));
    }
}

#[test]
fn what_killed_runs_left_is_removed_unless_another_run_is_at_work() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    let leftovers = [
        ".stages/model-1.partial",
        ".stages/experiment.new",
        ".stages/claims/model-1",
    ];
    for name in leftovers {
        fs::create_dir_all(folder.path().join(name)).unwrap();
    }
    // Names that only resemble ours.
    for name in ["notes.partial", ".notes.new"] {
        fs::write(folder.path().join(name), "mine").unwrap();
    }
    let exists = || leftovers.map(|name| folder.path().join(name).exists());
    drop(open(folder.path()));
    assert_eq!(exists(), [true; 3]);
    drop(first);
    open(folder.path());
    assert_eq!(exists(), [false; 3]);
    assert!(folder.path().join("notes.partial").is_file());
    assert!(folder.path().join(".notes.new").is_file());
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
    let folder = folder.path();
    let text = |name: &Path| fs::read_to_string(name).unwrap();
    let figure = ("figures/a.svg", "a");
    assert_eq!(publish(folder, "a1", &[("summary.json", "1"), figure]), []);
    assert_eq!(publish(folder, "a1", &[("summary.json", "2"), figure]), []);
    let [Kept { place, why }] = &publish(folder, "b2", &[("summary.json", "3")])[..] else {
        panic!("one folder is kept")
    };
    assert_eq!(*why, WhyKept::OtherResults);
    assert!(
        place.to_string_lossy().ends_with("-a1"),
        "{}",
        place.display()
    );
    assert_eq!(text(&place.join("summary.json")), "2");
    assert_eq!(text(&place.join("figures/a.svg")), "a");
    assert_eq!(faults(place), [""; 0]);
    assert!(!folder.join("figures/a.svg").exists());
    assert_eq!(faults(folder), [""; 0]);

    // A file that somebody has edited since is kept too.
    fs::write(folder.join("summary.json"), "edited").unwrap();
    assert_eq!(faults(folder).len(), 1);
    let [edited] = &publish(folder, "b2", &[("summary.json", "3")])[..] else {
        panic!("one folder is kept")
    };
    assert_eq!(edited.why, WhyKept::Changed);
    assert_eq!(text(&edited.place.join("summary.json")), "edited");
    assert_eq!(text(&folder.join("summary.json")), "3");

    // A report leaves the other files of its results, and their digests, as they are.
    fs::write(folder.join("summary.json"), "").unwrap();
    let addition = || Extent::Addition {
        without_digests: FileDigests::default(),
    };
    let report = [("report.html", "page")];
    assert_eq!(try_publish(folder, "b2", &report, addition()).unwrap(), []);
    assert_eq!(faults(folder).len(), 1);
    assert_eq!(publish(folder, "b2", &[("summary.json", "3")]), []);
    assert_eq!(text(&folder.join("report.html")), "page");
    assert_eq!(faults(folder), [""; 0]);

    // Other results may have been published since those were read that the report shows.
    let error = try_publish(folder, "a1", &report, addition()).unwrap_err();
    assert!(matches!(error, StoreError::Superseded { .. }), "{error}");
    assert_eq!(text(&folder.join("summary.json")), "3");
}

#[test]
fn part_of_other_results_replaces_nothing_without_keeping_it() {
    let folder = tempfile::tempdir().unwrap();
    publish(folder.path(), "a1", &RESULTS);
    let report = [("report.html", "of another run"), ("notes", "new")];
    let kept = try_publish(folder.path(), "b2", &report, Extent::Part).unwrap();
    for (name, text) in RESULTS {
        let place = kept[0].place.join(name);
        assert_eq!(fs::read_to_string(place).unwrap(), text, "{name}");
    }
    // A file of the user's that has the name of a new one.
    fs::write(folder.path().join("summary.json"), "mine").unwrap();
    let kept = try_publish(folder.path(), "b2", &RESULTS, Extent::Part).unwrap();
    let mine = fs::read_to_string(kept[0].place.join("summary.json"));
    assert_eq!(
        (kept[0].why, mine.unwrap().as_str()),
        (WhyKept::Changed, "mine")
    );
    assert!(
        folder.path().join("notes").is_file(),
        "it is of the same results"
    );
    // Results without digests: nothing tells which files are as they were published.
    fs::write(
        folder.path().join("provenance.json"),
        r#"{"amortgap": "0", "plan": "b2"}"#,
    )
    .unwrap();
    fs::write(folder.path().join("summary.json"), "mine").unwrap();
    let kept = try_publish(folder.path(), "b2", &RESULTS, Extent::Part).unwrap();
    let mine = fs::read_to_string(kept[0].place.join("summary.json"));
    assert_eq!(mine.unwrap(), "mine");
}

/// Two processes that publish at the same time, each other results: each is kept or published in the end.
#[test]
fn results_that_are_published_at_the_same_time_are_all_there_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let plans = ["a1", "b2", "c3", "d4"];
    std::thread::scope(|scope| {
        for plan in plans {
            let folder = folder.path();
            scope.spawn(move || {
                for _ in 0..5 {
                    publish(folder, plan, &[("summary.json", plan)]);
                }
            });
        }
    });
    let earlier = fs::read_dir(folder.path().join("earlier")).unwrap();
    let mut folders: Vec<PathBuf> = earlier.map(|entry| entry.unwrap().path()).collect();
    folders.push(folder.path().to_owned());
    let summary = |folder: &PathBuf| {
        assert_eq!(faults(folder), [""; 0]);
        fs::read_to_string(folder.join("summary.json")).unwrap()
    };
    let found: BTreeSet<String> = folders.iter().map(summary).collect();
    assert_eq!(found, BTreeSet::from(plans.map(str::to_owned)));
}

/// Manifests whose digest is right, and that name files elsewhere.
#[test]
fn a_manifest_that_names_files_elsewhere_reaches_none_of_them() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "mine").unwrap();
    let results = outside.path().join("results");
    drop(open(&results));
    let names = [
        "../victim",
        victim.to_str().unwrap(),
        "figures/../../victim",
        ".stages/experiment",
        "earlier/x",
        "provenance.json",
        ".amortgap-publishing.lock",
    ];
    for name in names {
        fs::create_dir_all(results.join("earlier")).unwrap();
        fs::write(results.join("earlier/x"), "mine").unwrap();
        let digest = FileDigest::of(b"mine");
        let manifest = json!({"amortgap": "1", "plan": "../../../evil", "files": {name: digest}});
        fs::write(results.join("provenance.json"), seal(&manifest)).unwrap();
        let read = published::read(&results);
        assert!(
            matches!(read, Published::DamagedManifest(_)),
            "{name}: {read:?}"
        );
        drop(open(&results));
        let kept = publish(&results, "a1", &RESULTS);
        let all = results.join("earlier");
        assert!(
            kept.iter().all(|kept| kept.place.parent() == Some(&all)),
            "{kept:?}"
        );
        for path in [&victim, &results.join("earlier/x")] {
            assert_eq!(fs::read_to_string(path).unwrap(), "mine", "{name}");
        }
        assert_eq!(status(&results).unwrap().experiment, "small");
        assert_eq!(faults(&results), [""; 0]);
    }
    // The plan becomes a part of the name of a folder.
    for plan in ["../../evil", "/evil", "a/b", "", "évil", &"a".repeat(300)] {
        let manifest = json!({"amortgap": "1", "plan": plan, "files": {}});
        fs::write(results.join("provenance.json"), seal(&manifest)).unwrap();
        let kept = publish(&results, "a1", &[("summary.json", plan)]);
        let name = kept[0].place.file_name().unwrap().to_string_lossy();
        assert!(
            name.ends_with("-changed") || name.contains("-changed-"),
            "{name}"
        );
        assert_eq!(kept[0].place.parent(), Some(&*results.join("earlier")));
    }
    // The manifest of a stage.
    let store = open(&results);
    store.publish_stage("model-1", &files_of_stage()).unwrap();
    for name in ["../../../victim", victim.to_str().unwrap()] {
        let manifest = json!({"stage": "model-1", "files": {name: FileDigest::of(b"mine")}});
        let path = results.join(".stages/model-1/manifest.json");
        fs::write(path, seal(&manifest)).unwrap();
        let state = store.stages().state("model-1");
        assert!(matches!(state, StageState::Damaged(_)), "{name}");
        assert!(store.stages().read_file("model-1", name).is_err(), "{name}");
    }
    // Our own publications have names of files in the folder.
    let error = try_publish(&results, "a1", &[("../victim", "1")], Extent::Whole).unwrap_err();
    assert!(matches!(error, StoreError::Name { .. }), "{error}");
}

/// A publication that looks interrupted, and whose steps lead elsewhere.
#[test]
fn an_interrupted_publication_that_leads_elsewhere_is_not_finished() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "mine").unwrap();
    let results = outside.path().join("results");
    drop(open(&results));
    publish(&results, "a1", &RESULTS);
    let decided = results.join(".amortgap-publishing");
    for steps in [
        json!({"kept": null, "removed": ["../victim"]}),
        json!({"kept": null, "removed": [victim.to_str().unwrap()]}),
        json!({"kept": ["../../x", "Changed"], "removed": []}),
    ] {
        fs::create_dir_all(decided.join("files")).unwrap();
        fs::create_dir_all(decided.join("earlier")).unwrap();
        let manifest = seal(&json!({"amortgap": "1", "plan": "b2", "files": {}}));
        fs::write(decided.join("files/provenance.json"), manifest).unwrap();
        fs::write(decided.join("steps.json"), seal(&steps)).unwrap();
        let opened = Store::open(&results, "small").map(drop);
        assert!(
            victim.is_file() && !outside.path().join("x").exists(),
            "{opened:?}"
        );
        let _ = fs::remove_dir_all(&decided);
    }
    // A staged folder that is a link to elsewhere.
    let elsewhere = outside.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(
        elsewhere.join("provenance.json"),
        seal(&json!({"amortgap": "1", "files": {}})),
    )
    .unwrap();
    fs::create_dir(&decided).unwrap();
    fs::write(
        decided.join("steps.json"),
        seal(&json!({"kept": null, "removed": []})),
    )
    .unwrap();
    std::os::unix::fs::symlink(&elsewhere, decided.join("files")).unwrap();
    let error = Store::open(&results, "small").unwrap_err();
    assert!(matches!(error, StoreError::Link { .. }), "{error}");
    assert!(elsewhere.join("provenance.json").is_file());
}

#[test]
fn a_changed_manifest_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    publish(folder.path(), "a1", &[("a", "1")]);
    let path = folder.path().join("provenance.json");
    let whole = fs::read_to_string(&path).unwrap();
    for damaged in [
        whole.replace("\"plan\": \"a1\"", "\"plan\": \"b2\""),
        whole.replace("\"bytes\": 1", "\"bytes\": 2"),
        whole.replace("\"digest\"", "\"digests\""),
        seal(&json!({"stage": "model-1", "files": {}})),
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
