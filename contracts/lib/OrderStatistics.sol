// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Records} from "./Records.sol";
import {Values} from "./Values.sol";

// The assembly reads and writes words in the middle of chunks, eight values at once; it stays inside the array.
/* solhint-disable no-inline-assembly */

/// @title Medians and trimmed means of PROTOCOL 3 over one chunk of 64 values of up to 16 updates.
/// @notice Four values are sorted at a time: offset by 2^31 they are not negative, and in 64-bit lanes their difference
///         shows in a bit of its own which is the larger, without a branch.
library OrderStatistics {
    uint256 private constant LOW_32 = 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff;
    uint256 private constant SIGN_32 = 0x8000000080000000800000008000000080000000800000008000000080000000;
    uint256 private constant BIT_32 = 0x0000000100000000000000010000000000000001000000000000000100000000;
    /// @dev Words of a chunk in 64-bit lanes, and their bytes.
    uint256 private constant WORDS = 16;
    uint256 private constant BYTES = 512;

    /// @notice Room for the chunks of so many updates, one behind the other.
    function allocate(uint256 count) internal pure returns (uint256[] memory lanes) {
        return new uint256[](WORDS * count);
    }

    /// @notice Takes the chunk of update `i`. Words 2j and 2j+1 hold the even and odd values of word j of the chunk.
    function put(uint256[] memory lanes, uint256 i, bytes calldata chunk) internal pure {
        if (chunk.length != 256) revert Values.ChunkLength(256, chunk.length);
        for (uint256 j = 0; j < 8; ++j) {
            uint256 word;
            assembly ("memory-safe") {
                word := calldataload(add(chunk.offset, mul(j, 32)))
            }
            word = Values.reverse32(word) ^ SIGN_32;
            lanes[WORDS * i + 2 * j] = (word >> 32) & LOW_32;
            lanes[WORDS * i + 2 * j + 1] = word & LOW_32;
        }
    }

    /// @notice Whether 64 int64 are `weight` times the means of what the rule keeps of the `count` chunks. The chunks
    ///         are in order of their values afterwards, position by position.
    function meansHold(
        uint256[] memory lanes,
        uint256 count,
        uint256 trim,
        uint256 weight,
        bytes calldata sums
    ) internal pure returns (bool) {
        if (sums.length != 512) revert Values.ChunkLength(512, sums.length);
        _sort(lanes, count);
        (uint256 from, uint256 to) = kept(trim, count);
        int256 offset = int256((to - from) << 31);
        for (uint256 word = 0; word < WORDS; ++word) {
            uint256 total = 0;
            // At most 16 values below 2^32 in a lane of 64 bits.
            for (uint256 i = from; i < to; ++i) total += lanes[WORDS * i + word];
            for (uint256 lane = 0; lane < 4; ++lane) {
                int256 value = int256((total >> (192 - 64 * lane)) & type(uint64).max) - offset;
                int256 mean = Values.roundHalfEven(value, int256(to - from));
                uint256 position = 8 * (word >> 1) + 2 * lane + (word & 1);
                if (mean * int256(weight) != Values.int64At(sums, position)) return false;
            }
        }
        return true;
    }

    /// @notice Which of `count` values in ascending order are averaged: the first, and one past the last.
    function kept(uint256 trim, uint256 count) internal pure returns (uint256 from, uint256 to) {
        if (trim == Records.MEDIAN) {
            from = (count - 1) / 2;
            return (from, from + 1);
        }
        from = (trim * count) / 100;
        return (from, count - from);
    }

    /// @dev Batcher's odd-even merge sort, of all 64 positions at once.
    function _sort(uint256[] memory lanes, uint256 count) private pure {
        unchecked {
            for (uint256 p = 1; p < count; p *= 2)
                for (uint256 k = p; k != 0; k /= 2)
                    for (uint256 j = k % p; j + k < count; j += 2 * k)
                        for (uint256 i = j; i < j + k && i + k < count; ++i)
                            if (i / (2 * p) == (i + k) / (2 * p)) _exchange(lanes, i, i + k);
        }
    }

    /// @dev Puts the smaller values of two chunks into the first and the larger into the second.
    function _exchange(uint256[] memory lanes, uint256 low, uint256 high) private pure {
        assembly ("memory-safe") {
            let a := add(add(lanes, 32), mul(low, BYTES))
            let b := add(add(lanes, 32), mul(high, BYTES))
            for {
                let end := add(a, BYTES)
            } lt(a, end) {
                a := add(a, 32)
                b := add(b, 32)
            } {
                let x := mload(a)
                let y := mload(b)
                // Bit 32 of a lane stays where x is not below y; then the lane's lower bits are all set in the mask.
                let above := and(sub(or(x, BIT_32), y), BIT_32)
                let change := and(xor(x, y), sub(above, shr(32, above)))
                mstore(a, xor(x, change))
                mstore(b, xor(y, change))
            }
        }
    }
}
