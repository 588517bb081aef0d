//! Computes pictures of posteriors over two latent variables, and of the `q`s that approximate them: the mass
//! in each cell of a square grid.

use super::Work;
use crate::chunk::{Chunk, QStarStage};
use crate::context::{Context, seed_key, take_rows};
use crate::error::{RunError, stage_error};
use crate::stage_id::StageId;
use gap_data::Batch;
use gap_infer::{VariationalFamily, VariationalParams};
use gap_model::LatentVariableModel;
use gap_schema::picture::{MIN_RECORDED_CELL_MASS, Pictured};
use gap_schema::{PosteriorGridCellRow, Record, RowFile};
use gap_spec::{EncoderSpec, Family, PicturesSpec, Split};
use gap_torch::{NoiseStream, SeedKey, to_f32_values, to_f64_values};
use serde::Serialize;
use tch::Tensor;

/// The half-width of the square in which a posterior is looked for: five standard deviations of the prior.
const SEARCH_HALF_WIDTH: f64 = 5.0;

/// Points along a side of the two grids on which a posterior's moments are computed.
const MOMENT_GRID_SIDE_POINTS: usize = 160;

/// The half-width of a picture, in standard deviations of the posterior.
const PICTURE_REACH_STDS: f64 = 4.0;

/// The number of points along each side of a cell at which the posterior is evaluated.
const CELL_SIDE_POINTS: usize = 3;

/// The number of draws from which a `q` is pictured. Every family has draws, but not all have a tractable
/// density.
const DRAWS_OF_Q: i64 = 100_000;

/// The number of draws made at a time, which limits memory.
const DRAWS_PER_BATCH: i64 = 10_000;

/// A square of cells in the plane of `z`.
#[derive(Clone, Copy)]
struct CellGrid {
    middle: [f64; 2],
    half_width: f64,
    cells: usize,
}

/// The masses of the cells, `[cells, cells]`. The first latent variable gives the row, the second the column.
type CellMasses = Vec<f64>;

impl CellGrid {
    fn cell_width(&self) -> f64 {
        2.0 * self.half_width / self.cells as f64
    }

    /// The coordinate of a cell's centre along one of the two axes.
    fn cell_center(&self, axis: usize, index: usize) -> f64 {
        self.middle[axis] - self.half_width + (index as f64 + 0.5) * self.cell_width()
    }

    /// The centres of all cells, row after row: `[cells², 2]`.
    fn cell_centers(&self) -> Vec<[f64; 2]> {
        let along = 0..self.cells * self.cells;
        along
            .map(|i| {
                [
                    self.cell_center(0, i / self.cells),
                    self.cell_center(1, i % self.cells),
                ]
            })
            .collect()
    }

    fn with_cells_per_side(self, cells: usize) -> Self {
        Self { cells, ..self }
    }

    /// The index of the cell that contains `z`; `None` outside the square.
    fn cell(&self, z: &[f32]) -> Option<usize> {
        let index = |axis: usize| {
            let from_edge = f64::from(z[axis]) - self.middle[axis] + self.half_width;
            let index = (from_edge / self.cell_width()).floor();
            (index >= 0.0 && index < self.cells as f64).then_some(index as usize)
        };
        Some(index(0)? * self.cells + index(1)?)
    }
}

/// Pictures the posteriors of some test points, and the `q`s that approximate them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PosteriorGridWork {
    /// The seed of this repetition.
    pub seed: u32,
    /// The frozen model, with two latent variables.
    pub model: StageId,
    /// The variational family.
    pub family: Family,
    /// The stages that found `q*` of the points, in their order.
    pub free_form: Vec<QStarStage>,
    /// The stage whose encoder is shown.
    pub encoder_stage: StageId,
    /// The encoder.
    pub encoder: EncoderSpec,
    /// The number of points, and of cells along a side.
    pub pictures: PicturesSpec,
}

impl Work for PosteriorGridWork {
    fn seed(&self) -> u32 {
        self.seed
    }

    fn input_stages(&self) -> Vec<&StageId> {
        let mut inputs = vec![&self.model];
        inputs.extend(self.free_form.iter().map(|found| &found.stage));
        if self.encoder_stage != self.model {
            inputs.push(&self.encoder_stage);
        }
        inputs
    }

    fn row_file_name(&self) -> Option<&'static str> {
        Some(PosteriorGridCellRow::FILE_NAME)
    }

    fn task_description(&self) -> String {
        format!("pictures of {} posteriors", self.pictures.points.get())
    }

    /// Writes the cells of the pictures: for each of some test points, the posterior, `q*` and the encoder's
    /// `q`.
    fn run(&self, context: &Context) -> Result<Vec<Record>, RunError> {
        let model = context.load_model(&self.model)?;
        let chunk = Chunk::first_points(Split::Test, self.pictures.points.get());
        let points = context.points(self.seed, model.as_ref(), chunk)?;
        let q_star = self.q_star(chunk, context)?;
        let fitted = context.load_encoder(&self.encoder_stage)?;
        let family = fitted.family.as_ref();
        let key = seed_key(self.seed).for_role("pictures");
        let cells = self.pictures.cells.get();
        let mut picture_rows = Vec::new();
        for position in 0..points.len() {
            let batch = points.batch_at(&[position], context.device);
            let square = grid_around_posterior(model.as_ref(), &batch, cells as usize)?;
            let posterior = posterior_masses(model.as_ref(), &batch, square)?;
            let best = masses_of_draws(family, &take_rows(&q_star, position, 1), square, key);
            let encoded = fitted.encoder.encode(batch.x());
            let pictures = [
                (Pictured::Posterior, posterior),
                (Pictured::FreeForm, best),
                (
                    Pictured::Amortized,
                    masses_of_draws(family, &encoded, square, key),
                ),
            ];
            for (pictured, masses) in pictures {
                let row = |(i, mass): (usize, f64)| PosteriorGridCellRow {
                    // Variants may share a stage, so `collect_rows` fills this in.
                    variant: None,
                    seed: u64::from(self.seed),
                    model: self.model.to_string(),
                    datapoint: batch.ids()[0],
                    family: self.family,
                    pictured,
                    encoder: (pictured == Pictured::Amortized).then(|| self.encoder.name()),
                    middle_1: square.middle[0],
                    middle_2: square.middle[1],
                    half_width: square.half_width,
                    cells,
                    z_1: square.cell_center(0, i / square.cells),
                    z_2: square.cell_center(1, i % square.cells),
                    mass,
                };
                let cells = masses.into_iter().enumerate();
                let visible = cells.filter(|(_, mass)| *mass >= MIN_RECORDED_CELL_MASS);
                picture_rows.extend(visible.map(row));
            }
            (context.progress)((position + 1) as f64 / points.len() as f64);
        }
        context.save_rows(&picture_rows)?;
        Ok(Vec::new())
    }
}

