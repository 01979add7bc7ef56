//! Context of a running program, and the natives that use it.

use jaq_core::box_iter::box_once;
use jaq_core::data::HasLut;
use jaq_core::native::{Fun, v};
use jaq_core::{DataT, Exn, Lut, Native};
use jaq_json::Val;

use super::guard::Guard;
use super::instrument::TICK;

/// Types of the interpreter: its values, and the context that natives can access.
#[derive(Debug)]
pub(crate) struct JqTypes;

impl DataT for JqTypes {
    type V<'a> = Val;
    type Data<'a> = RunContext<'a>;
}

/// Context of a run.
#[derive(Clone, Copy)]
pub(crate) struct RunContext<'a> {
    pub(crate) lut: &'a Lut<JqTypes>,
    pub(crate) guard: &'a Guard,
    /// Seconds since 1970 at which the program was compiled.
    pub(crate) now: f64,
}

impl<'a> HasLut<'a, JqTypes> for RunContext<'a> {
    fn lut(&self) -> &'a Lut<JqTypes> {
        self.lut
    }
}

/// The native [`TICK`]: returns its input, or the error that ends the run. It is transparent for
/// paths and updates.
pub(crate) fn tick() -> Fun<JqTypes> {
    let native = Native::<JqTypes>::new(|cv| {
        let spent = cv.0.data().guard.tick(&cv.1);
        box_once(spent.map(|()| cv.1).map_err(Exn::from))
    });
    let native = native
        .with_paths(|cv| {
            let spent = cv.0.data().guard.tick(&cv.1.0);
            box_once(spent.map(|()| cv.1).map_err(Exn::from))
        })
        .with_update(|cv, update| match cv.0.data().guard.tick(&cv.1) {
            Ok(()) => update(cv.1),
            Err(error) => box_once(Err(Exn::from(error))),
        });

    (TICK, v(0), native)
}

/// The native `now`: the same time for every item.
pub(crate) fn now() -> Fun<JqTypes> {
    (
        "now",
        v(0),
        Native::new(|cv| box_once(Ok::<_, Exn<'_, _>>(Val::from(cv.0.data().now)))),
    )
}
