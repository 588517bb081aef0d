//! `amortgap models`: saves the fitted models of a run in a folder, from which other runs take them.

use super::arguments::ModelsArguments;
use crate::CommandResult;
use crate::console;
use crate::exit::Failure;
use gap_harness::stored_models::{MODEL_FILES, ModelFiles, SETTINGS_FILE, folder_name};
use gap_store::StagesFolder;
use std::fs;
use std::path::Path;

/// The first part of the names of stages that make models.
const MODEL_STAGES: &str = "model-";

/// Copies the files of all fitted models of a run.
pub fn save_models(arguments: &ModelsArguments) -> CommandResult {
    let stages = StagesFolder::in_results(&arguments.folder);
    let names = stages.names().map_err(Failure::from_input_error)?;
    let mut n_saved = 0;
    for stage in names.iter().filter(|name| name.starts_with(MODEL_STAGES)) {
        let files = stages.files(stage);
        let mut files: ModelFiles = files.map_err(|fault| {
            Failure::Input(format!(
                "{fault}; run the experiment again, which makes it anew"
            ))
        })?;
        files.retain(|name, _| MODEL_FILES.contains(&name.as_str()));
        if files.contains_key(SETTINGS_FILE) {
            save(&files, &arguments.out.join(folder_name(&files)))?;
            n_saved += 1;
        }
    }
    if n_saved == 0 {
        return Err(Failure::Input(format!(
            "{}: there is no finished model that was fitted here; run the experiment first",
            arguments.folder.display()
        )));
    }
    let out = arguments.out.display();
    Ok(console::print_line(format_args!(
        "{n_saved} models are in {out}; `amortgap run SPEC --models {out}` takes them in place of fits"
    ))?)
}

fn save(files: &ModelFiles, folder: &Path) -> CommandResult {
    let failed =
        |path: &Path, error: &std::io::Error| Failure::Run(format!("{}: {error}", path.display()));
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    for (name, content) in files {
        let path = folder.join(name);
        fs::write(&path, content).map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}
