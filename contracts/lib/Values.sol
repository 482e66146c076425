// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

// The assembly only reads words that Solidity would read byte by byte, from where the length was checked before.
/* solhint-disable no-inline-assembly */

/// @title The arithmetic of PROTOCOL 3 and 4 on one chunk of 64 values, as little-endian bytes.
/// @notice Sums are added eight values a word: offset by 2^31 they are not negative, and in 64-bit lanes
///         sum(w) * 2^32 <= 2^54 never carries into the lane beside.
library Values {
    /// @notice The largest parameter and velocity; -2^31 is never written.
    int256 internal constant LIMIT = 2 ** 31 - 1;
    /// @notice Most that the weights of a round sum to.
    uint256 internal constant MAX_WEIGHT = 2 ** 22;

    uint256 private constant LOW_32 = 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff;
    uint256 private constant SIGN_32 = 0x8000000080000000800000008000000080000000800000008000000080000000;
    uint256 private constant SIGN_64 = 0x8000000000000000800000000000000080000000000000008000000000000000;
    uint256 private constant ONE_64 = 0x0000000000000001000000000000000100000000000000010000000000000001;

    error ChunkLength(uint256 expected, uint256 given);

    // Sums

    /// @notice lanes += weight * (q + 2^31) for 64 int32. Lane words 2j and 2j+1 hold the even and odd values of word j.
    function addInt32(uint256[16] memory lanes, bytes calldata chunk, uint256 weight) internal pure {
        if (chunk.length != 256) revert ChunkLength(256, chunk.length);
        for (uint256 j = 0; j < 8; ++j) {
            uint256 word;
            assembly ("memory-safe") {
                word := calldataload(add(chunk.offset, mul(j, 32)))
            }
            word = reverse32(word) ^ SIGN_32;
            unchecked {
                lanes[2 * j] += ((word >> 32) & LOW_32) * weight;
                lanes[2 * j + 1] += (word & LOW_32) * weight;
            }
        }
    }

    /// @notice Whether 64 int64 are the sums that `addInt32` gathered with weights of `weight` together.
    function equalsInt32Sum(
        uint256[16] memory lanes,
        bytes calldata sums,
        uint256 weight
    ) internal pure returns (bool) {
        if (sums.length != 512) revert ChunkLength(512, sums.length);
        int256 offset = int256(weight << 31);
        for (uint256 i = 0; i < 64; ++i) {
            uint256 lane = lanes[2 * (i >> 3) + (i & 1)];
            uint256 value = (lane >> (192 - 64 * ((i & 7) >> 1))) & type(uint64).max;
            if (int256(value) - offset != int64At(sums, i)) return false;
        }
        return true;
    }

    /// @notice lanes += s + 2^54 for 64 int64, four a word.
    /// @return inRange false when a value is outside [-2^54, 2^54): then it is no sum of weights up to 2^22, and
    ///         the lanes are worth nothing.
    function addInt64(uint256[16] memory lanes, bytes calldata chunk) internal pure returns (bool inRange) {
        if (chunk.length != 512) revert ChunkLength(512, chunk.length);
        uint256 beyond = 0;
        for (uint256 j = 0; j < 16; ++j) {
            uint256 word;
            assembly ("memory-safe") {
                word := calldataload(add(chunk.offset, mul(j, 32)))
            }
            word = reverse64(word);
            unchecked {
                // 2^54 in every lane, without a carry out of it.
                word = ((word & ~SIGN_64) + (ONE_64 << 54)) ^ (word & SIGN_64);
                beyond |= word;
                lanes[j] += word;
            }
        }
        return beyond & (ONE_64 * 0xff80000000000000) == 0;
    }

    /// @notice Whether 64 int64 are the sums that `addInt64` gathered from `count` children.
    function equalsInt64Sum(
        uint256[16] memory lanes,
        bytes calldata sums,
        uint256 count
    ) internal pure returns (bool) {
        if (sums.length != 512) revert ChunkLength(512, sums.length);
        int256 offset = int256(count << 54);
        for (uint256 i = 0; i < 64; ++i) {
            uint256 value = (lanes[i >> 2] >> (192 - 64 * (i & 3))) & type(uint64).max;
            if (int256(value) - offset != int64At(sums, i)) return false;
        }
        return true;
    }

    // Steps

    /// @notice The integer nearest to numerator / denominator; a tie goes to the even one.
    function roundHalfEven(int256 numerator, int256 denominator) internal pure returns (int256 nearest) {
        unchecked {
            nearest = numerator / denominator;
            int256 rest = numerator - nearest * denominator;
            if (rest < 0) {
                rest += denominator;
                --nearest;
            }
            int256 twice = 2 * rest;
            if (twice > denominator || (twice == denominator && nearest & 1 != 0)) ++nearest;
        }
    }

    // Reading

    /// @notice int32 at position i of little-endian bytes; the caller has checked the length.
    function int32At(bytes memory values, uint256 i) internal pure returns (int256) {
        uint256 word;
        assembly ("memory-safe") {
            word := mload(add(add(values, 32), mul(i, 4)))
        }
        return int32(uint32(reverse32(word) >> 224));
    }

    /// @notice int64 at position i of little-endian bytes; the caller has checked the length.
    function int64At(bytes calldata values, uint256 i) internal pure returns (int256) {
        uint256 word;
        assembly ("memory-safe") {
            word := calldataload(add(values.offset, mul(i, 8)))
        }
        return int64(uint64(reverse64(word) >> 192));
    }

    /// @notice Reverses the bytes of each of eight 32-bit lanes.
    function reverse32(uint256 word) internal pure returns (uint256) {
        uint256 odd = 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff;
        word = ((word & odd) << 8) | ((word >> 8) & odd);
        odd = 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;
        return ((word & odd) << 16) | ((word >> 16) & odd);
    }

    /// @notice Reverses the bytes of each of four 64-bit lanes.
    function reverse64(uint256 word) internal pure returns (uint256) {
        word = reverse32(word);
        return ((word & LOW_32) << 32) | ((word >> 32) & LOW_32);
    }
}
