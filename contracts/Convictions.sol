// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Accounts} from "./Accounts.sol";

/// @title What judges may do: make rounds void, slash bonds, and pay for work that came to nothing.
/// @notice A conviction makes its round and all later ones void in one step: the number of the newest round falls back
///         to the one before.
abstract contract Convictions is Accounts {
    using SafeERC20 for IERC20;

    /// @dev Words of void closings whose round was opened anew.
    mapping(bytes32 closing => bool) private _setAsides;
    mapping(bytes32 closing => uint256) private _compensated;
    /// @dev By the word of a void closing, or of a dead opening.
    mapping(bytes32 word => mapping(address runner => bool)) private _paid;

    /// @notice Makes `round` and all later ones void and slashes the whole bond. Only by a judge, which has recomputed
    ///         that something in the round is wrong.
    /// @param held a question that was asked in time was not answered: then the round has waited.
    function convict(bytes32 job, uint32 round, address reporter, bool held) external onlyJudge {
        Job storage entry = jobs[job];
        bytes32 closing = closings[job][round];
        if (round == 0 || round > entry.latest || closing == 0) revert NotClosed(job, round);
        if (round <= entry.released || (!held && isFinal(job, round))) revert RoundFinal(job, round);
        _bury(job, entry);
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

    /// @notice A judge waits for an answer about the job: while it waits, nothing becomes final.
    function hold(bytes32 job) external onlyJudge {
        ++jobs[job].holds;
    }

    /// @notice A judge waits no longer. @param answered then whoever asked has a window to ask on, or to report what the
    ///         answer shows; otherwise a liar could answer in the last moment and be safe from the next question.
    function letGo(bytes32 job, bool answered) external onlyJudge {
        Job storage entry = jobs[job];
        --entry.holds;
        if (answered) entry.heldUntil = uint48(block.timestamp + window);
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

    /// @notice Pays a runner that holds a receipt for a round that died open: half of an equal share of the round's budget,
    ///         from the bond of whoever let it die. Only by a judge, which has checked receipt and selection.
    /// @param opening word of the dead opening. @param count runners that were selected in it.
    function payReceipt(
        bytes32 job,
        uint32 round,
        bytes32 opening,
        address runner,
        uint256 count
    ) external onlyJudge {
        Job storage entry = jobs[job];
        // A job that ended with the round open pays from its bond until that is refunded; otherwise fees are in the pool.
        bool ended = entry.state >= State.Finished && openings[job][entry.latest] == opening;
        if (died[opening] == address(0) || (ended && entry.state == State.Refunded))
            revert NotDead(job, round);
        if (_paid[opening][runner]) revert CompensatedBefore(job, round, runner);
        _paid[opening][runner] = true;
        uint256 amount = budgetOf(job, round) / (2 * count);
        if (ended) entry.bond -= uint96(amount);
        else {
            if (amount > pools[job]) amount = pools[job];
            pools[job] -= amount;
        }
        emit ReceiptPaid(job, round, runner, amount);
        if (amount != 0) token.safeTransfer(runner, amount);
    }

    /// @dev A round that is opened anew makes room; what it was void with can still be compensated.
    function _setAside(bytes32 job, uint32 round) internal {
        bytes32 closing = closings[job][round];
        if (closing == 0) return;
        _setAsides[closing] = true;
        delete closings[job][round];
    }
}
