//! Specs that contradict themselves: encoders, lists, models and data.

mod spec;

use spec::{DIGITS, joint, parsed, refused};

#[test]
fn encoders_that_cannot_be_built_or_told_apart_are_refused() {
    let start = DIGITS.find("[[encoders]]").unwrap();
    let end = DIGITS.find("[encoder_training]").unwrap();
    let none = DIGITS.replace(&DIGITS[start..end], "");
    let empty = none.replace("[data]", "encoders = []\n[data]");
    let message = "`encoders` is empty; add at least one [[encoders]] with `kind = \"linear\"` or `kind = \"mlp\"`, an [ascents.NAME] to compare, or a [calibration]";
    assert_eq!(
        parsed(&none).unwrap_err(),
        format!("digits.toml:1:1: {message}")
    );
    assert_eq!(
        parsed(&empty).unwrap_err(),
        format!("digits.toml:6:12: {message}")
    );
    refused(&[
        (
            "hidden = [64]",
            "hidden = [16, 16]",
            "digits.toml:31:1: `encoders` has `mlp-16-16` twice; results could not tell them apart",
        ),
        (
            "hidden = [64]",
            "hidden = []",
            "digits.toml:36:10: `encoders[1].hidden` is empty; give at least one width, or use `kind = \"linear\"`",
        ),
        (
            "kind = \"mlp\"\nhidden = [64]",
            "kind = \"mlp\"",
            "digits.toml:34:1: `encoders[1]` is an `mlp` without `hidden`; give its widths, as in [64]",
        ),
        (
            "kind = \"linear\"",
            "kind = \"linear\"\nhidden = [3]",
            "digits.toml:33:10: `encoders[0].hidden` does not apply to `kind = \"linear\"`; remove it, or use `kind = \"mlp\"`",
        ),
    ]);
}

#[test]
fn encoders_need_their_sections() {
    refused(&[
        (
            "[encoder_training]\nsteps = 300\nbatch_size = 64\nlearning_rate = 0.001\nn_samples = 4\n",
            "",
            "digits.toml:31:1: `encoders` are to be fitted and measured; add `[encoder_training]`",
        ),
        (
            "[refinement]\nsteps = [1, 5, 20]\n",
            "",
            "digits.toml:31:1: `encoders` are to be fitted and measured; add `[refinement]`",
        ),
    ]);
}

#[test]
fn lists_that_make_no_sense_are_refused() {
    let rising =
        "digits.toml:55:9: `refinement.steps` must be rising numbers of steps, as in [1, 5, 20]";
    refused(&[
        ("steps = [1, 5, 20]", "steps = [1, 20, 5]", rising),
        ("steps = [1, 5, 20]", "steps = [1, 5, 5]", rising),
        ("steps = [1, 5, 20]", "steps = []", rising),
        (
            "seeds = [0, 1]",
            "seeds = []",
            "digits.toml:4:9: `seeds` is empty; give at least one seed, as in [0]",
        ),
        (
            "seeds = [0, 1]",
            "seeds = [0, 1, 0]",
            "digits.toml:4:9: `seeds` has 0 twice; each repetition needs a seed of its own",
        ),
        (
            "starts = [\"prior\", \"encoder\"]",
            "starts = []",
            "digits.toml:50:10: `free_form.starts` is empty; use [\"prior\"], [\"encoder\"] or both",
        ),
        (
            "starts = [\"prior\", \"encoder\"]",
            "random_starts = 1001",
            "digits.toml:50:17: `free_form.random_starts` is 1001, and `free_form.max_steps` is shared among all starts; use 1000 or fewer",
        ),
        (
            "starts = [\"prior\", \"encoder\"]",
            "starts = [\"prior\", \"prior\"]",
            "digits.toml:50:10: `free_form.starts` has `prior` twice",
        ),
        (
            "name = \"digits-capacity\"",
            "name = \"../elsewhere\"",
            "digits.toml:1:8: `name` must be letters, digits, `-`, `_` and `.`, and begin with a letter or a digit: it names a folder",
        ),
    ]);
}

