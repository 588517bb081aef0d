//! Measures a model that a program defines, with an encoder of its own, as an experiment measures one of its models.

use crate::context::seed_key;
use crate::encoders::EncoderFit;
use crate::error::{RunError, stage_error};
use crate::measure::{Measurement, RecordOrigin};
use crate::starts::{name_of_start, search_from};
use gap_data::Dataset;
use gap_infer::free_form::StartingPoint;
use gap_infer::{Encode, RefinedInference, family};
use gap_model::LatentVariableModel;
use gap_schema::Record;
use gap_spec::{
    BoundSpec, Count, EncoderKind, EncoderLabel, Family, FreeFormSpec, RefinementSpec, Split, Start,
};
use gap_torch::dims;
use tch::Tensor;

/// The name, in records, of a model that is no stage of an experiment, and of its data.
const OWN_NAME: &str = "own";

/// What is measured of a model, and how. The fields have the meaning and the defaults of an experiment's keys.
#[derive(Clone, Debug)]
pub struct MeasureSettings {
    /// The variational family.
    pub family: Family,
    /// How `q*` is found; its starts are those of [`FreeFormSpec::starts_with`].
    pub free_form: FreeFormSpec,
    /// How the encoder's `q` is refined, and after which numbers of steps that is measured; `None` for no refinement.
    pub refinement: Option<RefinementSpec>,
    /// The numbers of draws for the bounds.
    pub bounds: BoundSpec,
    /// The seed of all draws.
    pub seed: u32,
    /// The number of datapoints that are computed together, which no number depends on.
    pub batch_size: usize,
}

impl Default for MeasureSettings {
    fn default() -> Self {
        Self {
            family: Family::DiagonalGaussian,
            free_form: FreeFormSpec::default(),
            refinement: Some(RefinementSpec::after_steps(
                [1, 5, 20].map(Count::new).to_vec(),
            )),
            bounds: BoundSpec::default(),
            seed: 0,
            batch_size: 100,
        }
    }
}

/// Measures `q*` of each row of `x`, `[N, X]`, under `model`; with an encoder, its `q` and that after refinement too.
/// Returns a row for each datapoint, method and estimator.
///
/// # Errors
///
/// [`RunError::Stage`] if sizes do not fit, or the model or the encoder fails. Values that are not finite are no error,
/// but go into the records.
pub fn measure_own_model(
    model: &dyn LatentVariableModel,
    encoder: Option<&dyn Encode>,
    x: &Tensor,
    settings: &MeasureSettings,
) -> Result<Vec<Record>, RunError> {
    let [n, _] = dims("x", x, ["N", "X"]).map_err(stage_error)?;
    let points = Dataset::new(OWN_NAME, (0..n as u64).collect(), x.shallow_clone(), None);
    model.check_support(x).map_err(stage_error)?;
    let family = family::build_family(settings.family, model.latent_dim());
    let starts = settings.free_form.starts_with(encoder.is_some());
    let starting_point = |start: &Start| match (start, encoder) {
        (Start::Prior, _) => Ok(StartingPoint::Prior),
        (Start::Encoder, Some(encoder)) => Ok(StartingPoint::Encoder(encoder)),
        (Start::Encoder, None) => Err(stage_error(
            "`free_form.starts` has the encoder, and there is none",
        )),
    };
    let named: Vec<StartingPoint<'_>> = starts
        .iter()
        .map(starting_point)
        .collect::<Result<_, _>>()?;
    let key = seed_key(settings.seed);
    let search = search_from(named, &settings.free_form, family.as_ref(), key);
    let label = encoder.map(|encoder| EncoderLabel {
        kind: EncoderKind::Own,
        hidden: Vec::new(),
        weights: encoder.n_weights(),
        context: 1,
        objective: None,
    });
    let of_model = Measurement {
        model,
        family: family.as_ref(),
        bounds: settings.bounds,
        key,
        origin: RecordOrigin {
            dataset: OWN_NAME,
            split: Split::Test,
            seed: settings.seed,
            model: OWN_NAME,
            family: settings.family,
            latent_dim: model.latent_dim() as usize,
            encoder: None,
        },
    };
    let of_encoder = Measurement {
        origin: RecordOrigin {
            encoder: label.as_ref().map(|label| (label, EncoderFit::default())),
            ..of_model.origin
        },
        ..of_model
    };
    let refined: Vec<_> = match (encoder, &settings.refinement) {
        (Some(encoder), Some(refinement)) => {
            let refined = RefinedInference {
                family: family.as_ref(),
                encoder,
                phase: refinement.phase(settings.family),
                steps: refinement.numbers_of_steps(),
            };
            vec![(None, refined)]
        }
        _ => Vec::new(),
    };
    let mut records = Vec::new();
    for batch in points.batches(settings.batch_size.max(1), model.device()) {
        let name_of_start = |i: usize| name_of_start(starts, i);
        let (of_batch, _) = of_model.free_form(&search, None, &name_of_start, &batch)?;
        records.extend(of_batch);
        if let Some(encoder) = encoder {
            records.extend(of_encoder.amortized(encoder, &refined, &batch)?);
        }
    }
    Ok(records)
}
