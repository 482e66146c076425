// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Consortium} from "./Consortium.sol";
import {Rewards} from "./Rewards.sol";
import {ExactTransfer} from "./lib/ExactTransfer.sol";

/// @title Jobs, their rounds and the model versions that came of them.
/// @notice Storage holds one commitment for each opening and each closing; all fields are in the events. Every
///         commitment covers the one before it, so the newest fixes a job's whole history. Rounds are numbered
///         from 1 without gaps; round 0 stands for the version a job starts from. The identical call again
///         does nothing, a differing one reverts.
/// @dev The EIP-712 domain ("Roundtable", "1", this contract) is what runners sign their updates under.
contract Jobs is EIP712 {
    using SafeERC20 for IERC20;

    /// @param coordinator the member that created the job and alone moves it on.
    /// @param rounds how many the job may have at most. @param latest number of the newest opened round, which
    ///        is open until it has a closing. @param finished no round opens or closes any more.
    struct Job {
        address coordinator;
        uint32 rounds;
        uint32 latest;
        bool finished;
    }

    event JobCreated(
        bytes32 indexed job,
        address indexed coordinator,
        bytes32 indexed genesisVersion,
        bytes32 specHash,
        bytes32 parentVersion,
        bytes32 manifestHash,
        bytes32 arweaveId,
        uint32 rounds,
        uint256 budget
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
    event JobFinished(bytes32 indexed job, uint32 latest);

    error NotMember(address caller);
    error NotCoordinator(bytes32 job, address caller);
    error JobDiffers(bytes32 job);
    error NoRounds();
    error OpeningDiffers(bytes32 job, uint32 round);
    error ClosingDiffers(bytes32 job, uint32 round);
    error RoundOutOfOrder(bytes32 job, uint32 round, uint32 latest);
    error RoundStillOpen(bytes32 job, uint32 round);
    error Finished(bytes32 job);
    error TooManyRounds(bytes32 job, uint32 round, uint32 rounds);

    Consortium public immutable consortium;
    Rewards public immutable rewards;
    IERC20 public immutable token;

    mapping(bytes32 job => Job) public jobs;
    /// @notice keccak256(abi.encode(closing of the round before, job, round, openHash)); 0 if never opened.
    mapping(bytes32 job => mapping(uint32 round => bytes32)) public openings;
    /// @notice keccak256(abi.encode(opening, rootHeader, paramsRoot, versionId, manifestHash, arweaveId)); 0 if not
    ///         closed. At round 0: keccak256(abi.encode(job, coordinator, and all other arguments of create)).
    mapping(bytes32 job => mapping(uint32 round => bytes32)) public closings;

    constructor(Consortium consortium_, Rewards rewards_) EIP712("Roundtable", "1") {
        consortium = consortium_;
        rewards = rewards_;
        token = rewards_.token();
        // Rewards pulls only from its caller, so this allowance serves create() and nothing else.
        token.forceApprove(address(rewards_), type(uint256).max);
    }

    /// @notice Creates a job; the calling member coordinates it, and its budget goes into that member's purse.
    /// @param job id of the job. @param specHash of the job's spec. @param parentVersion version that the first
    ///        one was made from, 0 for a new model. @param genesisVersion version that round 1 starts from.
    /// @param manifestHash and @param arweaveId of the genesis manifest. @param rounds at most.
    /// @param budget token units, pulled from the caller.
    function create(
        bytes32 job,
        bytes32 specHash,
        bytes32 parentVersion,
        bytes32 genesisVersion,
        bytes32 manifestHash,
        bytes32 arweaveId,
        uint32 rounds,
        uint256 budget
    ) external {
        bytes32 commitment = keccak256(
            abi.encode(
                job,
                msg.sender,
                specHash,
                parentVersion,
                genesisVersion,
                manifestHash,
                arweaveId,
                rounds,
                budget
            )
        );
        if (closings[job][0] == commitment) return;
        if (closings[job][0] != 0) revert JobDiffers(job);
        if (!consortium.isMember(msg.sender)) revert NotMember(msg.sender);
        if (rounds == 0) revert NoRounds();
        closings[job][0] = commitment;
        jobs[job] = Job(msg.sender, rounds, 0, false);
        emit JobCreated(
            job,
            msg.sender,
            genesisVersion,
            specHash,
            parentVersion,
            manifestHash,
            arweaveId,
            rounds,
            budget
        );
        if (budget == 0) return;
        ExactTransfer.pull(token, msg.sender, budget);
        rewards.fund(msg.sender, budget);
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
        _close(_coordinated(job), job, round, rootHeader, paramsRoot, versionId, manifestHash, arweaveId);
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
        Job storage entry = _coordinated(job);
        _close(entry, job, round, rootHeader, paramsRoot, versionId, manifestHash, arweaveId);
        _open(entry, job, round + 1, nextOpenHash);
    }

    /// @notice Ends a job, after its last round or before. A round that is open then never closes.
    function finish(bytes32 job) external {
        Job storage entry = _coordinated(job);
        if (entry.finished) return;
        entry.finished = true;
        emit JobFinished(job, entry.latest);
    }

    function _coordinated(bytes32 job) private view returns (Job storage entry) {
        entry = jobs[job];
        if (entry.coordinator != msg.sender) revert NotCoordinator(job, msg.sender);
    }

    function _open(Job storage entry, bytes32 job, uint32 round, bytes32 openHash) private {
        bytes32 previous = round == 0 ? bytes32(0) : closings[job][round - 1];
        bytes32 commitment = keccak256(abi.encode(previous, job, round, openHash));
        bytes32 opening = openings[job][round];
        if (opening == commitment) return;
        if (opening != 0) revert OpeningDiffers(job, round);
        if (entry.finished) revert Finished(job);
        if (round != entry.latest + 1) revert RoundOutOfOrder(job, round, entry.latest);
        if (previous == 0) revert RoundStillOpen(job, entry.latest);
        if (round > entry.rounds) revert TooManyRounds(job, round, entry.rounds);
        openings[job][round] = commitment;
        entry.latest = round;
        emit RoundOpened(job, round, openHash);
    }

    function _close(
        Job storage entry,
        bytes32 job,
        uint32 round,
        bytes32 rootHeader,
        bytes32 paramsRoot,
        bytes32 versionId,
        bytes32 manifestHash,
        bytes32 arweaveId
    ) private {
        bytes32 commitment = keccak256(
            abi.encode(openings[job][round], rootHeader, paramsRoot, versionId, manifestHash, arweaveId)
        );
        bytes32 closing = closings[job][round];
        if (closing == commitment) return;
        if (closing != 0) revert ClosingDiffers(job, round);
        if (entry.finished) revert Finished(job);
        if (round != entry.latest) revert RoundOutOfOrder(job, round, entry.latest);
        closings[job][round] = commitment;
        emit RoundClosed(job, round, versionId, rootHeader, paramsRoot, manifestHash, arweaveId);
    }
}
