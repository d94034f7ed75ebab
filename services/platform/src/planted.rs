//! Planted bugs, read through [`planted!`](crate::planted!): a build without the feature `planted` has none.

/// Whether this build has the bugs in it.
pub const PLANTED: bool = cfg!(feature = "planted");

/// Whether `$bug` is switched on in `$ctx`. Constantly false without the feature `planted`, so that what
/// depends on it is not compiled in.
#[macro_export]
macro_rules! planted {
    ($ctx:expr, $bug:expr) => {
        $crate::PLANTED && $ctx.planted() == Some($bug)
    };
}
