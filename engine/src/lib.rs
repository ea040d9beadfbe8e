//! The pure decision core of Foreshift: personas in, shares out.
//!
//! It knows no I/O, no clock, no randomness and no Kubernetes: time and seeds come in as parameters. The way
//! through it: [`resource`] (nodes become resources), [`work`] (what entries take on each) and [`demand`] (what is
//! offered), a [`forecast`] made elsewhere, then [`plan`], which fills alternates by [`allocate`] and answers with one
//! [`decision`]; [`apportion`] and [`subset`] turn it into endpoints. In a data plane [`assign`] places single entries, by what
//! [`impact`] learned of their class; [`shadow`] shows whether an alternate is fit before it gets any, and
//! [`hooks`] calls its endpoints.

pub mod allocate;
pub mod apportion;
pub mod assign;
pub mod decision;
pub mod demand;
pub mod forecast;
mod hash;
pub mod hooks;
pub mod impact;
pub mod ledger;
pub mod persona;
pub mod plan;
pub mod policy;
pub mod resource;
pub mod score;
pub mod shadow;
pub mod subset;
pub mod work;
