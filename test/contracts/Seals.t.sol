// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Judge} from "../../contracts/Judge.sol";
import {SealJudge} from "../../contracts/SealJudge.sol";
import {Protocol} from "../../contracts/lib/Protocol.sol";
import {SignedRound} from "./SignedRound.sol";

/// @dev An account that notes what it receives, which costs it more than the 2,300 gas that come with wei.
contract SlowWallet {
    uint256 public received;

    receive() external payable {
        received += msg.value;
    }
}

/// @dev An account that answers with half a megabyte.
contract LoudWallet {
    receive() external payable {
        assembly {
            revert(0, 0x80000)
        }
    }
}

/// @dev What a runner's seal is worth.
contract SealsTest is SignedRound {
    bytes32 private constant SALT = "salt";

    function setUp() public {
        prepare();
        openRound(coordinator, 1, "spec");
    }

    function test_a_runner_that_opens_its_seal_wins_the_bond_and_keeps_its_stake() public {
        bytes32 name = demand(0);
        Protocol.Seal memory sealed_ = sealOf(0);
        address who = runner(0);
        vm.expectPartialRevert(Judge.WrongPreimage.selector);
        seals.open(who, sealed_, updateRoot(0), "other");
        vm.expectPartialRevert(Judge.WrongPreimage.selector);
        seals.open(who, sealed_, updateRoot(1), SALT);
        seals.open(who, sealed_, updateRoot(0), SALT);
        vm.assertEq(who.balance, QUESTION_BOND);
        vm.warp(block.timestamp + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(SealJudge.NotDemanded.selector, name));
        seals.expire(name);
        vm.assertEq(stakeOf(0), MIN_STAKE);
        expectRefused(sealed_, SealJudge.DemandedBefore.selector);
    }

    function test_a_runner_that_does_not_open_its_seal_in_time_loses_its_stake() public {
        bytes32 name = demand(0);
        vm.expectRevert(abi.encodeWithSelector(SealJudge.NotDue.selector, name, block.timestamp + WINDOW));
        seals.expire(name);
        vm.warp(block.timestamp + WINDOW);
        seals.expire(name);
        vm.assertEq(stakeOf(0), 0);
        vm.assertEq(token.balanceOf(stranger), (MIN_STAKE * 30) / 100);
        vm.assertEq(stranger.balance, 1 ether);
        vm.expectRevert(abi.encodeWithSelector(SealJudge.NotDemanded.selector, name));
        seals.expire(name);
    }

    function test_whoever_calls_leaves_the_paid_account_enough_gas_to_take_the_bond() public {
        address wallet = address(new SlowWallet());
        bytes memory expire = demandBy(wallet);
        bool expired = false;
        for (uint256 gas_ = 50_000; !expired; gas_ += 200)
            (expired, ) = address(seals).call{gas: gas_}(expire);
        vm.assertEq(wallet.balance, QUESTION_BOND);
    }

    function test_what_a_paid_account_returns_costs_nobody_anything() public {
        address wallet = address(new LoudWallet());
        (bool expired, ) = address(seals).call{gas: 750_000}(demandBy(wallet));
        vm.assertTrue(expired);
        vm.assertEq(wallet.balance, 0);
        vm.assertEq(stakeOf(0), 0);
    }

    function test_seals_are_asked_for_only_where_the_runner_signed_and_the_round_still_counts() public {
        Protocol.Seal memory sealed_ = sealOf(0);
        bytes memory signature = sign(keys[1], Protocol.sealHash(sealed_));
        address who = runner(0);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(Judge.NotSigned.selector, who));
        seals.demand{value: QUESTION_BOND}(who, sealed_, signature, opened.previous);
        signature = sign(keys[0], Protocol.sealHash(sealed_));
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(SealJudge.BondWrong.selector, QUESTION_BOND, 1));
        seals.demand{value: 1}(who, sealed_, signature, opened.previous);
        sealed_.openHash = "another";
        expectRefused(sealed_, Judge.OpeningUnknown.selector);
        sealed_ = sealOf(0);
        closeRound(3);
        vm.warp(block.timestamp + WINDOW);
        expectRefused(sealed_, SealJudge.WindowPassed.selector);
        openRound(coordinator, 2, "spec");
        expectRefused(sealed_, Judge.OpeningUnknown.selector);
    }

    function test_another_update_than_was_sealed_costs_the_stake_and_the_sealed_one_nothing() public {
        report(broken(updateRoot(0)), Judge.NothingWrong.selector);
        vm.assertEq(stakeOf(0), MIN_STAKE);
        report(broken(updateRoot(1)), 0);
        vm.assertEq(stakeOf(0), 0);
        vm.assertEq(token.balanceOf(stranger), (MIN_STAKE * 30) / 100);
    }

    function test_two_seals_for_one_opening_cost_the_stake_and_for_two_openings_nothing() public {
        Protocol.Seal memory one = sealOf(0);
        Protocol.Seal memory other = sealOf(0);
        report(twice(one, other), Judge.NothingWrong.selector);
        other.openHash = "another";
        other.seal = "another";
        report(twice(one, other), Judge.NothingWrong.selector);
        vm.assertEq(stakeOf(0), MIN_STAKE);
        other.openHash = one.openHash;
        report(twice(one, other), 0);
        vm.assertEq(stakeOf(0), 0);
    }

    function test_a_report_is_nobody_elses_than_whoever_committed_to_it() public {
        bytes memory call = broken(updateRoot(1));
        commit(seals, call);
        vm.prank(alice);
        (bool success, bytes memory answer) = address(seals).call(call);
        vm.assertFalse(success);
        vm.assertEq(bytes32(bytes4(answer)), bytes32(Judge.NotCommitted.selector));
    }

    function test_a_seal_that_another_copied_opens_under_no_other_name() public view {
        vm.assertTrue(
            Protocol.sealOf(updateRoot(0), runner(0), SALT) != Protocol.sealOf(updateRoot(0), runner(1), SALT)
        );
    }

    // Helpers

    function sealOf(uint256 i) private view returns (Protocol.Seal memory) {
        bytes32 seal = Protocol.sealOf(updateRoot(i), runner(i), SALT);
        return Protocol.Seal(JOB, opened.opening.round, openHash(), seal);
    }

    /// @dev The call that expires what the account has asked for.
    function demandBy(address account) private returns (bytes memory) {
        Protocol.Seal memory sealed_ = sealOf(0);
        bytes memory signature = sign(keys[0], Protocol.sealHash(sealed_));
        vm.deal(account, QUESTION_BOND);
        vm.prank(account);
        seals.demand{value: QUESTION_BOND}(runner(0), sealed_, signature, opened.previous);
        vm.warp(block.timestamp + WINDOW);
        return abi.encodeCall(seals.expire, (seals.nameOf(runner(0), sealed_)));
    }

    function demand(uint256 i) private returns (bytes32) {
        Protocol.Seal memory sealed_ = sealOf(i);
        bytes memory signature = sign(keys[i], Protocol.sealHash(sealed_));
        address who = runner(i);
        vm.prank(stranger);
        seals.demand{value: QUESTION_BOND}(who, sealed_, signature, opened.previous);
        return seals.nameOf(who, sealed_);
    }

    function expectRefused(Protocol.Seal memory sealed_, bytes4 error_) private {
        bytes memory signature = sign(keys[0], Protocol.sealHash(sealed_));
        bytes memory call = abi.encodeCall(seals.demand, (runner(0), sealed_, signature, opened.previous));
        vm.prank(stranger);
        (bool success, bytes memory answer) = address(seals).call{value: QUESTION_BOND}(call);
        vm.assertFalse(success);
        vm.assertEq(bytes32(bytes4(answer)), bytes32(error_));
    }

    function broken(bytes32 root) private view returns (bytes memory) {
        Protocol.Seal memory sealed_ = sealOf(0);
        Protocol.Update memory update = statement(root);
        return
            abi.encodeCall(
                seals.broken,
                (
                    runner(0),
                    sealed_,
                    sign(keys[0], Protocol.sealHash(sealed_)),
                    updateRoot(0),
                    SALT,
                    update,
                    sign(keys[0], Protocol.updateHash(update))
                )
            );
    }

    function twice(Protocol.Seal memory one, Protocol.Seal memory other) private view returns (bytes memory) {
        return
            abi.encodeCall(
                seals.sealedTwice,
                (
                    runner(0),
                    one,
                    sign(keys[0], Protocol.sealHash(one)),
                    other,
                    sign(keys[0], Protocol.sealHash(other))
                )
            );
    }

    function report(bytes memory call, bytes4 error_) private {
        commit(seals, call);
        vm.prank(stranger);
        (bool success, bytes memory answer) = address(seals).call(call);
        vm.assertEq(success ? bytes32(0) : bytes32(bytes4(answer)), bytes32(error_));
    }

    function stakeOf(uint256 i) private view returns (uint256 stake) {
        (, stake, , ) = consortium.runners(runner(i));
    }
}
