// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Consortium} from "./Consortium.sol";
import {Rewards} from "./Rewards.sol";
import {Records} from "./lib/Records.sol";

/// @title The accounts of jobs: who coordinates them, what was paid in, and how far they have come.
/// @notice A round is final when its closing is `window` seconds old, nobody waits for an answer about the job, and
///         nobody who got one can still ask on. Amounts are in the token's smallest unit, times in seconds.
abstract contract Accounts {
    using SafeERC20 for IERC20;

    enum State {
        Running,
        Convicted,
        Finished,
        Refunded
    }

    /// @param coordinator the member that moves the job on.
    /// @param latest number of the newest opened round, which is open until it has a closing.
    /// @param holds questions about the job that wait for an answer. @param stained some of its rounds became void.
    /// @param armed block of the newest opening, if the job asks for attesters; the draw follows from the next one.
    /// @param budget of all its rounds. @param bond what the coordinator loses when it is convicted.
    /// @param released the newest round whose budget went to Rewards. @param rounds how many it may have at most.
    /// @param funder who paid the budget. @param heldUntil block time until which whoever was answered may ask on.
    struct Job {
        address coordinator;
        uint32 latest;
        State state;
        uint16 holds;
        bool stained;
        uint32 armed;
        uint96 budget;
        uint96 bond;
        uint32 released;
        uint32 rounds;
        address funder;
        uint48 heldUntil;
    }

    event BudgetReleased(
        bytes32 indexed job,
        address indexed coordinator,
        uint32 from,
        uint32 to,
        uint256 amount
    );
    event BondRaised(bytes32 indexed job, uint256 amount);
    event JobFinished(bytes32 indexed job, uint32 latest);
    event JobRefunded(bytes32 indexed job, uint256 unspent, uint256 bond);
    event JobConvicted(
        bytes32 indexed job,
        address indexed coordinator,
        address indexed reporter,
        uint32 round,
        uint256 bond,
        uint256 reward
    );
    event JobTakenOver(bytes32 indexed job, address indexed coordinator, uint32 latest, uint256 bond);
    event WorkCompensated(bytes32 indexed job, uint32 indexed round, address indexed runner, uint256 amount);
    event ReceiptPaid(bytes32 indexed job, uint32 indexed round, address indexed runner, uint256 amount);

    error NotMember(address caller);
    error NotJudge(address caller);
    error NotRunning(bytes32 job);
    error TermsInvalid();
    error BondTooSmall(uint256 needed, uint256 given);
    error NotFinal(bytes32 job, uint32 round);
    error RoundFinal(bytes32 job, uint32 round);
    error NotClosed(bytes32 job, uint32 round);
    error NotFinished(bytes32 job);
    error NotAbandoned(bytes32 job, uint256 until);
    error NotVoid(bytes32 job, uint32 round);
    error NotDead(bytes32 job, uint32 round);
    error CompensatedBefore(bytes32 job, uint32 round, address runner);

    /// @notice What a reporter gets of a slashed bond, in percent; the rest pays honest work in the void rounds.
    uint256 public constant REPORTER_PERCENT = 30;
    /// @notice The longest way of questions that lead to one another (DataJudge): the root, six levels of nodes (2^22
    ///         runners), a runner, the versions, four rows of inner nodes (2^25 chunks), a chunk.
    uint256 public constant MOST_STEPS = 14;

    Consortium public immutable consortium;
    Rewards public immutable rewards;
    IERC20 public immutable token;
    /// @notice Seconds after its closing in which a round can be disputed.
    uint256 public immutable window;
    /// @notice Seconds without a step after which another member may take a job over.
    uint256 public immutable patience;

    mapping(bytes32 job => Job) public jobs;
    mapping(bytes32 job => Records.Terms) public terms;
    /// @notice Word of keccak256(abi.encode(word of the closing before, job, round, openHash)); 0 if never opened.
    ///         Counts only up to the newest round.
    mapping(bytes32 job => mapping(uint32 round => bytes32)) public openings;
    /// @notice Word of keccak256(abi.encode(Records.Closing)); 0 if not closed. At round 0: of the job's creation.
    ///         Counts only up to the newest round.
    mapping(bytes32 job => mapping(uint32 round => bytes32)) public closings;
    /// @notice Contracts that may convict: they recompute what they are shown and hold no key.
    mapping(address judge => bool) public judges;
    /// @notice What is left of slashed bonds, for honest work in void rounds.
    mapping(bytes32 job => uint256) public pools;
    /// @notice Who let a round die that was open: its coordinator when the job was taken over, ended or convicted.
    mapping(bytes32 opening => address coordinator) public died;
    /// @dev Block time of the last take-over, or of the end of a job with an open round.
    mapping(bytes32 job => uint256) internal _changedAt;

    constructor(
        Consortium consortium_,
        Rewards rewards_,
        uint256 window_,
        uint256 patience_,
        address[] memory judges_
    ) {
        consortium = consortium_;
        rewards = rewards_;
        window = window_;
        patience = patience_;
        token = rewards_.token();
        for (uint256 i = 0; i < judges_.length; ++i) judges[judges_[i]] = true;
        // Rewards pulls only from its caller, so this allowance serves release() and nothing else.
        token.forceApprove(address(rewards_), type(uint256).max);
    }

    modifier onlyJudge() {
        if (!judges[msg.sender]) revert NotJudge(msg.sender);
        _;
    }

    // Views

    function isFinal(bytes32 job, uint32 round) public view returns (bool) {
        Job storage entry = jobs[job];
        if (round <= entry.released) return true;
        bytes32 closing = closings[job][round];
        if (round > entry.latest || closing == 0 || entry.holds != 0) return false;
        uint256 passed = block.timestamp - Records.time(closing);
        // However many are asked about later rounds: beyond the longest way nothing can be asked about this one.
        return passed >= window && (block.timestamp >= entry.heldUntil || passed >= 2 * MOST_STEPS * window);
    }

    /// @notice Number of the newest round that stands closed, 0 before the first.
    function lastClosed(bytes32 job) public view returns (uint32) {
        uint32 latest = jobs[job].latest;
        return latest == 0 || closings[job][latest] != 0 ? latest : latest - 1;
    }

    /// @notice Block time of the last step of whoever coordinates the job.
    function movedAt(bytes32 job) public view returns (uint256 time) {
        uint32 latest = jobs[job].latest;
        time = _changedAt[job];
        uint256 opened = Records.time(openings[job][latest]);
        if (opened > time) time = opened;
        uint256 closed = Records.time(closings[job][latest]);
        if (closed > time) time = closed;
    }

    /// @notice Block time from which a finished job can be refunded, 0 for at once: holders of receipts for a round that
    ///         died with it have a window to claim their fee.
    function refundableAt(bytes32 job) public view returns (uint256) {
        return _isOpen(job, jobs[job]) ? _changedAt[job] + window : 0;
    }

    /// @notice Token units that a round is worth.
    function budgetOf(bytes32 job, uint32 round) public view returns (uint256) {
        Job storage entry = jobs[job];
        return _budgetUpTo(entry, round) - _budgetUpTo(entry, round - 1);
    }

    /// @dev All rounds from the first unpaid one up to `round` can still turn out wrong.
    function _requireBond(Job storage entry, uint32 round) internal view {
        uint256 needed = _budgetUpTo(entry, round) - _budgetUpTo(entry, entry.released);
        if (entry.bond < needed) revert BondTooSmall(needed, entry.bond);
    }

    /// @dev PROTOCOL 8: budgets of rounds by rounded prefix sums, so none is lost.
    function _budgetUpTo(Job storage entry, uint32 round) internal view returns (uint256) {
        return (uint256(entry.budget) * round) / entry.rounds;
    }

    /// @dev Whether the newest round was opened and never closed.
    function _isOpen(bytes32 job, Job storage entry) internal view returns (bool) {
        uint32 latest = entry.latest;
        return latest != 0 && closings[job][latest] == 0;
    }

    /// @dev Notes who let the newest round die, if it is open: whoever holds a receipt for it is paid.
    function _bury(bytes32 job, Job storage entry) internal returns (bool buried) {
        buried = _isOpen(job, entry);
        if (buried) died[openings[job][entry.latest]] = entry.coordinator;
    }
}
