// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Accounts} from "./Accounts.sol";
import {Attestations} from "./Attestations.sol";
import {Consortium} from "./Consortium.sol";
import {Convictions} from "./Convictions.sol";
import {Escrow} from "./Escrow.sol";
import {Rewards} from "./Rewards.sol";
import {ExactTransfer} from "./lib/ExactTransfer.sol";
import {Records} from "./lib/Records.sol";

/// @title Jobs, their rounds and the model versions that came of them.
/// @notice Storage holds one word for each opening and each closing (lib/Records.sol); all fields are in the events.
///         Every word covers the one before it, so the newest fixes a job's whole history. Rounds are numbered
///         from 1 without gaps; round 0 stands for the version a job starts from. The identical call again
///         does nothing, a differing one reverts.
/// @dev The EIP-712 domain ("Roundtable", "1", this contract) is what runners sign their updates under.
contract Jobs is Escrow, Convictions, Attestations {
    event JobCreated(
        bytes32 indexed job,
        address indexed coordinator,
        bytes32 indexed genesisVersion,
        Records.Creation creation
    );
    event RoundOpened(bytes32 indexed job, uint32 indexed round, bytes32 openHash);
    event RoundClosed(
        bytes32 indexed job,
        uint32 indexed round,
        bytes32 indexed versionId,
        bytes32 rootHeader,
        bytes32 paramsRoot,
        bytes32 manifestHash,
        bytes32 arweaveId
    );

    error NotCoordinator(bytes32 job, address caller);
    error JobDiffers(bytes32 job);
    error NoRounds();
    error JobsPaused();
    error OpeningDiffers(bytes32 job, uint32 round);
    error ClosingDiffers(bytes32 job, uint32 round);
    error RoundOutOfOrder(bytes32 job, uint32 round, uint32 latest);
    error RoundStillOpen(bytes32 job, uint32 round);
    error TooManyRounds(bytes32 job, uint32 round, uint32 rounds);

    constructor(
        Consortium consortium_,
        Rewards rewards_,
        uint256 window_,
        uint256 patience_,
        address[] memory judges_
    ) Accounts(consortium_, rewards_, window_, patience_, judges_) EIP712("Roundtable", "1") {}

    /// @notice Creates a job; the calling member coordinates it. Its budget and the coordinator's bond are pulled and
    ///         held here.
    /// @param bond token units, at least the budget of one round; a round opens only while the bond covers the
    ///        budgets of all rounds that are not paid out yet.
    function create(Records.Creation calldata creation, uint256 bond) external {
        bytes32 job = creation.job;
        if (creation.coordinator != msg.sender) revert NotCoordinator(job, msg.sender);
        bytes32 digest = keccak256(abi.encode(creation));
        if (Records.holds(closings[job][0], digest)) return;
        if (closings[job][0] != 0) revert JobDiffers(job);
        if (!consortium.isMember(msg.sender)) revert NotMember(msg.sender);
        if (consortium.paused()) revert JobsPaused();
        if (creation.rounds == 0) revert NoRounds();
        _checkTerms(creation.terms);
        closings[job][0] = Records.wordNow(digest);
        terms[job] = creation.terms;
        _deposit(job, creation.rounds, creation.budget, bond);
        emit JobCreated(job, msg.sender, creation.genesisVersion, creation);
        ExactTransfer.pull(token, msg.sender, creation.budget + bond);
    }

    /// @notice Opens the next round.
    /// @param openHash commits to the base version, the spec and the selected runners (PROTOCOL 2).
    function open(bytes32 job, uint32 round, bytes32 openHash) external {
        _open(_coordinated(job), job, round, openHash);
    }

    /// @notice Closes the open round with the new version.
    /// @param rootHeader of the aggregation tree. @param paramsRoot of the new parameters. @param versionId the new
    ///        version. @param manifestHash and @param arweaveId of the round's manifest.
    function close(
        bytes32 job,
        uint32 round,
        bytes32 rootHeader,
        bytes32 paramsRoot,
        bytes32 versionId,
        bytes32 manifestHash,
        bytes32 arweaveId
    ) external {
        _closeUnattested(
            job,
            round,
            Records.Closing(0, rootHeader, paramsRoot, versionId, manifestHash, arweaveId)
        );
    }

    /// @notice Closes a round and opens the next one in the same transaction.
    function closeAndOpen(
        bytes32 job,
        uint32 round,
        bytes32 rootHeader,
        bytes32 paramsRoot,
        bytes32 versionId,
        bytes32 manifestHash,
        bytes32 arweaveId,
        bytes32 nextOpenHash
    ) external {
        _closeUnattested(
            job,
            round,
            Records.Closing(0, rootHeader, paramsRoot, versionId, manifestHash, arweaveId)
        );
        _open(jobs[job], job, round + 1, nextOpenHash);
    }

    /// @notice Closes a round with the signatures of drawn members (Attestations), and opens the next one unless
    ///         `nextOpenHash` is 0.
    /// @param closing whose `opening` is the word of the opening that it closes. @param places ascending, of the
    ///        signers among the drawn. @param signatures over `attestationHash`, r ‖ s ‖ v.
    function closeAttested(
        bytes32 job,
        uint32 round,
        Records.Closing calldata closing,
        uint8[] calldata places,
        bytes[] calldata signatures,
        bytes32 nextOpenHash
    ) external {
        Job storage entry = _coordinated(job);
        if (closing.opening != openings[job][round]) revert ClosingDiffers(job, round);
        // A repeated call finds other blocks, and maybe other members: what closed before needs no signatures again.
        if (closings[job][round] == 0) {
            bytes32 digest = attestationHash(job, round, closing);
            if (!_attested(job, entry.coordinator, digest, places, signatures)) revert NotAttested(job);
        }
        _close(entry, job, round, closing);
        if (nextOpenHash != 0) _open(entry, job, round + 1, nextOpenHash);
    }

    /// @notice Ends a job, after its last round or before. A round that is open then never closes. Whoever likes may
    ///         end a job that nobody moved for twice the time after which it may be taken over.
    function finish(bytes32 job) external {
        Job storage entry = jobs[job];
        if (entry.state == State.Finished || entry.state == State.Refunded) return;
        if (entry.coordinator == address(0)) revert NotCoordinator(job, msg.sender);
        bool runs = entry.coordinator == msg.sender && entry.state == State.Running;
        if (!runs && block.timestamp < movedAt(job) + 2 * patience) revert NotCoordinator(job, msg.sender);
        if (entry.state == State.Running && _bury(job, entry)) _changedAt[job] = block.timestamp;
        entry.state = State.Finished;
        emit JobFinished(job, entry.latest);
    }

    function _coordinated(bytes32 job) private view returns (Job storage entry) {
        entry = jobs[job];
        if (entry.coordinator != msg.sender) revert NotCoordinator(job, msg.sender);
    }

    function _open(Job storage entry, bytes32 job, uint32 round, bytes32 openHash) private {
        uint32 latest = entry.latest;
        if (round != 0 && round <= latest) {
            bytes32 repeated = Records.openingDigest(closings[job][round - 1], job, round, openHash);
            if (Records.holds(openings[job][round], repeated)) return;
            revert OpeningDiffers(job, round);
        }
        if (entry.state != State.Running) revert NotRunning(job);
        if (round != latest + 1) revert RoundOutOfOrder(job, round, latest);
        bytes32 previous = closings[job][latest];
        if (previous == 0) revert RoundStillOpen(job, latest);
        if (round > entry.rounds) revert TooManyRounds(job, round, entry.rounds);
        _requireBond(entry, round);
        if (entry.stained) _setAside(job, round);
        openings[job][round] = Records.wordNow(Records.openingDigest(previous, job, round, openHash));
        entry.latest = round;
        _arm(job);
        emit RoundOpened(job, round, openHash);
    }

    function _closeUnattested(bytes32 job, uint32 round, Records.Closing memory closing) private {
        Job storage entry = _coordinated(job);
        if (terms[job].attesters != 0) revert NotAttested(job);
        closing.opening = openings[job][round];
        _close(entry, job, round, closing);
    }

    function _close(Job storage entry, bytes32 job, uint32 round, Records.Closing memory closing) private {
        uint32 latest = entry.latest;
        if (round > latest) revert RoundOutOfOrder(job, round, latest);
        bytes32 digest = keccak256(abi.encode(closing));
        bytes32 stands = closings[job][round];
        if (stands != 0) {
            if (Records.holds(stands, digest)) return;
            revert ClosingDiffers(job, round);
        }
        if (entry.state != State.Running) revert NotRunning(job);
        closings[job][round] = Records.wordNow(digest);
        emit RoundClosed(
            job,
            round,
            closing.versionId,
            closing.rootHeader,
            closing.paramsRoot,
            closing.manifestHash,
            closing.arweaveId
        );
    }

    function _checkTerms(Records.Terms calldata terms_) private pure {
        bool valid =
            terms_.dimension != 0 &&
                Records.stepOf(terms_.rule) <= Records.FEDAVGM &&
                Records.trimOf(terms_.rule) <= Records.MEDIAN &&
                terms_.rateNumerator <= 1 << 20 &&
                terms_.rateDenominator <= 1 << 20 &&
                terms_.rateDenominator != 0 &&
                terms_.momentumNumerator <= 1 << 20 &&
                terms_.momentumDenominator <= 1 << 20 &&
                terms_.momentumDenominator != 0 &&
                terms_.attesters <= MOST_ATTESTERS;
        if (!valid) revert TermsInvalid();
    }
}
