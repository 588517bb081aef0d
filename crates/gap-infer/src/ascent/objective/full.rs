//! Evaluations of full Gaussians: those of diagonal ones, in the coordinates `w = L⁻¹ (z − μ)`.

use super::{Draws, Evaluation, InferError, Objective, Wanted, entropy, from_scores};
use crate::family::FullGaussian;
use nalgebra::DVector;

impl Objective<'_> {
    pub(super) fn of_full(
        &mut self,
        family: FullGaussian,
        rows: &[usize],
        params: &[&[f64]],
        draws: &Draws,
        wanted: Wanted,
    ) -> Result<Vec<Evaluation>, InferError> {
        let (dim, n_samples) = (self.dim(), draws.n_samples());
        let len = n_samples * dim;
        self.rows.observations.resize(rows.len() * n_samples, 0);
        self.rows.z.resize(rows.len() * len, 0.0);
        for (row, (&observation, params)) in rows.iter().zip(params).enumerate() {
            let params: Vec<f32> = params.iter().map(|&p| p as f32).collect();
            let z = &mut self.rows.z[row * len..][..len];
            family.map(&params).apply_to_rows(draws.of_row(row), z);
            self.rows.observations[row * n_samples..][..n_samples].fill(observation);
        }
        self.score(wanted)?;
        let mut whitened = vec![0.0; len];
        let evaluations = params.iter().enumerate().map(|(row, params)| {
            let of_f32: Vec<f32> = params.iter().map(|&p| p as f32).collect();
            let score = &self.rows.score[row * len..][..len];
            family.map(&of_f32).scores_of_rows(score, &mut whitened);
            let ones = DVector::from_element(dim, 1.0);
            let noise = draws.of_row(row);
            let mut evaluation = from_scores(ones, noise, &whitened, wanted.curvature);
            if wanted.loss {
                let own = &self.rows.log_joint[row * n_samples..][..n_samples];
                let mean = own.iter().sum::<f64>() / n_samples as f64;
                evaluation.loss = -mean - entropy(&params[dim..2 * dim]);
            }
            evaluation
        });
        Ok(evaluations.collect())
    }
}
