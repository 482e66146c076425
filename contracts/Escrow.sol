// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Consortium} from "./Consortium.sol";
import {Rewards} from "./Rewards.sol";
import {ExactTransfer} from "./lib/ExactTransfer.sol";
import {Records} from "./lib/Records.sol";

/// @title The money of jobs: budgets and bonds, where they go when rounds become final, void, or never happen.
/// @notice A round is final when its closing is `window` seconds old and nobody waits for an answer about the job.
///         A final round's budget goes into its coordinator's purse in Rewards; the budget of rounds that did not
///         happen goes back to whoever paid it. A conviction makes its round and all later ones void in one step:
///         the number of the newest round falls back to the one before.
///         Amounts are in the token's smallest unit, times in seconds.
abstract contract Escrow {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;

    enum State {
        Running,
        Convicted,
        Finished,
        Refunded
    }

    /// @param coordinator the member that moves the job on. @param rounds how many it may have at most.
    /// @param latest number of the newest opened round, which is open until it has a closing.
    /// @param holds questions about the job that wait for an answer. @param stained some of its rounds became void.
    /// @param budget of all its rounds. @param bond what the coordinator loses when it is convicted.
    /// @param released the newest round whose budget went to Rewards. @param funder who paid the budget.
    struct Job {
        address coordinator;
        uint32 rounds;
        uint32 latest;
        State state;
        uint16 holds;
        bool stained;
        uint112 budget;
        uint112 bond;
        uint32 released;
        address funder;
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
    error CompensatedBefore(bytes32 job, uint32 round, address runner);

    /// @notice What a reporter gets of a slashed bond, in percent; the rest pays honest work in the void rounds.
    uint256 public constant REPORTER_PERCENT = 30;

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
    /// @notice Words of void closings whose round was opened anew.
    mapping(bytes32 closing => bool) private _setAsides;
    mapping(bytes32 job => uint256) private _takenAt;
    mapping(bytes32 closing => uint256) private _compensated;
    mapping(bytes32 closing => mapping(address runner => bool)) private _paid;

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

    // Budgets

    /// @notice Moves the budgets of all final rounds up to `round` into the coordinator's purse. Anyone may call it;
    ///         again does nothing.
    function release(bytes32 job, uint32 round) public {
        Job storage entry = jobs[job];
        uint32 from = entry.released;
        if (round <= from) return;
        if (!isFinal(job, round)) revert NotFinal(job, round);
        uint256 amount = _budgetUpTo(entry, round) - _budgetUpTo(entry, from);
        entry.released = round;
        emit BudgetReleased(job, entry.coordinator, from + 1, round, amount);
        if (amount != 0) rewards.fund(entry.coordinator, amount);
    }

    /// @notice Ends the accounts of a finished job whose closed rounds are all final: pays them out, returns the budget
    ///         of rounds that did not happen to whoever paid it, and the bond to the coordinator. Anyone may call it.
    function refund(bytes32 job) external {
        Job storage entry = jobs[job];
        if (entry.state == State.Refunded) return;
        if (entry.state != State.Finished) revert NotFinished(job);
        uint32 last = lastClosed(job);
        release(job, last);
        uint256 unspent = entry.budget - _budgetUpTo(entry, last);
        uint256 bond = entry.bond;
        entry.state = State.Refunded;
        entry.bond = 0;
        emit JobRefunded(job, unspent, bond);
        if (unspent != 0) token.safeTransfer(entry.funder, unspent);
        if (bond != 0) token.safeTransfer(entry.coordinator, bond);
    }

    /// @notice Adds to the bond of a job, so that further rounds may open.
    function raiseBond(bytes32 job, uint256 amount) external {
        Job storage entry = jobs[job];
        if (entry.state != State.Running || entry.coordinator == address(0)) revert NotRunning(job);
        entry.bond = (entry.bond + amount).toUint112();
        emit BondRaised(job, amount);
        ExactTransfer.pull(token, msg.sender, amount);
    }

    // Convictions

    /// @notice Makes `round` and all later ones void and slashes the whole bond. Only by a judge, which has recomputed
    ///         that something in the round is wrong.
    /// @param held a question that was asked within the window was not answered: then the window has waited.
    function convict(bytes32 job, uint32 round, address reporter, bool held) external onlyJudge {
        Job storage entry = jobs[job];
        bytes32 closing = closings[job][round];
        if (round == 0 || round > entry.latest || closing == 0) revert NotClosed(job, round);
        if (round <= entry.released || (!held && _windowPassed(closing))) revert RoundFinal(job, round);
        uint256 bond = entry.bond;
        uint256 reward = (bond * REPORTER_PERCENT) / 100;
        entry.latest = round - 1;
        entry.state = State.Convicted;
        entry.stained = true;
        entry.bond = 0;
        pools[job] += bond - reward;
        emit JobConvicted(job, entry.coordinator, reporter, round, bond, reward);
        if (reward != 0) token.safeTransfer(reporter, reward);
    }

    /// @notice A judge waits for an answer about the job (or has it): while it waits, nothing becomes final.
    function hold(bytes32 job, bool waits) external onlyJudge {
        if (waits) ++jobs[job].holds;
        else --jobs[job].holds;
    }

    /// @notice Pays a runner for work in a void round out of the slashed bond: its share of the round's budget, less
    ///         what the reporter got of the bond. Only by a judge, which has checked header and signature.
    /// @param closing word of the void closing. @param weight of the runner. @param total weight of the round.
    function compensate(
        bytes32 job,
        uint32 round,
        bytes32 closing,
        address runner,
        uint256 weight,
        uint256 total
    ) external onlyJudge {
        Job storage entry = jobs[job];
        bool isVoid =
            closing != 0 &&
                ((round > entry.latest && closings[job][round] == closing) || _setAsides[closing]);
        if (!isVoid) revert NotVoid(job, round);
        if (_paid[closing][runner]) revert CompensatedBefore(job, round, runner);
        uint256 most = (budgetOf(job, round) * (100 - REPORTER_PERCENT)) / 100;
        uint256 amount = (most * weight) / total;
        // What a lying root says about weights must not pay more than the round was worth.
        uint256 left = most - _compensated[closing];
        if (amount > left) amount = left;
        if (amount > pools[job]) amount = pools[job];
        _paid[closing][runner] = true;
        _compensated[closing] += amount;
        pools[job] -= amount;
        emit WorkCompensated(job, round, runner, amount);
        if (amount != 0) token.safeTransfer(runner, amount);
    }

    /// @notice Another member goes on with a job whose coordinator was convicted or did not move it for `patience`
    ///         seconds. All rounds that stand must be final, so nobody answers for rounds of another.
    /// @param bond pulled from the caller, at least the budgets of all rounds to come.
    function takeOver(bytes32 job, uint256 bond) external {
        Job storage entry = jobs[job];
        if (!consortium.isMember(msg.sender)) revert NotMember(msg.sender);
        if (entry.coordinator == address(0) || entry.state > State.Convicted) revert NotRunning(job);
        uint256 until = movedAt(job) + patience;
        if (entry.state == State.Running && block.timestamp < until) revert NotAbandoned(job, until);
        uint32 latest = lastClosed(job);
        if (latest != 0 && !isFinal(job, latest)) revert NotFinal(job, latest);
        uint256 needed = entry.budget - _budgetUpTo(entry, latest);
        if (bond < needed) revert BondTooSmall(needed, bond);
        address before = entry.coordinator;
        uint256 returned = entry.bond;
        entry.coordinator = msg.sender;
        entry.latest = latest;
        entry.state = State.Running;
        entry.bond = bond.toUint112();
        // The new coordinator has as long as the old one had, although the last word is of its predecessor.
        _takenAt[job] = block.timestamp;
        emit JobTakenOver(job, msg.sender, latest, bond);
        ExactTransfer.pull(token, msg.sender, bond);
        if (returned != 0) token.safeTransfer(before, returned);
    }

    // Views

    function isFinal(bytes32 job, uint32 round) public view returns (bool) {
        Job storage entry = jobs[job];
        if (round <= entry.released) return true;
        bytes32 closing = closings[job][round];
        return round <= entry.latest && closing != 0 && entry.holds == 0 && _windowPassed(closing);
    }

    /// @notice Number of the newest round that stands closed, 0 before the first.
    function lastClosed(bytes32 job) public view returns (uint32) {
        uint32 latest = jobs[job].latest;
        return latest == 0 || closings[job][latest] != 0 ? latest : latest - 1;
    }

    /// @notice Block time of the last step of whoever coordinates the job.
    function movedAt(bytes32 job) public view returns (uint256 time) {
        uint32 latest = jobs[job].latest;
        time = _takenAt[job];
        uint256 opened = Records.time(openings[job][latest]);
        if (opened > time) time = opened;
        uint256 closed = Records.time(closings[job][latest]);
        if (closed > time) time = closed;
    }

    /// @notice Token units that a round is worth.
    function budgetOf(bytes32 job, uint32 round) public view returns (uint256) {
        Job storage entry = jobs[job];
        return _budgetUpTo(entry, round) - _budgetUpTo(entry, round - 1);
    }

    function _deposit(bytes32 job, uint32 rounds, uint256 budget, uint256 bond) internal {
        Job storage entry = jobs[job];
        (entry.coordinator, entry.rounds, entry.funder) = (msg.sender, rounds, msg.sender);
        (entry.budget, entry.bond) = (budget.toUint112(), bond.toUint112());
        _requireBond(entry, 1);
    }

    /// @dev All rounds from the first unpaid one up to `round` can still turn out wrong.
    function _requireBond(Job storage entry, uint32 round) internal view {
        uint256 needed = _budgetUpTo(entry, round) - _budgetUpTo(entry, entry.released);
        if (entry.bond < needed) revert BondTooSmall(needed, entry.bond);
    }

    /// @dev A round that is opened anew makes room; what it was void with can still be compensated.
    function _setAside(bytes32 job, uint32 round) internal {
        bytes32 closing = closings[job][round];
        if (closing == 0) return;
        _setAsides[closing] = true;
        delete closings[job][round];
    }

    /// @dev PROTOCOL 8: budgets of rounds by rounded prefix sums, so none is lost.
    function _budgetUpTo(Job storage entry, uint32 round) internal view returns (uint256) {
        return (uint256(entry.budget) * round) / entry.rounds;
    }

    function _windowPassed(bytes32 closing) private view returns (bool) {
        return block.timestamp >= Records.time(closing) + window;
    }
}
