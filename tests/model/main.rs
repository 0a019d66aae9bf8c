//! The pure core against everything that it promises: at random and at length, and exhaustively in small.

mod exhaustive;
mod promises;
mod random;
