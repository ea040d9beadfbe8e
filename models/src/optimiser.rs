//! Adam (Kingma and Ba, 2015) with its usual constants, on parameters in any fixed order.

const FIRST_DECAY: f64 = 0.9;
const SECOND_DECAY: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Running moments of the gradient.
#[derive(Clone, Debug)]
pub struct Adam {
    first: Vec<f32>,
    second: Vec<f32>,
    first_power: f64,
    second_power: f64,
}

impl Adam {
    /// An optimiser that has seen no gradient.
    #[must_use]
    pub fn new(parameters: usize) -> Self {
        Self {
            first: vec![0.0; parameters],
            second: vec![0.0; parameters],
            first_power: 1.0,
            second_power: 1.0,
        }
    }

    /// Moves the parameters against a gradient, both in the same order.
    pub fn step<'a>(
        &mut self,
        parameters: impl Iterator<Item = &'a mut f32>,
        gradient: impl Iterator<Item = &'a f32>,
        rate: f64,
    ) {
        self.first_power *= FIRST_DECAY;
        self.second_power *= SECOND_DECAY;
        let rate = (rate * (1.0 - self.second_power).sqrt() / (1.0 - self.first_power)) as f32;
        let keep = (FIRST_DECAY as f32, SECOND_DECAY as f32);
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((parameter, gradient), (first, second)) in parameters.zip(gradient).zip(moments) {
            *first = keep.0 * *first + (1.0 - keep.0) * gradient;
            *second = keep.1 * *second + (1.0 - keep.1) * gradient * gradient;
            *parameter -= rate * *first / (second.sqrt() + EPSILON as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_the_bottom_of_a_bowl() {
        let mut adam = Adam::new(2);
        let mut at = [3.0_f32, -2.0];
        for _ in 0..2000 {
            let slope = [2.0 * (at[0] - 1.0), 20.0 * (at[1] - 0.5)];
            adam.step(at.iter_mut(), slope.iter(), 0.01);
        }
        assert!((at[0] - 1.0).abs() < 1e-2 && (at[1] - 0.5).abs() < 1e-2, "{at:?}");
    }
}
