// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What the chain remembers of a job: one word for each opening and each closing.
/// @notice A word is the block time (32 bits, good until 2106) in front of the last 224 bits of the keccak256 of the
///         fields, so finality needs no storage of its own. Finding two sets of fields for one word takes 2^112 tries.
library Records {
    /// @notice Rules of the step that a contract can recompute.
    uint8 internal constant FEDAVG = 1;
    uint8 internal constant FEDAVGM = 2;
    /// @notice The trim that stands for the median; 1 to 49 is the trimmed mean's percentage at each end.
    uint8 internal constant MEDIAN = 50;

    /// @notice The part of a job's spec that disputes need; whoever reads the spec sees whether they agree.
    /// @param dimension parameters of the model. @param rule FEDAVG, FEDAVGM, or 0 for a step that only attesters
    ///        vouch for, and four times the trim of a robust rule (`stepOf`, `trimOf`). @param rateNumerator and the other three: the fractions of PROTOCOL 4, momentum 0/1 for FedAvg.
    /// @param attesters drawn members that must sign a closing, 0 for none. @param sampleCap most samples that a runner
    ///        may claim with the data contract of the job, 0 for no cap.
    struct Terms {
        uint64 dimension;
        uint8 rule;
        uint32 rateNumerator;
        uint32 rateDenominator;
        uint32 momentumNumerator;
        uint32 momentumDenominator;
        uint8 attesters;
        uint48 sampleCap;
    }

    /// @notice What a job is created with; amounts in token units.
    // Never stored: its encoding is hashed, in this order.
    // solhint-disable-next-line gas-struct-packing
    struct Creation {
        bytes32 job;
        address coordinator;
        bytes32 specHash;
        bytes32 parentVersion;
        bytes32 genesisVersion;
        bytes32 manifestHash;
        bytes32 arweaveId;
        uint32 rounds;
        uint256 budget;
        Terms terms;
    }

    /// @param opening the word of the opening that it closes.
    struct Closing {
        bytes32 opening;
        bytes32 rootHeader;
        bytes32 paramsRoot;
        bytes32 versionId;
        bytes32 manifestHash;
        bytes32 arweaveId;
    }

    /// @notice How the parameters follow from a round's sum: FEDAVG, FEDAVGM or 0.
    function stepOf(uint8 rule) internal pure returns (uint8) {
        return rule & 3;
    }

    /// @notice What stands in place of the weighted sum: 0 nothing, up to 49 a trimmed mean, MEDIAN.
    function trimOf(uint8 rule) internal pure returns (uint8) {
        return rule >> 2;
    }

    /// @notice The word of something that happens now.
    function wordNow(bytes32 digest) internal view returns (bytes32) {
        return bytes32((block.timestamp << 224) | uint224(uint256(digest)));
    }

    /// @notice Block time of a word, seconds since 1970; 0 for no word.
    function time(bytes32 word) internal pure returns (uint256) {
        return uint256(word) >> 224;
    }

    function holds(bytes32 word, bytes32 digest) internal pure returns (bool) {
        return word != 0 && uint224(uint256(word)) == uint224(uint256(digest));
    }

    /// @param previous word of the closing before. @param openHash of PROTOCOL 6.
    function openingDigest(
        bytes32 previous,
        bytes32 job,
        uint32 round,
        bytes32 openHash
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(previous, job, round, openHash));
    }
}
