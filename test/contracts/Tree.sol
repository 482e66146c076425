// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Protocol} from "../../contracts/lib/Protocol.sol";

/// @dev A second, plain implementation of PROTOCOL 5's positional tree: levels of full arrays.
library Tree {
    function rewardLeaf(Protocol.RewardLeaf memory leaf) internal pure returns (bytes32) {
        return
            sha256(
                bytes.concat(
                    hex"05",
                    little(leaf.index, 4),
                    bytes20(leaf.account),
                    little(leaf.cumulative, 16),
                    little(leaf.previous, 16),
                    little(leaf.totalPrefix, 16),
                    leaf.deltaRoot
                )
            );
    }

    function deltaLeaf(Protocol.Delta memory delta) internal pure returns (bytes32) {
        return sha256(bytes.concat(hex"09", delta.job, little(delta.round, 4), little(delta.amount, 16)));
    }

    function little(uint256 value, uint256 length) internal pure returns (bytes memory bytes_) {
        bytes_ = new bytes(length);
        for (uint256 i = 0; i < length; ++i) bytes_[i] = bytes1(uint8(value >> (8 * i)));
    }

    function root(bytes32[] memory leaves) internal pure returns (bytes32) {
        bytes32[] memory level = padded(leaves);
        while (level.length > 1) level = above(level);
        return level[0];
    }

    function proof(bytes32[] memory leaves, uint256 index) internal pure returns (bytes32[] memory siblings) {
        bytes32[] memory level = padded(leaves);
        uint256 depth = 0;
        while (1 << depth < level.length) ++depth;
        siblings = new bytes32[](depth);
        for (uint256 height = 0; height < depth; ++height) {
            siblings[height] = level[(index >> height) ^ 1];
            level = above(level);
        }
    }

    function padded(bytes32[] memory leaves) private pure returns (bytes32[] memory level) {
        uint256 size = 1;
        while (size < leaves.length) size *= 2;
        level = new bytes32[](size);
        for (uint256 i = 0; i < leaves.length; ++i) level[i] = leaves[i];
    }

    function above(bytes32[] memory level) private pure returns (bytes32[] memory upper) {
        upper = new bytes32[](level.length / 2);
        for (uint256 i = 0; i < upper.length; ++i)
            upper[i] = sha256(bytes.concat(hex"10", level[2 * i], level[2 * i + 1]));
    }
}
