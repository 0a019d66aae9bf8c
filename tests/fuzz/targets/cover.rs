//! Fuzzes the scaling of a picture. A scaled cover must be a JPEG whose sides have at most 512 pixels.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep::library::fuzzing::scale_cover;

/// Maximum width and height of a cover in pixels.
const MAX_SIDE: u32 = 512;

fuzz_target!(|input: &[u8]| {
    if let Some(jpeg) = scale_cover(input) {
        let format = Some(image::ImageFormat::Jpeg);
        assert_eq!(image::guess_format(&jpeg).ok(), format);
        let decoded = image::load_from_memory(&jpeg).expect("the scaled cover must be decodable");
        assert!(decoded.width().max(decoded.height()) <= MAX_SIDE);
    }
});
