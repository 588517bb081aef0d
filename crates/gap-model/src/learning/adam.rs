//! Adam over one flat array of parameters.

use super::state::OptimizerState;
use gap_kernel::adam::{AdamStep, EPSILON, MEAN_DECAY, SQUARE_DECAY, ascend_slices};
use tch::{Device, Kind, Tensor};

/// Adam (Kingma and Ba 2015, Algorithm 1) with the paper's constants; it ascends.
///
/// Networks keep their parameters in this array, so that a step is one pass over memory, however many layers
/// there are: a loop for `f32` on the CPU, otherwise a few tensor operations.
pub struct FlatAdam {
    parameters: Tensor,
    gradient: Tensor,
    mean: Tensor,
    square: Tensor,
    steps: i32,
}

impl FlatAdam {
    /// Allocates `n` parameters, which are zero until a network or a likelihood moves its parameters there.
    pub fn new(n: u64, kind: Kind, device: Device) -> Self {
        let zeros = || Tensor::zeros([n as i64], (kind, device));
        Self {
            parameters: zeros(),
            gradient: zeros(),
            mean: zeros(),
            square: zeros(),
            steps: 0,
        }
    }

    /// The parameters, `[P]`.
    pub const fn parameters(&self) -> &Tensor {
        &self.parameters
    }

    /// The memory where the caller writes the gradient of the next step, `[P]`.
    pub const fn gradient(&self) -> &Tensor {
        &self.gradient
    }

    /// Whether all parameters are finite.
    pub fn is_finite(&self) -> bool {
        self.parameters.isfinite().all().int64_value(&[]) == 1
    }

    /// The parameters with their moments, as they are now.
    pub fn state(&self) -> OptimizerState {
        OptimizerState {
            n_steps: self.steps,
            numbers: Tensor::cat(&[&self.parameters, &self.mean, &self.square], 0),
        }
    }

    /// Goes back to what [`FlatAdam::state`] returned. `false`, with nothing changed, if that belongs to other
    /// parameters.
    #[must_use]
    pub fn restore(&mut self, state: &OptimizerState) -> bool {
        let n = self.parameters.size1().unwrap_or(0);
        let fits =
            state.numbers.size() == [3 * n] && state.numbers.kind() == self.parameters.kind();
        if fits {
            let own = [&mut self.parameters, &mut self.mean, &mut self.square];
            for (own, kept) in own.into_iter().zip(state.numbers.split(n.max(1), 0)) {
                own.copy_(&kept);
            }
            self.steps = state.n_steps;
        }
        fits
    }

    /// Takes one step up the gradient.
    pub fn step(&mut self, learning_rate: f64) {
        self.steps = self.steps.saturating_add(1);
        if self.parameters.device() == Device::Cpu && self.parameters.kind() == Kind::Float {
            let [parameters, mean, square] =
                [&self.parameters, &self.mean, &self.square].map(|tensor| -> &mut [f32] {
                    // SAFETY: the three tensors are contiguous, have `n` values each, and do not share
                    // memory. Nothing else reads or writes them during this step.
                    unsafe {
                        let n = tensor.numel();
                        std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), n)
                    }
                });
            // SAFETY: as above; the gradient is only read.
            let gradient: &[f32] = unsafe {
                std::slice::from_raw_parts(self.gradient.data_ptr().cast(), parameters.len())
            };
            let step = AdamStep::from_step_number(self.steps, learning_rate);
            ascend_slices(parameters, gradient, mean, square, step);
        } else {
            let rate = learning_rate / (1.0 - MEAN_DECAY.powi(self.steps));
            let unbias = 1.0 / (1.0 - SQUARE_DECAY.powi(self.steps)).sqrt();
            let _ = self.mean.lerp_(&self.gradient, 1.0 - MEAN_DECAY);
            let squares = self.gradient.square();
            let _ = self.square.lerp_(&squares, 1.0 - SQUARE_DECAY);
            let scale = self.square.sqrt() * unbias + EPSILON;
            self.parameters += &self.mean / scale * rate;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn::{self, OptimizerConfig};

    /// libtorch's Adam minimises the negated objective. Both `f32` and `f64` are compared.
    #[test]
    fn it_takes_the_steps_of_libtorchs_adam() {
        for (kind, allowed) in [(Kind::Float, 5e-5), (Kind::Double, 1e-12)] {
            let n = 37;
            let theirs = Tensor::zeros([n], (kind, Device::Cpu)).set_requires_grad(true);
            let mut optimizer = nn::Adam::default().build_copt(0.01).unwrap();
            optimizer.add_parameters(&theirs, 0).unwrap();
            let mut adam = FlatAdam::new(n as u64, kind, Device::Cpu);
            let target = Tensor::arange(n, (kind, Device::Cpu)) - 10.0;
            for _ in 0..50 {
                let rate = 0.02;
                optimizer.set_learning_rate(rate).unwrap();
                optimizer.zero_grad().unwrap();
                (&theirs - &target)
                    .pow_tensor_scalar(4)
                    .sum(kind)
                    .backward();
                optimizer.step().unwrap();
                let uphill = (adam.parameters() - &target).pow_tensor_scalar(3) * -4.0;
                adam.gradient().shallow_clone().copy_(&uphill);
                adam.step(rate);
            }
            let apart = (adam.parameters() - &theirs).abs().max().double_value(&[]);
            assert!(apart < allowed, "{kind:?}: {apart:e}");
            assert!(theirs.abs().max().double_value(&[]) > 0.5);
        }
    }
}
