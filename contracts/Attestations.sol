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
    event SeedKept(bytes32 indexed job, uint256 seed);

    error NotAttested(bytes32 job);
    error SeedUnknown(bytes32 job);

    /// @notice What a job may ask for at most; drawn are twice as many, and one.
    uint8 public constant MOST_ATTESTERS = 8;

    bytes32 private constant ATTESTATION_TYPEHASH = keccak256(
        "Attestation(bytes32 job,uint32 round,bytes32 closing)"
    );

    /// @notice Of openings whose round takes longer than a chain knows the hashes of its blocks; 0 for all others.
    mapping(bytes32 opening => uint256) public seeds;

    /// @notice Keeps the seed of the newest opening. Anyone may call it; needed only when the round takes longer than the
    ///         256 blocks for which a chain knows its hashes. If nobody did in time, it draws anew from the next
    ///         block: so whoever watches calls it, and no coordinator can wait for a draw that it likes better.
    function draw(bytes32 job) external {
        Job storage entry = jobs[job];
        bytes32 opening = openings[job][entry.latest];
        if (seeds[opening] != 0 || entry.armed == 0) return;
        uint256 seed = uint256(blockhash(uint256(entry.armed) + 1));
        if (seed != 0) {
            seeds[opening] = seed;
            emit SeedKept(job, seed);
        } else if (block.number > uint256(entry.armed) + 1) entry.armed = uint32(block.number);
    }

    /// @notice The members that are drawn now, in the order of the draw; the coordinator may be among them, and does not
    ///         count.
    function drawn(bytes32 job) external view returns (address[] memory members) {
        (members, ) = consortium.drawMembers(
            _knownSeed(job),
            2 * uint256(terms[job].attesters) + 1,
            type(uint256).max
        );
    }

    /// @notice EIP-712 digest that an attester signs.
    function attestationHash(
        bytes32 job,
        uint32 round,
        Records.Closing calldata closing
    ) public view returns (bytes32) {
        return _attestationHash(job, round, keccak256(abi.encode(closing)));
    }

    /// @notice EIP-712 domain separator that runners and attesters sign under.
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    /// @param closing keccak256 of its fields.
    function _attestationHash(bytes32 job, uint32 round, bytes32 closing) internal view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(ATTESTATION_TYPEHASH, job, round, closing)));
    }

    /// @dev Whether enough of the drawn have signed. @param places a bit for each, so that nobody counts twice.
    function _attested(
        bytes32 job,
        address coordinator,
        bytes32 digest,
        uint256 places,
        bytes calldata signatures
    ) internal view returns (bool) {
        uint256 needed = terms[job].attesters;
        if (needed == 0) return true;
        (address[] memory members, uint256 all) = consortium.drawMembers(
            _knownSeed(job),
            2 * needed + 1,
            places
        );
        if (needed >= all) needed = all == 0 ? 0 : all - 1;
        uint256 offset = 0;
        for (uint256 place = 0; places >> place != 0; ++place) {
            if ((places >> place) & 1 == 0) continue;
            if (place >= members.length || offset + 64 > signatures.length) return false;
            address signer = _signer(digest, signatures[offset:offset + 64]);
            if (signer != members[place] || signer == coordinator) return false;
            offset += 64;
        }
        return offset == signatures.length && offset >= 64 * needed;
    }

    /// @return signer 0, whom nobody draws, for what is no signature.
    function _signer(bytes32 digest, bytes calldata signature) private pure returns (address signer) {
        (signer, , ) = ECDSA.tryRecover(digest, bytes32(signature[:32]), bytes32(signature[32:]));
    }

    /// @dev A seed that was kept is the hash that the chain knew then, so it is looked for only when that is gone.
    function _knownSeed(bytes32 job) private view returns (uint256 seed) {
        Job storage entry = jobs[job];
        seed = uint256(blockhash(uint256(entry.armed) + 1));
        if (seed == 0) seed = seeds[openings[job][entry.latest]];
        if (seed == 0) revert SeedUnknown(job);
    }
}