#[test]
fn a_model_that_contradicts_the_data_or_itself_is_refused() {
    let training = "[model.training]\nencoder_hidden = [100]\nsteps = 400\nbatch_size = 64\nlearning_rate = 0.002\nn_samples = 1\n";
    refused(&[
        (
            "name = \"digits-binarized\"\nsplit_seed = 0\n",
            "name = \"synthetic\"\n",
            "digits.toml:14:14: `model.latent_dim` stands alone; synthetic data also needs `model.observed_dim`",
        ),
        (
            "name = \"digits-binarized\"",
            "name = \"synthetic\"",
            "digits.toml:8:14: `data.split_seed` does not apply to `data.name = \"synthetic\"`, which is drawn anew for each seed; remove it",
        ),
        (
            "name = \"digits-binarized\"\nsplit_seed = 0\ntrain_points = 1000\n",
            "name = \"synthetic\"\n",
            "digits.toml:7:8: `data.name` is `synthetic`, which needs `data.train_points`: how many points to draw for fitting",
        ),
        (
            "name = \"digits-binarized\"\nsplit_seed = 0\ntrain_points = 1000\n",
            "name = \"synthetic\"\ntrain_points = 100\n",
            "digits.toml:9:17: `data.measure_train` is 200, more than the 100 points of `data.train_points`",
        ),
        (
            "latent_dim = 10",
            "latent_dim = 10\nobserved_dim = 64",
            "digits.toml:16:16: `model.observed_dim` does not apply to `data.name = \"digits-binarized\"`, which has a size of its own; remove it",
        ),
        (
            "kind = \"mlp-decoder\"",
            "kind = \"linear-gaussian\"",
            "digits.toml:16:10: `model.hidden` does not apply to `model.kind = \"linear-gaussian\"`; remove it",
        ),
        (
            "hidden = [128]\n",
            "",
            "digits.toml:15:14: `model.latent_dim` stands alone; an MLP decoder also needs `model.hidden`, as in [64, 64], or [] for a linear one",
        ),
        (
            "hidden = [128]\n",
            "hidden = [128]\nnoise_std = 0.5\n",
            "digits.toml:17:13: `model.noise_std` does not go with `model.likelihood = \"bernoulli\"`; remove it, or use `model.likelihood = \"gaussian\"`",
        ),
        (
            "likelihood = \"bernoulli\"",
            "noise_std = 0.5",
            "digits.toml:18:13: `model.noise_std` does not go with `model.likelihood = \"bernoulli\"`; remove it, or use `model.likelihood = \"gaussian\"`",
        ),
        (
            "likelihood = \"bernoulli\"",
            "likelihood = \"gaussian\"",
            "digits.toml:18:14: `model.likelihood` is `gaussian`, which needs `model.noise_std`: the standard deviation of a pixel, as in 0.1; or use \"learned-gaussian\"",
        ),
        (
            training,
            "",
            "digits.toml:7:8: `data.name` is real data, so the decoder must be fitted; add `[model.training]`, or `model.weights`",
        ),
        (
            "encoder_hidden = [100]\n",
            "",
            "digits.toml:21:1: `model.training` needs `encoder_hidden`: the encoder that the shared decoder is fitted with",
        ),
        (
            "decoder = \"shared\"",
            "decoder = \"joint\"",
            "digits.toml:22:18: `model.training.encoder_hidden` does not go with `model.decoder = \"joint\"`, where each of `encoders` is fitted with a decoder of its own; remove it",
        ),
    ]);
}

#[test]
fn a_linear_gaussian_model_goes_with_synthetic_data_only() {
    let start = DIGITS.find("[model]").unwrap();
    let end = DIGITS.find("[family]").unwrap();
    let model = "[model]\nkind = \"linear-gaussian\"\nlatent_dim = 3\n";
    let real = DIGITS.replace(&DIGITS[start..end], model);
    assert_eq!(
        parsed(&real).unwrap_err(),
        "digits.toml:7:8: `data.name` does not go with `model.kind = \"linear-gaussian\"`, which is not fitted to data; use `data.name = \"synthetic\"`"
    );
    let synthetic = real
        .replace(
            "name = \"digits-binarized\"\nsplit_seed = 0",
            "name = \"synthetic\"",
        )
        .replace("latent_dim = 3", "latent_dim = 3\nobserved_dim = 8");
    assert_eq!(
        parsed(&synthetic).unwrap_err(),
        "digits.toml:38:10: `free_form.starts` has `encoder`, but this model is not fitted, so no encoder comes with it; use [\"prior\"]"
    );
    parsed(&synthetic.replace("\"prior\", \"encoder\"", "\"prior\"")).unwrap();
}

#[test]
fn a_joint_decoder_is_fitted_with_its_encoders_so_encoder_training_is_no_key_of_it() {
    let joint = joint();
    let spec = parsed(&joint).unwrap();
    assert_eq!(spec.encoder_training, None);
    let both = format!(
        "{joint}\n[encoder_training]\nsteps = 300\nbatch_size = 64\nlearning_rate = 0.001\nn_samples = 4\n"
    );
    let line = both.lines().position(|line| line == "[encoder_training]");
    assert_eq!(
        parsed(&both).unwrap_err(),
        format!(
            "digits.toml:{}:1: `encoder_training` does not go with `model.decoder = \"joint\"`, where each encoder is fitted with its decoder, as `[model.training]` says; remove it",
            line.unwrap() + 1
        )
    );
}
