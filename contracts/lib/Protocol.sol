// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bytes} from "@openzeppelin/contracts/utils/Bytes.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title The hashes of docs/protocol, as a contract computes them.
/// @notice SHA-256 over a type byte and little-endian fields; docs/protocol/vectors freezes every one of them
///         for TypeScript and Solidity together.
library Protocol {
    /// @notice Type bytes of leaves that hold 64 values: int32 (256 bytes), int64 sums (512 bytes).
    bytes1 internal constant UPDATE = 0x00;
    bytes1 internal constant SUM = 0x01;
    bytes1 internal constant PARAMS = 0x02;

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

    /// @notice One runner's committed update: samples are training samples, weight is max(1, samples >> shift).
    struct RunnerHeader {
        uint32 index;
        address runner;
        bytes32 updateRoot;
        uint64 samples;
        uint32 weight;
        bytes signature;
    }

    /// @notice What a round was opened with; openHash commits to it.
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

    /// @param count leaves of the tree. @param index the leaf that was asked for.
    error LeafOutOfRange(uint256 index, uint256 count);
    /// @param expected siblings that a proof in this tree has. @param given siblings in the proof.
    error ProofLength(uint256 expected, uint256 given);
    error SignatureLength(uint256 given);

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
        uint256 depth = Math.log2(count, Math.Rounding.Ceil);
        if (proof.length != depth) revert ProofLength(depth, proof.length);
        hash = leaf;
        for (uint256 height = 0; height < depth; ++height) {
            bytes32 sibling = proof[height];
            hash = (index >> height) & 1 == 0 ? node(hash, sibling) : node(sibling, hash);
        }
    }

    /// @notice H(0x10 ‖ left ‖ right).
    function node(bytes32 left, bytes32 right) internal view returns (bytes32 hash) {
        // A proof is a chain of these: the scratch memory beyond the free pointer is used and not kept.
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

    // Commitments (PROTOCOL 5)

    /// @notice H(0x03 ‖ index ‖ runner ‖ updateRoot ‖ samples ‖ weight ‖ H(signature)), signature r ‖ s ‖ v.
    function runnerHeader(RunnerHeader memory header) internal pure returns (bytes32) {
        if (header.signature.length != 65) revert SignatureLength(header.signature.length);
        return
            sha256(
                abi.encodePacked(
                    bytes1(0x03),
                    le32(header.index),
                    header.runner,
                    header.updateRoot,
                    le64(header.samples),
                    le32(header.weight),
                    sha256(header.signature)
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
