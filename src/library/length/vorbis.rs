//! The number of samples in a Vorbis packet, which depends on the sizes of the packet's block and of the block before it.
//!
//! Source: "Vorbis I specification", 4.2.4 and 4.3.8, <https://xiph.org/vorbis/doc/Vorbis_I_spec.html>.

/// The most modes that a setup header may define.
const MAX_MODES: usize = 64;
/// The size in bits of a mode in the setup header: block flag, window type, transform type and mapping.
const MODE_SIZE_BITS: usize = 1 + 16 + 16 + 8;

/// The values in the headers that determine the size of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BlockSizes {
    short: u64,
    long: u64,
    /// For each mode, whether it uses the long block.
    mode_is_long: Vec<bool>,
    /// The number of bits that hold the number of a mode in a packet.
    mode_number_bits: u32,
}

impl BlockSizes {
    /// Parses the identification header and the setup header. `None` if they are malformed.
    pub(super) fn parse(identification: &[u8], setup: &[u8]) -> Option<Self> {
        let exponents = *identification.get(28)?;
        let (short, long) = (1 << (exponents & 0xf), 1 << (exponents >> 4));
        let modes = parse_modes(setup)?;
        Some(BlockSizes {
            short,
            long,
            mode_number_bits: usize::BITS - (modes.len() - 1).leading_zeros(),
            mode_is_long: modes,
        })
    }

    /// The size of the block of a packet that begins with `first_byte`, in samples. `None` if the packet is not audio.
    pub(super) fn of_packet(&self, first_byte: u8) -> Option<u64> {
        if first_byte & 1 != 0 {
            return None;
        }
        let mode = usize::from(first_byte >> 1) & ((1 << self.mode_number_bits) - 1);
        let is_long = *self.mode_is_long.get(mode)?;
        Some(if is_long { self.long } else { self.short })
    }
}

/// The block flags of the modes, which are at the end of the setup header. The parts before the modes can be skipped only by
/// parsing all code books, so the modes are searched backward from the end: window type and transform type are always 0, and a
/// number of modes precedes them.
fn parse_modes(setup: &[u8]) -> Option<Vec<bool>> {
    let bit = |at: usize| -> bool {
        let byte = setup.get(at / 8).copied().unwrap_or(0);
        byte >> (at % 8) & 1 != 0
    };
    let number = |at: usize, size: usize| {
        (0..size).fold(0_usize, |sum, offset| {
            sum | usize::from(bit(at + offset)) << offset
        })
    };
    // The framing bit is the last bit that is set.
    let framing_bit = (0..setup.len() * 8).rev().find(|at| bit(*at))?;
    let mut flags = Vec::new();
    let mut found = None;
    let mut at = framing_bit;
    while flags.len() < MAX_MODES {
        let Some(start) = at.checked_sub(MODE_SIZE_BITS).filter(|start| *start >= 6) else {
            break;
        };
        let types_are_zero = (start + 1..start + 33).all(|at| !bit(at));
        let mapping = number(start + 33, 8);
        if !types_are_zero || mapping >= MAX_MODES {
            break;
        }
        flags.push(bit(start));
        if number(start - 6, 6) + 1 == flags.len() {
            found = Some(flags.len());
        }
        at = start;
    }
    flags.truncate(found?);
    flags.reverse();
    Some(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A setup header that ends with modes with these block flags.
    fn setup(flags: &[bool]) -> Vec<u8> {
        let mut bits = vec![true; 100];
        let mut push = |value: usize, size: usize| {
            bits.extend((0..size).map(|bit| value >> bit & 1 != 0));
        };
        push(flags.len() - 1, 6);
        for flag in flags {
            push(usize::from(*flag), 1);
            push(0, 32);
            push(1, 8);
        }
        push(1, 1);
        let bytes = bits.chunks(8).map(|bits| {
            let bits = bits.iter().enumerate();
            bits.fold(0, |byte, (at, bit)| byte | u8::from(*bit) << at)
        });
        bytes.collect()
    }

    #[test]
    fn finds_the_modes_at_the_end_of_the_setup_header() {
        for flags in [
            &[false, true][..],
            &[true],
            &[false, true, true, false, true],
        ] {
            assert_eq!(parse_modes(&setup(flags)).as_deref(), Some(flags));
        }
        for malformed in [&[][..], &[0], &[0xff; 40]] {
            assert_eq!(parse_modes(malformed), None);
        }
    }

    #[test]
    fn derives_the_block_size_from_the_first_byte_of_a_packet() {
        let mut identification = [0; 30];
        identification[28] = 0xb8;
        let sizes = BlockSizes::parse(&identification, &setup(&[false, true])).unwrap();
        assert_eq!(sizes.of_packet(0b00), Some(256));
        assert_eq!(sizes.of_packet(0b10), Some(2_048));
        assert_eq!(sizes.of_packet(0b01), None);
    }
}