impl PosteriorGridWork {
    /// `λ` of the points of `chunk`.
    fn q_star(&self, chunk: Chunk, context: &Context) -> Result<VariationalParams, RunError> {
        let mut parts = Vec::with_capacity(self.free_form.len());
        for found in &self.free_form {
            let own = found.points.range();
            let range = own.start..own.end.min(chunk.range().end);
            parts.push(context.q_star(found, range)?.0);
        }
        Ok(VariationalParams(Tensor::cat(&parts, 0)))
    }
}

/// The fraction of a `q`'s draws that falls into each cell.
fn masses_of_draws(
    family: &dyn VariationalFamily,
    params: &VariationalParams,
    square: CellGrid,
    key: SeedKey,
) -> CellMasses {
    let mut noise = NoiseStream::new(key, &[0], params.0.device());
    let mut masses = vec![0.0; square.cells * square.cells];
    for _ in 0..DRAWS_OF_Q / DRAWS_PER_BATCH {
        let noise = noise.normal(DRAWS_PER_BATCH, family.noise_dim());
        let z = to_f32_values(&family.transform(params, &noise).z);
        for cell in z.chunks_exact(2).filter_map(|z| square.cell(z)) {
            masses[cell] += 1.0 / DRAWS_OF_Q as f64;
        }
    }
    masses
}

/// The square around a posterior: its centre is the posterior mean, and its half-width is
/// [`PICTURE_REACH_STDS`] times the larger of the two posterior standard deviations.
fn grid_around_posterior(
    model: &dyn LatentVariableModel,
    batch: &Batch,
    cells: usize,
) -> Result<CellGrid, RunError> {
    let mut square = CellGrid {
        middle: [0.0; 2],
        half_width: SEARCH_HALF_WIDTH,
        cells: MOMENT_GRID_SIDE_POINTS,
    };
    // The first round searches the whole square, the second only near the posterior that the first found.
    for reach in [1.5 * PICTURE_REACH_STDS, PICTURE_REACH_STDS] {
        let masses = normalized_masses(&log_joint(model, batch, &square.cell_centers())?);
        let weighted = || square.cell_centers().into_iter().zip(&masses);
        let mean = |axis: usize| weighted().map(|(z, mass)| mass * z[axis]).sum::<f64>();
        let mean = [mean(0), mean(1)];
        let std = |axis: usize| {
            let squares = weighted().map(|(z, mass)| mass * (z[axis] - mean[axis]).powi(2));
            // The grid cannot resolve a posterior within one cell, so its width counts as at least half a cell.
            squares.sum::<f64>().sqrt().max(0.5 * square.cell_width())
        };
        let half_width = reach * std(0).max(std(1));
        square = CellGrid {
            middle: mean,
            half_width,
            ..square
        };
    }
    Ok(square.with_cells_per_side(cells))
}

fn posterior_masses(
    model: &dyn LatentVariableModel,
    batch: &Batch,
    square: CellGrid,
) -> Result<CellMasses, RunError> {
    let fine = square.with_cells_per_side(square.cells * CELL_SIDE_POINTS);
    let of_points = normalized_masses(&log_joint(model, batch, &fine.cell_centers())?);
    let mut masses = vec![0.0; square.cells * square.cells];
    for (i, mass) in of_points.into_iter().enumerate() {
        let (row, column) = (i / fine.cells, i % fine.cells);
        let cell = (row / CELL_SIDE_POINTS) * square.cells + column / CELL_SIDE_POINTS;
        masses[cell] += mass;
    }
    Ok(masses)
}

/// `log p(x, z)` of one datapoint at each of `places`.
fn log_joint(
    model: &dyn LatentVariableModel,
    batch: &Batch,
    places: &[[f64; 2]],
) -> Result<Vec<f64>, RunError> {
    let flat: Vec<f32> = places.iter().flatten().map(|&z| z as f32).collect();
    let z = Tensor::from_slice(&flat).to_kind(model.kind());
    let z = z.view([-1, 1, 2]);
    let log_joint = model.log_joint(batch.x(), &z.to_device(model.device()));
    Ok(to_f64_values(&log_joint.map_err(stage_error)?))
}

/// The exponentials of `logs`, scaled to a sum of one.
fn normalized_masses(logs: &[f64]) -> Vec<f64> {
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let masses: Vec<f64> = logs.iter().map(|log| (log - most).exp()).collect();
    let total: f64 = masses.iter().sum();
    masses.into_iter().map(|mass| mass / total).collect()
}
