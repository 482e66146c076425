// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Accounts} from "./Accounts.sol";
import {Records} from "./lib/Records.sol";

/// @title Members that sign a closing: "I hold every update under this root and recomputed it".
/// @notice A job that asks for t attesters closes a round only with the signatures of t members out of 2t + 1 that are
///         drawn, none of them the coordinator's. Where there are fewer members, all are drawn, and no more signatures
///         are needed than there are others.
///         The seed is the hash of the block after the opening's: when the coordinator sends the opening nobody knows
///         it, and nothing that the coordinator does later changes it. Whoever makes that block can choose among the
///         blocks it could make; that is the most that a chain without a random beacon gives.
abstract contract Attestations is Accounts, EIP712 {
    /// @param opened block of the opening. @param seed 0 until it is kept; the last 192 bits of the block's hash.
    struct Draw {
        uint64 opened;
        uint192 seed;
    }

    event SeedKept(bytes32 indexed job, uint256 seed);

    error NotAttested(bytes32 job);
    error SeedUnknown(bytes32 job);

    /// @notice What a job may ask for at most; drawn are twice as many, and one.
    uint8 public constant MOST_ATTESTERS = 8;

    bytes32 private constant ATTESTATION_TYPEHASH = keccak256(
        "Attestation(bytes32 job,uint32 round,bytes32 closing)"
    );

    /// @notice Of a job's newest opening, if the job asks for attesters.
    mapping(bytes32 job => Draw) public draws;

    /// @notice Keeps the seed of the newest opening. Anyone may call it; needed only when the round takes longer than the
    ///         256 blocks for which a chain knows its hashes. If nobody did in time, it draws anew from the next
    ///         block: so whoever watches calls it, and no coordinator can wait for a draw that it likes better.
    function draw(bytes32 job) external {
        Draw storage entry = draws[job];
        if (entry.seed != 0 || entry.opened == 0) return;
        uint256 seed = _seed(entry);
        if (seed != 0) {
            entry.seed = uint192(seed);
            emit SeedKept(job, seed);
        } else if (block.number > entry.opened + 1) entry.opened = uint64(block.number);
    }

    /// @notice The members that are drawn now, in the order of the draw; the coordinator may be among them, and does not
    ///         count.
    function drawn(bytes32 job) external view returns (address[] memory members) {
        uint256 count = 2 * uint256(terms[job].attesters) + 1;
        uint256 all = consortium.members();
        uint8[] memory places = new uint8[](count < all ? count : all);
        for (uint256 i = 0; i < places.length; ++i) places[i] = uint8(i);
        (members, ) = consortium.drawMembers(_knownSeed(job), count, places);
    }

    /// @notice EIP-712 digest that an attester signs.
    function attestationHash(
        bytes32 job,
        uint32 round,
        Records.Closing calldata closing
    ) public view returns (bytes32) {
        bytes32 what = keccak256(abi.encode(closing));
        return _hashTypedDataV4(keccak256(abi.encode(ATTESTATION_TYPEHASH, job, round, what)));
    }

    /// @notice EIP-712 domain separator that runners and attesters sign under.
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    /// @dev Remembers in which block a round was opened.
    function _arm(bytes32 job) internal {
        if (terms[job].attesters != 0) draws[job] = Draw(uint64(block.number), 0);
    }

    /// @dev Whether enough of the drawn have signed. @param places ascending, so that nobody counts twice.
    function _attested(
        bytes32 job,
        address coordinator,
        bytes32 digest,
        uint8[] calldata places,
        bytes[] calldata signatures
    ) internal view returns (bool) {
        uint256 needed = terms[job].attesters;
        if (needed == 0) return true;
        (address[] memory members, uint256 all) = consortium.drawMembers(
            _knownSeed(job),
            2 * needed + 1,
            places
        );
        if (needed >= all) needed = all == 0 ? 0 : all - 1;
        if (places.length != signatures.length || places.length < needed) return false;
        for (uint256 i = 0; i < places.length; ++i) {
            if (i != 0 && places[i] <= places[i - 1]) return false;
            (address signer, ECDSA.RecoverError problem, ) = ECDSA.tryRecoverCalldata(digest, signatures[i]);
            bool counts =
                problem == ECDSA.RecoverError.NoError && signer == members[i] && signer != coordinator;
            if (!counts) return false;
        }
        return true;
    }

    function _knownSeed(bytes32 job) private view returns (uint256 seed) {
        seed = _seed(draws[job]);
        if (seed == 0) revert SeedUnknown(job);
    }

    /// @dev 0 while it is not known, and when it no longer is.
    function _seed(Draw storage entry) private view returns (uint256) {
        uint256 kept = entry.seed;
        return kept != 0 ? kept : uint192(uint256(blockhash(entry.opened + 1)));
    }
}
