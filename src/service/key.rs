/// The hash of a key, the same in every process and version: FNV-1a, 64 bits.
///
/// Source: G. Fowler, L. C. Noll, K.-P. Vo, "The FNV Non-Cryptographic Hash Algorithm".
pub(super) fn key_hash(key: &str) -> u64 {
    key.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// How well an instance fits a key: the highest wins (rendezvous hashing), so that when an instance
/// comes or goes only its own keys move.
///
/// Source: D. Thaler, C. Ravishankar, "A Name-Based Mapping Scheme for Rendezvous", 1996. The mix is
/// the finalizer of MurmurHash3.
pub(super) fn fitness(key: u64, instance: u64) -> u64 {
    let mut mixed = key ^ instance.rotate_left(32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_published_vectors() {
        assert_eq!(key_hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(key_hash("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(key_hash("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn keys_spread_evenly_and_only_those_of_a_lost_instance_move() {
        let instances = [11_u64, 22, 33, 44];
        let best = |key: u64, among: &[u64]| {
            *among.iter().max_by_key(|instance| fitness(key, **instance)).expect("instances")
        };
        let keys: Vec<u64> = (0..10_000).map(|n| key_hash(&format!("customer-{n}"))).collect();
        for instance in instances {
            let share = keys.iter().filter(|key| best(**key, &instances) == instance).count();
            assert!((2_200..2_800).contains(&share), "{instance}: {share}");
        }
        let left = &instances[..3];
        for key in keys {
            let before = best(key, &instances);
            assert!(before == 44 || best(key, left) == before);
        }
    }
}
