//! Values that the writers and readers of the resources must agree on, each in one place.
//!
//! `engine`, `predictor` and the router's frontends cannot see this crate and have their own constants; a constant
//! assertion in a crate that sees both keeps them equal.

use crate::Span;

/// Step of the fine window of a persona, from which shares are planned.
pub const FINE: Span = Span::from_secs(2);

/// Step of the coarse window of a persona, from which the next minute is forecast.
pub const COARSE: Span = Span::from_secs(15);

/// Steps of either window when it is full.
pub const WINDOW: usize = 32;

/// How long a row of `status.outcomes` counts after its `at`.
pub const OUTCOME_LIFETIME: Span = Span::from_secs(600);

/// Characters that the name of a class has at most.
pub const CLASS_LENGTH: usize = 128;

/// Rows that `status.shadow` holds at most.
pub const MOST_VERDICTS: usize = 256;

/// Rows that `status.outcomes` holds at most.
pub const MOST_OUTCOMES: usize = 1024;
