//! Evaluations of any family: its own draws, and its own gradient.

use super::{Draws, Evaluation, InferError, Objective, Wanted};
use crate::family::VariationalFamily;
use nalgebra::DVector;

/// Draws that are evaluated at once: what they take stays in cache.
const ROWS_AT_ONCE: usize = 4096;

impl Objective<'_> {
    pub(super) fn of_any(
        &mut self,
        family: &dyn VariationalFamily,
        rows: &[usize],
        params: &[&[f64]],
        draws: &Draws,
        wanted: Wanted,
    ) -> Result<Vec<Evaluation>, InferError> {
        let (dim, n_samples) = (self.dim(), draws.n_samples());
        let len = n_samples * dim;
        let at_once = (ROWS_AT_ONCE / n_samples).max(1);
        let mut evaluations = Vec::with_capacity(rows.len());
        let mut log_q = Vec::new();
        for (chunk, rows) in rows.chunks(at_once).enumerate() {
            let first = chunk * at_once;
            self.rows.observations.resize(rows.len() * n_samples, 0);
            self.rows.z.resize(rows.len() * len, 0.0);
            log_q.resize(rows.len() * n_samples, 0.0);
            let params: Vec<Vec<f32>> = params[first..first + rows.len()]
                .iter()
                .map(|params| params.iter().map(|&p| p as f32).collect())
                .collect();
            for (row, (&observation, params)) in rows.iter().zip(&params).enumerate() {
                let z = &mut self.rows.z[row * len..][..len];
                let log_q = &mut log_q[row * n_samples..][..n_samples];
                family.transform_row(params, draws.of_row(first + row), z, log_q);
                self.rows.observations[row * n_samples..][..n_samples].fill(observation);
            }
            self.score(wanted)?;
            for (row, params) in params.iter().enumerate() {
                let score = &self.rows.score[row * len..][..len];
                let mut gradient = vec![0.0; params.len()];
                family.pull_back_row(params, draws.of_row(first + row), score, &mut gradient);
                let own = row * n_samples..(row + 1) * n_samples;
                let values = self.rows.log_joint[own.clone()].iter().zip(&log_q[own]);
                let sum: f64 = values.map(|(log_joint, log_q)| log_q - log_joint).sum();
                evaluations.push(Evaluation {
                    loss: if wanted.loss {
                        sum / n_samples as f64
                    } else {
                        f64::NAN
                    },
                    gradient: gradient.iter().map(|&g| -f64::from(g)).collect(),
                    std: DVector::zeros(0),
                    mean_gradient: DVector::zeros(0),
                    log_std_gradient: DVector::zeros(0),
                    curvature: None,
                });
            }
        }
        Ok(evaluations)
    }
}
