// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Values} from "../../contracts/lib/Values.sol";
import {Test} from "./Vm.sol";

/// @dev The word arithmetic against plain loops over single values, at random and at the edges of PROTOCOL 3 and 4.
contract ValuesTest is Test {
    int256 private constant MOST = 2 ** 31 - 1;
    uint256 private constant WEIGHT = 2 ** 22;

    function testFuzz_sums_of_int32_are_exact_whatever_the_values(
        uint256 seed,
        uint256 children,
        uint256 wrong
    ) public view {
        children = bound(children, 1, 16);
        bytes[] memory chunks = new bytes[](children);
        uint256[] memory weights = new uint256[](children);
        int256[64] memory expected;
        uint256 total = 0;
        for (uint256 c = 0; c < children; ++c) {
            weights[c] = bound(uint256(keccak256(abi.encode(seed, "w", c))), 1, WEIGHT / children);
            total += weights[c];
            int256[64] memory values = vector(uint256(keccak256(abi.encode(seed, c))));
            chunks[c] = int32s(values);
            for (uint256 i = 0; i < 64; ++i) expected[i] += values[i] * int256(weights[c]);
        }
        vm.assertTrue(this.isSum(chunks, weights, int64s(expected), total));
        expected[wrong % 64] += wrong & 64 == 0 ? int256(1) : int256(-1);
        vm.assertFalse(this.isSum(chunks, weights, int64s(expected), total));
    }

    function testFuzz_sums_of_int64_are_exact_and_what_is_no_sum_is_found(
        uint256 seed,
        uint256 children,
        uint256 wrong
    ) public view {
        children = bound(children, 1, 8);
        bytes[] memory chunks = new bytes[](children);
        int256[64] memory expected;
        int256[64] memory values;
        for (uint256 c = 0; c < children; ++c) {
            for (uint256 i = 0; i < 64; ++i) {
                uint256 any = uint256(keccak256(abi.encode(seed, c, i)));
                values[i] =
                    any % 5 == 0
                        ? int256(2 ** 53)
                        : any % 5 == 1
                            ? -int256(2 ** 53)
                            : int256(bound(any, 0, 2 ** 54)) - 2 ** 53;
                expected[i] += values[i];
            }
            chunks[c] = int64s(values);
        }
        vm.assertTrue(this.isSumOfSums(chunks, int64s(expected)));
        expected[wrong % 64] += wrong & 64 == 0 ? int256(1) : int256(-1);
        vm.assertFalse(this.isSumOfSums(chunks, int64s(expected)));
        expected[wrong % 64] -= wrong & 64 == 0 ? int256(1) : int256(-1);
        // One value that no sum of weights up to 2^22 has: alone of its size, it must not hide in a carry.
        values[wrong % 64] = wrong & 64 == 0 ? int256(2 ** 54) : -int256(2 ** 63);
        chunks[children - 1] = int64s(values);
        vm.assertFalse(this.isSumOfSums(chunks, int64s(expected)));
    }

    function testFuzz_rounding_is_to_the_nearest_and_ties_to_even(
        int256 numerator,
        uint256 denominator
    ) public pure {
        int256 d = int256(bound(denominator, 1, 2 ** 43));
        int256 n = numerator % int256(2 ** 74);
        int256 nearest = Values.roundHalfEven(n, d);
        int256 rest = n - nearest * d;
        if (rest < 0) rest = -rest;
        vm.assertTrue(2 * rest <= d);
        if (2 * rest == d) vm.assertTrue(nearest % 2 == 0);
    }

    function test_ties_on_both_sides_of_zero() public pure {
        int256[8] memory twice = [int256(1), 3, 5, 7, -1, -3, -5, -7];
        int256[8] memory nearest = [int256(0), 2, 2, 4, 0, -2, -2, -4];
        for (uint256 i = 0; i < 8; ++i) vm.assertTrue(Values.roundHalfEven(twice[i], 2) == nearest[i]);
    }

    function test_chunks_of_another_length_are_refused() public {
        bytes[] memory chunks = new bytes[](1);
        chunks[0] = new bytes(255);
        uint256[] memory weights = new uint256[](1);
        vm.expectRevert(abi.encodeWithSelector(Values.ChunkLength.selector, 256, 255));
        this.isSum(chunks, weights, new bytes(512), 0);
        chunks[0] = new bytes(256);
        vm.expectRevert(abi.encodeWithSelector(Values.ChunkLength.selector, 512, 513));
        this.isSum(chunks, weights, new bytes(513), 0);
        vm.expectRevert(abi.encodeWithSelector(Values.ChunkLength.selector, 512, 256));
        this.isSumOfSums(chunks, new bytes(512));
    }

    // The library takes calldata.

    function isSum(
        bytes[] calldata chunks,
        uint256[] calldata weights,
        bytes calldata sums,
        uint256 total
    ) external pure returns (bool) {
        uint256[16] memory lanes;
        for (uint256 i = 0; i < chunks.length; ++i) Values.addInt32(lanes, chunks[i], weights[i]);
        return Values.equalsInt32Sum(lanes, sums, total);
    }

    function isSumOfSums(bytes[] calldata chunks, bytes calldata sums) external pure returns (bool) {
        uint256[16] memory lanes;
        bool inRange = true;
        for (uint256 i = 0; i < chunks.length; ++i) if (!Values.addInt64(lanes, chunks[i])) inRange = false;
        return inRange && Values.equalsInt64Sum(lanes, sums, chunks.length);
    }

    /// @dev Every fifth value at an edge of int32 as it is written, every fifth at the edge that never is.
    function vector(uint256 seed) private pure returns (int256[64] memory values) {
        for (uint256 i = 0; i < 64; ++i) {
            uint256 any = uint256(keccak256(abi.encode(seed, i)));
            if (any % 5 == 0) values[i] = any & 256 == 0 ? MOST : -MOST;
            else if (any % 5 == 1) values[i] = any & 256 == 0 ? int256(0) : -MOST - 1;
            else values[i] = int256(int32(uint32(any >> 8)));
        }
    }

    function int32s(int256[64] memory values) private pure returns (bytes memory chunk) {
        for (uint256 i = 0; i < 64; ++i) chunk = bytes.concat(chunk, little(uint256(values[i]), 4));
    }

    function int64s(int256[64] memory values) private pure returns (bytes memory chunk) {
        for (uint256 i = 0; i < 64; ++i) chunk = bytes.concat(chunk, little(uint256(values[i]), 8));
    }

    function little(uint256 value, uint256 length) private pure returns (bytes memory bytes_) {
        bytes_ = new bytes(length);
        for (uint256 i = 0; i < length; ++i) bytes_[i] = bytes1(uint8(value >> (8 * i)));
    }
}
