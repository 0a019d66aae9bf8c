//! Decodes one picture for a cover, upright and without transparency, in bounded memory.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{
    DynamicImage, GrayImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, Rgb,
    RgbImage, Rgba,
};
use jpeg_decoder::{CodingProcess, PixelFormat};

use super::jpeg_header::JpegHeader;

/// The longest side of a picture that is decoded, in pixels.
const MAX_SIDE: u32 = 16_384;
/// The memory limit of decoding one picture, in bytes.
const MAX_DECODER_MEMORY: u64 = 96 << 20;
/// The memory limit of decoding a progressive JPEG, in bytes, because the decoder must keep all coefficients. Enough for 5,200
/// × 4,400 pixels of four colours without subsampling.
const MAX_PROGRESSIVE_MEMORY: u64 = 192 << 20;
/// The colour behind transparent parts of a picture: the light background of the page.
const BACKGROUND: Rgb<u8> = Rgb([0xf6, 0xf2, 0xfb]);

/// Why a picture cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub(super) enum PictureError {
    #[error("{0}")]
    Image(#[from] ImageError),
    #[error("{0}")]
    Jpeg(#[from] jpeg_decoder::Error),
    #[error("the picture has too many pixels")]
    TooManyPixels,
    #[error("the picture has no pixels")]
    NoPixels,
}

/// Decodes a picture, and turns it upright. A JPEG that is much larger than `wanted_side` is scaled down while it is decoded,
/// but its longer side keeps at least `wanted_side` pixels. Limits on the dimensions and on the decoder's memory protect
/// against decompression bombs.
pub(super) fn decode(encoded: &[u8], wanted_side: u16) -> Result<DynamicImage, PictureError> {
    let reader = ImageReader::new(Cursor::new(encoded)).with_guessed_format();
    let mut reader = reader.map_err(ImageError::IoError)?;
    let format = reader.format();
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODER_MEMORY);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = if format == Some(ImageFormat::Jpeg) {
        drop(decoder);
        decode_jpeg(encoded, wanted_side)?
    } else {
        limits.reserve(decoder.total_bytes())?;
        decoder.set_limits(limits)?;
        DynamicImage::from_decoder(decoder)?
    };
    if picture.width() == 0 || picture.height() == 0 {
        return Err(PictureError::NoPixels);
    }
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// Decodes a JPEG with `jpeg-decoder`, because the decoder of `image` cannot scale.
fn decode_jpeg(encoded: &[u8], wanted_side: u16) -> Result<DynamicImage, PictureError> {
    let mut decoder = jpeg_decoder::Decoder::new(encoded);
    decoder.read_info()?;
    let info = decoder.info().ok_or(PictureError::TooManyPixels)?;
    let header = JpegHeader::parse(encoded);
    let is_sequential = info.coding_process == CodingProcess::DctSequential;
    let is_too_large = u32::from(info.width.max(info.height)) > MAX_SIDE
        || !is_sequential && header.coefficient_bytes > MAX_PROGRESSIVE_MEMORY;
    if is_too_large {
        return Err(PictureError::TooManyPixels);
    }
    let (width, height) = decoder.scale(wanted_side, wanted_side)?;
    decoder.set_max_decoding_buffer_size(MAX_DECODER_MEMORY as usize);
    let mut bytes = decoder.decode()?;
    if info.pixel_format == PixelFormat::CMYK32 && !header.has_adobe_segment {
        // Only Adobe's programs store inverted amounts of ink, but jpeg-decoder 0.3 inverts the amounts of all files.
        bytes.iter_mut().for_each(|amount| *amount = 255 - *amount);
    }
    let (width, height) = (u32::from(width), u32::from(height));
    let picture = match info.pixel_format {
        PixelFormat::L8 => GrayImage::from_raw(width, height, bytes).map(DynamicImage::from),
        PixelFormat::RGB24 => RgbImage::from_raw(width, height, bytes).map(DynamicImage::from),
        PixelFormat::CMYK32 => {
            let rgb = bytes.chunks_exact(4).flat_map(rgb_of_cmyk).collect();
            RgbImage::from_raw(width, height, rgb).map(DynamicImage::from)
        }
        PixelFormat::L16 => {
            let luma = bytes.chunks_exact(2).map(|sample| {
                let sample = u16::from_ne_bytes([sample[0], sample[1]]);
                (sample >> 8) as u8
            });
            GrayImage::from_raw(width, height, luma.collect()).map(DynamicImage::from)
        }
    };
    picture.ok_or(PictureError::TooManyPixels)
}

/// The colour of a pixel with these amounts of cyan, magenta, yellow and black.
fn rgb_of_cmyk(cmyk: &[u8]) -> [u8; 3] {
    let black = 255 - u32::from(cmyk[3]);
    [0, 1, 2].map(|n| ((255 - u32::from(cmyk[n])) * black / 255) as u8)
}

/// The picture in front of [`BACKGROUND`], with at most 8 bits a channel if it had transparency.
pub(super) fn without_alpha(picture: DynamicImage) -> DynamicImage {
    if !picture.color().has_alpha() {
        return picture;
    }
    // The pixels are changed in place, because large pictures would otherwise be in memory twice.
    let mut picture = picture.into_rgba8();
    for Rgba([red, green, blue, alpha]) in picture.pixels_mut() {
        let opacity = u32::from(*alpha);
        for (front, back) in [red, green, blue].into_iter().zip(BACKGROUND.0) {
            let blended = (u32::from(*front) * opacity + u32::from(back) * (255 - opacity)) / 255;
            *front = blended as u8;
        }
        *alpha = 255;
    }
    picture.into()
}

#[cfg(test)]
mod tests {
    use image::RgbaImage;
    use image::codecs::jpeg::JpegEncoder;

    use super::*;

    const RED: Rgb<u8> = Rgb([220, 30, 30]);
    const BLUE: Rgb<u8> = Rgb([30, 50, 210]);

    /// A picture whose left half is red and whose right half is blue.
    fn halves(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, _| if x < width / 2 { RED } else { BLUE })
    }

    fn jpeg(picture: &RgbImage) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
        picture.write_with_encoder(encoder).unwrap();
        bytes
    }

    fn is_similar(a: Rgb<u8>, b: Rgb<u8>) -> bool {
        a.0.iter().zip(b.0).all(|(a, b)| a.abs_diff(b) < 12)
    }

    /// The JPEG with an Exif segment that declares this orientation.
    fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
        let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
        let length = (exif.len() as u16 + 2).to_be_bytes();
        [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
    }

    #[test]
    fn turns_a_picture_according_to_its_orientation() {
        // The colours of the left upper and the right lower corner.
        for (orientation, width, first, last) in [
            (1, 40, RED, BLUE),
            (2, 40, BLUE, RED),
            (3, 40, BLUE, RED),
            (6, 20, RED, BLUE),
            (8, 20, BLUE, RED),
            (9, 40, RED, BLUE),
        ] {
            let encoded = with_orientation(&jpeg(&halves(40, 20)), orientation);
            let picture = decode(&encoded, 512).unwrap().into_rgb8();
            assert_eq!(picture.width(), width, "orientation {orientation}");
            let corner = *picture.get_pixel(1, 1);
            assert!(is_similar(corner, first), "orientation {orientation}");
            let corner = *picture.get_pixel(width - 2, 60 - width - 2);
            assert!(is_similar(corner, last), "orientation {orientation}");
        }
    }

    #[test]
    fn scales_a_large_jpeg_while_decoding() {
        let encoded = jpeg(&halves(2_600, 1_100));
        let picture = decode(&encoded, 512).unwrap().into_rgb8();
        assert!((512..2_600).contains(&picture.width()));
        assert!(is_similar(*picture.get_pixel(1, 1), RED));
    }

    #[test]
    fn transparent_parts_show_the_background() {
        let mut picture = RgbaImage::from_pixel(2, 1, Rgba([0, 0, 0, 0]));
        picture.put_pixel(1, 0, Rgba([220, 30, 30, 255]));
        for picture in [
            DynamicImage::from(picture.clone()),
            DynamicImage::from(picture).into_rgba16().into(),
        ] {
            let opaque = without_alpha(picture).into_rgb8();
            assert_eq!(*opaque.get_pixel(0, 0), BACKGROUND);
            assert_eq!(*opaque.get_pixel(1, 0), RED);
        }
    }

    #[test]
    fn refuses_a_picture_without_pixels() {
        let mut encoded = Cursor::new(Vec::new());
        let picture = DynamicImage::from(halves(2, 2));
        picture.write_to(&mut encoded, ImageFormat::Gif).unwrap();
        let mut encoded = encoded.into_inner();
        // The width and the height of the canvas.
        encoded[6..10].fill(0);
        assert!(matches!(decode(&encoded, 512), Err(PictureError::NoPixels)));
    }

    #[test]
    fn refuses_a_truncated_picture() {
        let picture = halves(64, 64);
        for format in [
            ImageFormat::Jpeg,
            ImageFormat::Png,
            ImageFormat::WebP,
            ImageFormat::Gif,
            ImageFormat::Bmp,
        ] {
            let mut encoded = Cursor::new(Vec::new());
            let noisy = RgbImage::from_fn(64, 64, |x, y| {
                let noise = (x * 7919 + y * 104_729) % 251;
                Rgb([noise as u8, picture.get_pixel(x, y).0[1], (noise / 2) as u8])
            });
            DynamicImage::from(noisy)
                .write_to(&mut encoded, format)
                .unwrap();
            let encoded = encoded.into_inner();
            assert!(decode(&encoded, 512).is_ok(), "{format:?}");
            let cut = &encoded[..encoded.len() * 2 / 3];
            assert!(decode(cut, 512).is_err(), "{format:?}");
        }
    }

    #[test]
    fn amounts_of_ink_are_inverted_only_with_an_adobe_segment() {
        let adobe = include_bytes!("../../tests/fixtures/cmyk.jpg");
        let plain = [&adobe[..2], &adobe[18..]].concat();
        for (encoded, left, right) in [
            (&adobe[..], [255, 255, 255], [0, 0, 0]),
            (&plain, [0, 0, 0], [255, 255, 0]),
        ] {
            let picture = decode(encoded, 512).unwrap().into_rgb8();
            assert!(is_similar(*picture.get_pixel(1, 1), Rgb(left)));
            let found = *picture.get_pixel(14, 6);
            assert!(is_similar(found, Rgb(right)), "{found:?}");
        }
    }

    #[test]
    fn cyan_and_black_ink_make_dark_cyan() {
        assert_eq!(rgb_of_cmyk(&[255, 0, 0, 0]), [0, 255, 255]);
        assert_eq!(rgb_of_cmyk(&[255, 0, 0, 127]), [0, 128, 128]);
        assert_eq!(rgb_of_cmyk(&[0, 0, 0, 255]), [0, 0, 0]);
    }
}
