//! Variational families and the three ways to find q: amortized, free-form, refined.
