//! A picture, whatever is in it: what is made of it is a JPEG that a phone can show.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep::library::fuzzing::scale;

const LONGEST_SIDE: u32 = 512;

fuzz_target!(|input: &[u8]| {
    if let Some(jpeg) = scale(input) {
        let format = Some(image::ImageFormat::Jpeg);
        assert_eq!(image::guess_format(&jpeg).ok(), format);
        let shown = image::load_from_memory(&jpeg).expect("it can be shown");
        assert!(shown.width().max(shown.height()) <= LONGEST_SIDE);
    }
});
