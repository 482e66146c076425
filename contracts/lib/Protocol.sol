// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bytes} from "@openzeppelin/contracts/utils/Bytes.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

// The assembly hashes nodes of trees without allocating memory for each.
/* solhint-disable no-inline-assembly */

/// @title The hashes of docs/protocol, as a contract computes them.
/// @notice SHA-256 over a type byte and little-endian fields; docs/protocol/vectors freezes every one of them
///         for TypeScript and Solidity together.
library Protocol {
    /// @notice Type bytes of leaves that hold 64 values: int32 (256 bytes), int64 sums (512 bytes).
    bytes1 internal constant UPDATE = 0x00;
    bytes1 internal constant SUM = 0x01;
    bytes1 internal constant PARAMS = 0x02;
    bytes1 internal constant STATE = 0x06;

    /// @notice One account's line in an epoch of rewards; amounts in the token's smallest unit.
    /// @param index position in the tree; accounts ascend.
    /// @param account who is paid.
    /// @param cumulative all it has earned from this payer up to and including this epoch.
    /// @param previous its cumulative of the epoch before.
    /// @param totalPrefix sum of `cumulative` over all leaves before this one.
    /// @param deltaRoot tree over what it earned round by round in this epoch.
    struct RewardLeaf {
        uint32 index;
        address account;
        uint128 cumulative;
        uint128 previous;
        uint128 totalPrefix;
        bytes32 deltaRoot;
    }

    /// @notice What an account earned in one round, token units.
    struct Delta {
        bytes32 job;
        uint32 round;
        uint128 amount;
    }

    /// @notice What a model version's id commits to; stateRoot is 0 when the rule keeps no state.
    struct Version {
        bytes32 graphHash;
        bytes32 paramsRoot;
        bytes32 stepsHash;
        bytes32 stateRoot;
    }

    /// @notice What a round was opened with; openHash commits to it.
    // Never stored: the protocol hashes the fields in this order.
    // solhint-disable-next-line gas-struct-packing
    struct Opening {
        bytes32 job;
        uint32 round;
        bytes32 baseVersion;
        bytes32 specHash;
        uint8 shift;
        uint32 count;
        bytes32 selectionRoot;
    }

    /// @notice What a runner signs (EIP-712); dimension in parameters, samples and steps of training.
    // Never stored: EIP-712 hashes the fields in the order of the type.
    // solhint-disable-next-line gas-struct-packing
    struct Update {
        bytes32 job;
        uint32 round;
        bytes32 openHash;
        bytes32 updateRoot;
        uint64 dimension;
        uint64 samples;
        uint64 steps;
    }

    bytes32 internal constant UPDATE_TYPEHASH = keccak256(
        "Update(bytes32 job,uint32 round,bytes32 openHash,bytes32 updateRoot,uint64 dimension,uint64 samples,uint64 steps)"
    );

    /// @notice What a coordinator signs when it has an update and will add it (EIP-712).
    // Never stored: as above.
    // solhint-disable-next-line gas-struct-packing
    struct Receipt {
        bytes32 job;
        uint32 round;
        bytes32 openHash;
        address runner;
        bytes32 updateRoot;
    }

    /// @notice What a runner signs before any runner shows its update (EIP-712). @param seal of `sealOf`.
    struct Seal {
        bytes32 job;
        uint32 round;
        bytes32 openHash;
        bytes32 seal;
    }

    bytes32 internal constant RECEIPT_TYPEHASH = keccak256(
        "Receipt(bytes32 job,uint32 round,bytes32 openHash,address runner,bytes32 updateRoot)"
    );
    bytes32 internal constant SEAL_TYPEHASH = keccak256(
        "Seal(bytes32 job,uint32 round,bytes32 openHash,bytes32 seal)"
    );

    /// @param count leaves of the tree. @param index the leaf that was asked for.
    error LeafOutOfRange(uint256 index, uint256 count);
    /// @param expected siblings that a proof in this tree has. @param given siblings in the proof.
    error ProofLength(uint256 expected, uint256 given);

    /// @param expected nodes that the row has. @param given nodes that were shown.
    error RowLength(uint256 expected, uint256 given);

    // Trees (PROTOCOL 5)

    /// @notice Root that a leaf and its siblings (from the leaf upwards) lead to in a positional tree.
    /// @dev Index and length are exact, so that no leaf can be shown at two places and no node as a leaf.
    function rootOf(
        bytes32 leaf,
        uint256 index,
        uint256 count,
        bytes32[] calldata proof
    ) internal view returns (bytes32 hash) {
        if (index >= count) revert LeafOutOfRange(index, count);
        uint256 depth = depthOf(count);
        if (proof.length != depth) revert ProofLength(depth, proof.length);
        hash = leaf;
        // Disputes and claims are chains of these: `node` for each sibling, with the memory beyond the free pointer.
        assembly ("memory-safe") {
            let left := add(mload(0x40), 1)
            mstore8(mload(0x40), 0x10)
            let end := add(proof.offset, shl(5, depth))
            for {
                let at := proof.offset
            } lt(at, end) {
                at := add(at, 32)
            } {
                let side := shl(5, and(index, 1))
                mstore(add(left, side), hash)
                mstore(add(left, sub(32, side)), calldataload(at))
                if iszero(staticcall(gas(), 2, sub(left, 1), 65, 0, 32)) {
                    revert(0, 0)
                }
                hash := mload(0)
                index := shr(1, index)
            }
        }
    }

    /// @notice Levels above the leaves of a tree.
    function depthOf(uint256 leaves) internal pure returns (uint256) {
        return Math.log2(leaves, Math.Rounding.Ceil);
    }

    /// @notice Nodes of a tree at a height above its leaves.
    function nodesAt(uint256 leaves, uint256 height) internal pure returns (uint256) {
        return (leaves + (1 << height) - 1) >> height;
    }

    /// @notice Reverts unless a tree has a node at this height, at least 1, and index.
    function checkInner(uint256 leaves, uint256 height, uint256 index) internal pure {
        if (height == 0 || height > depthOf(leaves) || index >= nodesAt(leaves, height))
            revert LeafOutOfRange(index, leaves);
    }

    /// @notice Root that a row of nodes leads to, eight levels below one inner node (or the leaves, if they are nearer).
    /// @param row all nodes of it that exist. @param proof siblings from the inner node upwards.
    function rowRoot(
        uint256 leaves,
        uint256 height,
        uint256 index,
        bytes32[] calldata row,
        bytes32[] calldata proof
    ) internal view returns (bytes32) {
        uint256 levels = height > 8 ? 8 : height;
        uint256 below = height - levels;
        {
            uint256 existing = nodesAt(leaves, below) - (index << levels);
            if (existing > 1 << levels) existing = 1 << levels;
            if (row.length != existing) revert RowLength(existing, row.length);
        }
        bytes32 node_ = subtree(row, levels, below);
        return rootOf(node_, index, nodesAt(leaves, height), proof);
    }

    /// @notice H(0x10 ‖ left ‖ right).
    function node(bytes32 left, bytes32 right) internal view returns (bytes32 hash) {
        // The scratch memory beyond the free pointer is used and not kept.
        assembly ("memory-safe") {
            let scratch := mload(0x40)
            mstore8(scratch, 0x10)
            mstore(add(scratch, 1), left)
            mstore(add(scratch, 33), right)
            if iszero(staticcall(gas(), 2, scratch, 65, scratch, 32)) {
                revert(0, 0)
            }
            hash := mload(scratch)
        }
    }

    /// @notice H(kind ‖ values), a leaf of 64 values that are padded already.
    function valuesLeaf(bytes1 kind, bytes memory values) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(kind, values));
    }

    /// @notice Whether padded values are leaf `index` of the `count` under `root`.
    function holdsValues(
        bytes32 root,
        bytes1 kind,
        bytes calldata values,
        uint256 index,
        uint256 count,
        bytes32[] calldata proof
    ) internal view returns (bool) {
        return rootOf(valuesLeaf(kind, values), index, count, proof) == root;
    }

    /// @notice H(graphHash ‖ paramsRoot ‖ stepsHash ‖ stateRoot).
    function versionId(Version calldata version) internal pure returns (bytes32) {
        return
            sha256(
                abi.encodePacked(version.graphHash, version.paramsRoot, version.stepsHash, version.stateRoot)
            );
    }

    /// @notice H(0x05 ‖ index ‖ account ‖ cumulative ‖ previous ‖ totalPrefix ‖ deltaRoot).
    function rewardLeaf(RewardLeaf calldata leaf) internal pure returns (bytes32) {
        return
            sha256(
                abi.encodePacked(
                    bytes1(0x05),
                    le32(leaf.index),
                    leaf.account,
                    le128(leaf.cumulative),
                    le128(leaf.previous),
                    le128(leaf.totalPrefix),
                    leaf.deltaRoot
                )
            );
    }

    /// @notice H(0x09 ‖ job ‖ round ‖ amount).
    function deltaLeaf(Delta calldata delta) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x09), delta.job, le32(delta.round), le128(delta.amount)));
    }

    /// @notice Root of a whole list, where nothing commits to its length; 0 for an empty one.
    function deltaRoot(Delta[] calldata deltas) internal view returns (bytes32) {
        uint256 count = deltas.length;
        if (count == 0) return 0;
        bytes32[] memory level = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) level[i] = deltaLeaf(deltas[i]);
        return subtree(level, depthOf(count), 0);
    }

    /// @notice The node `levels` above a row of at least one node, of which the last may be missing on the right.
    /// @param height of the row above the leaves, on which depends what a missing node counts as.
    function subtree(bytes32[] memory row, uint256 levels, uint256 height) internal view returns (bytes32) {
        bytes32 missing = 0;
        for (uint256 i = 0; i < height; ++i) missing = node(missing, missing);
        uint256 count = row.length;
        for (; levels != 0; --levels) {
            uint256 parents = (count + 1) / 2;
            for (uint256 i = 0; i < parents; ++i)
                row[i] = node(row[2 * i], 2 * i + 1 < count ? row[2 * i + 1] : missing);
            missing = node(missing, missing);
            count = parents;
        }
        return row[0];
    }

    // Commitments (PROTOCOL 5)

    /// @notice H(0x03 ‖ index ‖ runner ‖ updateRoot ‖ samples ‖ weight ‖ H(signature)), signature r ‖ s ‖ v.
    function runnerHeader(
        uint32 index,
        address runner,
        bytes32 updateRoot,
        uint64 samples,
        uint32 weight,
        bytes32 signatureHash
    ) internal pure returns (bytes32) {
        return
            sha256(
                abi.encodePacked(
                    bytes1(0x03),
                    le32(index),
                    runner,
                    updateRoot,
                    le64(samples),
                    le32(weight),
                    signatureHash
                )
            );
    }

    /// @notice H(0x04 ‖ sumRoot ‖ weight ‖ count ‖ child headers); weight is the sum of the children's weights,
    ///         count the number of runners below.
    function nodeHeader(
        bytes32 sumRoot,
        uint64 weight,
        uint32 count,
        bytes32[] memory children
    ) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x04), sumRoot, le64(weight), le32(count), children));
    }

    // Openings (PROTOCOL 2 and 6)

    /// @notice H(0x08 ‖ index ‖ runner ‖ maxSamples).
    function selectionLeaf(uint32 index, address runner, uint64 maxSamples) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x08), le32(index), runner, le64(maxSamples)));
    }

    /// @notice H(0x07 ‖ job ‖ round ‖ baseVersion ‖ specHash ‖ shift ‖ count ‖ selectionRoot).
    function openHash(Opening memory opening) internal pure returns (bytes32) {
        return
            sha256(
                abi.encodePacked(
                    bytes1(0x07),
                    opening.job,
                    le32(opening.round),
                    opening.baseVersion,
                    opening.specHash,
                    opening.shift,
                    le32(opening.count),
                    opening.selectionRoot
                )
            );
    }

    /// @notice EIP-712 struct hash of a runner's statement; with Jobs' domain it is what the runner signs.
    function updateHash(Update memory update) internal pure returns (bytes32) {
        return
            keccak256(
                abi.encode(
                    UPDATE_TYPEHASH,
                    update.job,
                    update.round,
                    update.openHash,
                    update.updateRoot,
                    update.dimension,
                    update.samples,
                    update.steps
                )
            );
    }

    /// @notice EIP-712 struct hash of a coordinator's receipt.
    function receiptHash(Receipt memory receipt) internal pure returns (bytes32) {
        return
            keccak256(
                abi.encode(
                    RECEIPT_TYPEHASH,
                    receipt.job,
                    receipt.round,
                    receipt.openHash,
                    receipt.runner,
                    receipt.updateRoot
                )
            );
    }

    /// @notice EIP-712 struct hash of a runner's seal.
    function sealHash(Seal memory sealed_) internal pure returns (bytes32) {
        return
            keccak256(abi.encode(SEAL_TYPEHASH, sealed_.job, sealed_.round, sealed_.openHash, sealed_.seal));
    }

    /// @notice H(0x0b ‖ updateRoot ‖ runner ‖ salt).
    function sealOf(bytes32 updateRoot, address runner, bytes32 salt) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x0b), updateRoot, runner, salt));
    }

    // Little-endian integers, as they are on the wire

    function le32(uint32 value) internal pure returns (bytes4) {
        return Bytes.reverseBytes4(bytes4(value));
    }

    function le64(uint64 value) internal pure returns (bytes8) {
        return Bytes.reverseBytes8(bytes8(value));
    }

    function le128(uint128 value) internal pure returns (bytes16) {
        return Bytes.reverseBytes16(bytes16(value));
    }
}
