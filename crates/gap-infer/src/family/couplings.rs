//! Affine coupling layers: an invertible map of standard normals, which starts as the identity. The log
//! determinant of its Jacobian comes at no extra cost.
//!
//! Dinh, Sohl-Dickstein and Bengio 2017, "Density estimation using Real NVP", §3.2: half of the coordinates
//! pass unchanged, and a network computes from them how the other half is scaled and shifted.

use super::columns::FeatureColumns;
use super::number::FloatNumber;
use super::perceptron::{Perceptron, PerceptronActivations};
use gap_torch::SeedKey;

/// A stack of coupling layers, in which the halves of the coordinates take turns to pass unchanged.
pub struct CouplingStack {
    layers: Vec<CouplingLayer>,
}

struct CouplingLayer {
    /// Coordinates that pass unchanged.
    passing: Vec<usize>,
    /// Coordinates that are scaled and shifted.
    moved: Vec<usize>,
    /// The network from the passing coordinates to the log scales `s` and shifts `t` of the moved ones.
    network: Perceptron,
}

/// The results of a forward pass, and what the backward pass needs of it.
pub struct FlowOutput<T> {
    /// The last layer's output, `[F, S]`.
    pub end: FeatureColumns<T>,
    /// `log |det J|` of the whole map at each draw, `[S]`.
    pub log_det: Vec<T>,
    /// The score `∇ log q` of the output's own density, `[F, S]`; that of the input is `−ε`.
    pub slope: FeatureColumns<T>,
    layers_passed: Vec<LayerActivations<T>>,
}

/// A layer's input, its network's activations, and the scales `eˢ` of the `M` moved coordinates, `[M, S]`.
struct LayerActivations<T> {
    input: FeatureColumns<T>,
    pass: PerceptronActivations<T>,
    scale: FeatureColumns<T>,
}

impl CouplingStack {
    /// A stack of `n_layers` layers over `width` coordinates, with networks of `n_hidden` hidden units whose
    /// initial weights are drawn with `key`.
    pub fn new(width: usize, n_layers: usize, n_hidden: usize, key: SeedKey) -> Self {
        let layers = (0..n_layers).map(|layer| {
            // Two layers split the coordinates into first and second half, the next two into even and odd,
            // and so on, so that coordinates in the same half of one split are separated by the other.
            let is_first = |i: usize| match layer / 2 % 2 {
                0 => i < width / 2,
                _ => i.is_multiple_of(2),
            };
            let (first, second) = (0..width).partition(|&i| is_first(i));
            let (passing, moved): (Vec<usize>, Vec<usize>) = match layer % 2 {
                0 => (first, second),
                _ => (second, first),
            };
            let key = key.for_index(layer as u64);
            CouplingLayer {
                network: Perceptron::new(passing.len(), n_hidden, 2 * moved.len(), key),
                passing,
                moved,
            }
        });
        Self {
            layers: layers.collect(),
        }
    }

    /// The number of parameters of all layers.
    pub fn n_params(&self) -> usize {
        self.layers.iter().map(|l| l.network.n_params()).sum()
    }

    /// Maps standard normals `noise` (`[F, S]`) through all layers, and computes the score of the output's
    /// density.
    ///
    /// The score is carried from layer to layer: a layer with Jacobian `J` turns `∇ log q` into
    /// `J⁻ᵀ (∇ log q − ∇ log |det J|)` (Vaitl et al. 2022, "Path-gradient estimators for continuous
    /// normalizing flows", §3, for one layer instead of a time step).
    pub fn forward<T: FloatNumber>(
        &self,
        params: &[T],
        noise: &FeatureColumns<T>,
    ) -> FlowOutput<T> {
        let n_samples = noise.n_samples();
        let mut slope = noise.clone();
        slope.values_mut().iter_mut().for_each(|v| *v = -*v);
        let mut flow = FlowOutput {
            end: noise.clone(),
            log_det: vec![T::default(); n_samples],
            slope,
            layers_passed: Vec::with_capacity(self.layers.len()),
        };
        let mut params = params;
        for layer in &self.layers {
            let own;
            (own, params) = params.split_at(layer.network.n_params());
            layer.forward(own, &mut flow);
        }
        flow
    }

    /// Returns the gradient in the parameters, averaged over draws, given the gradient `pull` (`[F, S]`) in the
    /// last layer's output. The log determinants contribute nothing to it.
    pub fn pull_back<T: FloatNumber>(
        &self,
        params: &[T],
        flow: &FlowOutput<T>,
        mut pull: FeatureColumns<T>,
    ) -> Vec<T> {
        let mut gradient = vec![T::default(); self.n_params()];
        let mut end = gradient.len();
        for (layer, layers_passed) in self.layers.iter().zip(&flow.layers_passed).rev() {
            let start = end - layer.network.n_params();
            layer.pull_back(
                &params[start..end],
                layers_passed,
                &mut pull,
                &mut gradient[start..end],
            );
            end = start;
        }
        let share = T::from_f64(1.0 / pull.n_samples() as f64);
        gradient.iter_mut().for_each(|g| *g *= share);
        gradient
    }

    /// Returns the standard normals that the stack maps to `end` (`[F, S]`), and `log |det J|` at them (`[S]`).
    pub fn invert<T: FloatNumber>(
        &self,
        params: &[T],
        end: FeatureColumns<T>,
    ) -> (FeatureColumns<T>, Vec<T>) {
        let mut at = end;
        let mut log_det = vec![T::default(); at.n_samples()];
        let mut last = self.n_params();
        for layer in self.layers.iter().rev() {
            let first = last - layer.network.n_params();
            layer.invert(&params[first..last], &mut at, &mut log_det);
            last = first;
        }
        (at, log_det)
    }
}

