//! A root certificate as a configuration profile (Apple's property list for `com.apple.security.root`), which is how iPhones
//! and iPads take one.

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};

/// The profile of the root called `name`, which is `der` and, the same again, `pem`.
pub(super) fn of(name: &str, der: &CertificateDer<'_>, pem: &str) -> String {
    let name = escaped(name);
    // The base64 of it stands between the two marks.
    let base64: String = pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    // Of the certificate: so a profile that is installed again replaces itself.
    let hash = Sha256::digest(der);
    let (profile, root) = (uuid(&hash[..16]), uuid(&hash[16..]));
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>PayloadType</key><string>Configuration</string>
  <key>PayloadVersion</key><integer>1</integer>
  <key>PayloadIdentifier</key><string>lockstep.{profile}</string>
  <key>PayloadUUID</key><string>{profile}</string>
  <key>PayloadDisplayName</key><string>{name}</string>
  <key>PayloadDescription</key><string>Lets this phone trust the secure page of the music in this house, and nothing else.</string>
  <key>PayloadContent</key>
  <array>
    <dict>
      <key>PayloadType</key><string>com.apple.security.root</string>
      <key>PayloadVersion</key><integer>1</integer>
      <key>PayloadIdentifier</key><string>lockstep.{profile}.{root}</string>
      <key>PayloadUUID</key><string>{root}</string>
      <key>PayloadDisplayName</key><string>{name}</string>
      <key>PayloadCertificateFileName</key><string>lockstep.crt</string>
      <key>PayloadContent</key><data>{base64}</data>
    </dict>
  </array>
</dict>
</plist>
"#
    )
}

/// A UUID of one's own making (version 8 of RFC 9562, 5.8) from 16 bytes.
fn uuid(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let byte = match i {
            6 => byte & 0x0f | 0x80,
            8 => byte & 0x3f | 0x80,
            _ => *byte,
        };
        text.push_str(&format!("{byte:02X}"));
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_carries_the_certificate_and_is_the_same_each_time() {
        let der = CertificateDer::from(vec![1, 2, 3]);
        let pem = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
        let profile = of("Lockstep on <pi> & co", &der, pem);
        assert_eq!(profile, of("Lockstep on <pi> & co", &der, pem));
        assert!(profile.contains("<data>AQID</data>"), "{profile}");
        assert!(profile.contains("Lockstep on &lt;pi&gt; &amp; co"));
        let other = of("Lockstep on <pi> & co", &CertificateDer::from(vec![4]), pem);
        assert_ne!(profile, other, "another root is another profile");
    }

    #[test]
    fn a_uuid_says_which_kind_it_is() {
        assert_eq!(uuid(&[0xff; 16]), "FFFFFFFF-FFFF-8FFF-BFFF-FFFFFFFFFFFF");
    }
}
