// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Accounts} from "./Accounts.sol";
import {ExactTransfer} from "./lib/ExactTransfer.sol";

/// @title Budgets and bonds of jobs that go well, or that another member goes on with.
/// @notice A final round's budget goes into its coordinator's purse in Rewards; the budget of rounds that did not
///         happen goes back to whoever paid it.
abstract contract Escrow is Accounts {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;

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
        if (block.timestamp < refundableAt(job)) revert NotFinal(job, entry.latest);
        uint32 last = lastClosed(job);
        uint256 unspent = entry.budget - _budgetUpTo(entry, last);
        uint256 bond = entry.bond;
        // Before anything is called: a token that called back would be paid once all the same.
        entry.state = State.Refunded;
        entry.bond = 0;
        release(job, last);
        emit JobRefunded(job, unspent, bond);
        if (unspent != 0) token.safeTransfer(entry.funder, unspent);
        if (bond != 0) token.safeTransfer(entry.coordinator, bond);
    }

    /// @notice Adds to the bond of a job, so that further rounds may open.
    function raiseBond(bytes32 job, uint256 amount) external {
        Job storage entry = jobs[job];
        if (entry.state != State.Running || entry.coordinator == address(0)) revert NotRunning(job);
        entry.bond = SafeCast.toUint96(entry.bond + amount);
        emit BondRaised(job, amount);
        ExactTransfer.pull(token, msg.sender, amount);
    }

    /// @notice Another member goes on with a job whose coordinator was convicted or did not move it for `patience`
    ///         seconds. All rounds that stand must be final, so nobody answers for rounds of another. Half the budget of a
    ///         round that it left open stays of its bond, for the runners that hold its receipts.
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
        if (_bury(job, entry)) {
            uint256 fees = budgetOf(job, entry.latest) / 2;
            returned -= fees;
            pools[job] += fees;
        }
        entry.coordinator = msg.sender;
        entry.latest = latest;
        entry.state = State.Running;
        entry.bond = bond.toUint96();
        // The new coordinator has as long as the old one had, although the last word is of its predecessor.
        _changedAt[job] = block.timestamp;
        emit JobTakenOver(job, msg.sender, latest, bond);
        ExactTransfer.pull(token, msg.sender, bond);
        if (returned != 0) token.safeTransfer(before, returned);
    }

    function _deposit(bytes32 job, uint32 rounds, uint256 budget, uint256 bond) internal {
        Job storage entry = jobs[job];
        (entry.coordinator, entry.rounds, entry.funder) = (msg.sender, rounds, msg.sender);
        (entry.budget, entry.bond) = (budget.toUint96(), bond.toUint96());
        _requireBond(entry, 1);
    }
}