/// The columns of these coordinates, in this order.
fn select_columns<'a, T: FloatNumber>(
    of: &'a FeatureColumns<T>,
    coordinates: &[usize],
) -> Vec<&'a [T]> {
    coordinates.iter().map(|&i| of.feature(i)).collect()
}

impl CouplingLayer {
    fn run_network<T: FloatNumber>(
        &self,
        params: &[T],
        at: &FeatureColumns<T>,
    ) -> (PerceptronActivations<T>, FeatureColumns<T>) {
        let n_samples = at.n_samples();
        let passing = select_columns(at, &self.passing);
        let pass = self.network.forward(params, &passing, n_samples);
        let mut scale = FeatureColumns::zeros(self.moved.len(), n_samples);
        for m in 0..self.moved.len() {
            scale.feature_mut(m).copy_from_slice(pass.output.feature(m));
        }
        T::exponentiate(scale.values_mut());
        (pass, scale)
    }

    fn forward<T: FloatNumber>(&self, params: &[T], flow: &mut FlowOutput<T>) {
        let n_moved = self.moved.len();
        let input = flow.end.clone();
        let (pass, scale) = self.run_network(params, &input);
        let mut pull = FeatureColumns::zeros(2 * n_moved, input.n_samples());
        for (m, &i) in self.moved.iter().enumerate() {
            let (s, t) = (pass.output.feature(m), pass.output.feature(n_moved + m));
            let at = flow.end.feature_mut(i).iter_mut().zip(&mut flow.log_det);
            for ((at, log_det), ((&s, &t), &scale)) in at.zip(s.iter().zip(t).zip(scale.feature(m)))
            {
                *at = *at * scale + t;
                *log_det += s;
            }
            // The score δ of a moved coordinate is divided by eˢ. From the score of the passing coordinates,
            // their effect through s and t is subtracted: `pull` holds minus the gradients in s and t. The
            // gradient in s is input · δ + 1, where the 1 comes from log |det J|.
            let slope = flow.slope.feature_mut(i);
            let in_log_scale = pull.feature_mut(m).iter_mut().zip(input.feature(i));
            for (&slope, (pull, &input)) in slope.iter().zip(in_log_scale) {
                *pull = -(input * slope + T::from_f64(1.0));
            }
            let in_shift = pull
                .feature_mut(n_moved + m)
                .iter_mut()
                .zip(scale.feature(m));
            for (slope, (pull, &scale)) in slope.iter_mut().zip(in_shift) {
                *slope = *slope / scale;
                *pull = -*slope;
            }
        }
        let mut slopes: Vec<Vec<T>> = self
            .passing
            .iter()
            .map(|&i| flow.slope.feature(i).to_vec())
            .collect();
        let mut passing_slopes: Vec<&mut [T]> = slopes.iter_mut().map(Vec::as_mut_slice).collect();
        self.network
            .pull_back_to_inputs(params, &pass, &pull, &mut passing_slopes);
        for (&i, slope) in self.passing.iter().zip(slopes) {
            flow.slope.feature_mut(i).copy_from_slice(&slope);
        }
        flow.layers_passed
            .push(LayerActivations { input, pass, scale });
    }

    fn pull_back<T: FloatNumber>(
        &self,
        params: &[T],
        layers_passed: &LayerActivations<T>,
        pull: &mut FeatureColumns<T>,
        gradient: &mut [T],
    ) {
        let n_moved = self.moved.len();
        let mut in_output = FeatureColumns::zeros(2 * n_moved, pull.n_samples());
        for (m, &i) in self.moved.iter().enumerate() {
            in_output
                .feature_mut(n_moved + m)
                .copy_from_slice(pull.feature(i));
            let scaled = pull
                .feature_mut(i)
                .iter_mut()
                .zip(layers_passed.scale.feature(m));
            let in_log_scale = in_output
                .feature_mut(m)
                .iter_mut()
                .zip(layers_passed.input.feature(i));
            for ((pull, &scale), (in_log_scale, &input)) in scaled.zip(in_log_scale) {
                *pull *= scale;
                *in_log_scale = *pull * input;
            }
        }
        let mut in_passing: Vec<Vec<T>> = self
            .passing
            .iter()
            .map(|&i| pull.feature(i).to_vec())
            .collect();
        let mut columns_in: Vec<&mut [T]> = in_passing.iter_mut().map(Vec::as_mut_slice).collect();
        let x = select_columns(&layers_passed.input, &self.passing);
        self.network.pull_back(
            params,
            &layers_passed.pass,
            &x,
            &in_output,
            &mut columns_in,
            gradient,
        );
        for (&i, own) in self.passing.iter().zip(in_passing) {
            pull.feature_mut(i).copy_from_slice(&own);
        }
    }

    fn invert<T: FloatNumber>(&self, params: &[T], at: &mut FeatureColumns<T>, log_det: &mut [T]) {
        let (pass, scale) = self.run_network(params, at);
        for (m, &i) in self.moved.iter().enumerate() {
            let (s, t) = (
                pass.output.feature(m),
                pass.output.feature(self.moved.len() + m),
            );
            let at = at.feature_mut(i).iter_mut().zip(log_det.iter_mut());
            for ((at, log_det), ((&s, &t), &scale)) in at.zip(s.iter().zip(t).zip(scale.feature(m)))
            {
                *at = (*at - t) / scale;
                *log_det += s;
            }
        }
    }
}
