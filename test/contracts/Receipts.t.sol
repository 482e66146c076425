// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Accounts} from "../../contracts/Accounts.sol";
import {Judge} from "../../contracts/Judge.sol";
import {Questions} from "../../contracts/Questions.sol";
import {ReceiptJudge} from "../../contracts/ReceiptJudge.sol";
import {Protocol} from "../../contracts/lib/Protocol.sol";
import {SignedRound} from "./SignedRound.sol";

/// @dev What a coordinator's receipt is worth, in a closed round and in one that died.
contract ReceiptsTest is SignedRound {
    /// @dev Half of a third of a round's budget.
    uint256 private constant FEE = 166;

    function setUp() public {
        prepare();
        openRound(coordinator, 1, "spec");
    }

    // Closed rounds

    function test_a_receipt_for_an_update_that_is_left_out_convicts_when_nobody_answers() public {
        closeRound(2);
        bytes32 question = ask(2);
        vm.warp(block.timestamp + WINDOW - 1);
        vm.expectRevert(abi.encodeWithSelector(Questions.NotDue.selector, question, block.timestamp + 1));
        receipts.expire(question);
        vm.warp(block.timestamp + 1);
        receipts.expire(question);
        vm.assertTrue(stateOf() == Accounts.State.Convicted);
        vm.assertEq(token.balanceOf(stranger), (BUDGET * 30) / 100);
        vm.assertEq(stranger.balance, 1 ether);
    }

    function test_an_update_that_is_in_the_round_answers_its_receipt_and_wins_the_bond() public {
        Judge.Place memory place = closeRound(3);
        vm.warp(block.timestamp + WINDOW / 2);
        bytes32 question = ask(2);
        vm.warp(block.timestamp + WINDOW / 2);
        vm.expectRevert(abi.encodeWithSelector(Accounts.NotFinal.selector, JOB, 1));
        jobs.release(JOB, 1);
        receipts.answerIncluded(place, 2, leafOf(2));
        vm.assertEq(coordinator.balance, QUESTION_BOND);
        vm.expectRevert(abi.encodeWithSelector(Questions.NotAsked.selector, question));
        receipts.expire(question);
        vm.warp(block.timestamp + WINDOW);
        jobs.release(JOB, 1);
        vm.assertTrue(stateOf() == Accounts.State.Running);
    }

    function test_another_runner_in_the_round_is_no_answer() public {
        Judge.Place memory place = closeRound(2);
        ask(2);
        Judge.Leaf memory leaf = leafOf(1);
        vm.expectPartialRevert(Questions.NotAsked.selector);
        receipts.answerIncluded(place, 1, leaf);
        leaf.runner = runner(2);
        vm.expectPartialRevert(Judge.WrongPreimage.selector);
        receipts.answerIncluded(place, 1, leaf);
    }

    function test_two_statements_of_the_runner_answer_its_receipt() public {
        closeRound(2);
        ask(2);
        ReceiptJudge.Signed memory one = signed(2, updateRoot(2));
        ReceiptJudge.Signed memory other = signed(2, "other");
        address who = runner(2);
        vm.expectRevert(Questions.AnswerWrong.selector);
        receipts.answerConflict(who, updateRoot(2), opened.previous, one, one);
        ReceiptJudge.Signed memory forged = signed(1, "other");
        vm.expectRevert(Questions.AnswerWrong.selector);
        receipts.answerConflict(who, updateRoot(2), opened.previous, one, forged);
        receipts.answerConflict(who, updateRoot(2), opened.previous, one, other);
        vm.assertEq(coordinator.balance, QUESTION_BOND);
    }

    function test_statements_for_another_opening_are_no_conflict() public {
        closeRound(2);
        ask(2);
        ReceiptJudge.Signed memory one = signed(2, updateRoot(2));
        opened.opening.specHash = "another";
        ReceiptJudge.Signed memory other = signed(2, "other");
        opened.opening.specHash = "spec";
        address who = runner(2);
        vm.expectRevert(Questions.AnswerWrong.selector);
        receipts.answerConflict(who, updateRoot(2), opened.previous, one, other);
    }

    function test_only_the_coordinators_signature_for_this_very_opening_is_a_receipt() public {
        closeRound(2);
        Protocol.Receipt memory receipt = receiptOf(2);
        bytes memory signature = sign(0xBAD, Protocol.receiptHash(receipt));
        expectRefused(receipt, signature, ReceiptJudge.NotReceipt.selector);
        // The same words under another contract's domain, or plainly hashed.
        expectRefused(
            receipt,
            signDigest(KEY, Protocol.receiptHash(receipt)),
            ReceiptJudge.NotReceipt.selector
        );
        signature = sign(KEY, Protocol.receiptHash(receipt));
        receipt.updateRoot = "another";
        expectRefused(receipt, signature, ReceiptJudge.NotReceipt.selector);
        receipt = receiptOf(2);
        receipt.openHash = "another";
        expectRefused(receipt, sign(KEY, Protocol.receiptHash(receipt)), Judge.OpeningUnknown.selector);
        receipt = receiptOf(2);
        receipt.round = 2;
        expectRefused(receipt, sign(KEY, Protocol.receiptHash(receipt)), Judge.OpeningUnknown.selector);
        receipt = receiptOf(2);
        receipt.job = "another";
        expectRefused(receipt, sign(KEY, Protocol.receiptHash(receipt)), Judge.OpeningUnknown.selector);
    }

    function test_receipts_are_shown_between_closing_and_window_once_and_with_the_bond() public {
        Protocol.Receipt memory receipt = receiptOf(2);
        bytes memory signature = sign(KEY, Protocol.receiptHash(receipt));
        expectRefused(receipt, signature, Judge.ClosingUnknown.selector);
        closeRound(2);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(Questions.BondWrong.selector, QUESTION_BOND, 0));
        receipts.askInclusion(receipt, signature, opened.previous);
        ask(2);
        expectRefused(receipt, signature, Questions.AskedBefore.selector);
        vm.warp(block.timestamp + WINDOW);
        receipt = receiptOf(1);
        expectRefused(receipt, sign(KEY, Protocol.receiptHash(receipt)), Questions.WindowPassed.selector);
    }

    // Rounds that died

    function test_a_round_that_dies_with_its_job_pays_receipts_from_the_bond_before_it_is_returned() public {
        claim(2, ReceiptJudge.NotReceipt.selector);
        vm.prank(coordinator);
        jobs.finish(JOB);
        claim(2, 0);
        vm.assertEq(token.balanceOf(runner(2)), FEE);
        claim(2, Accounts.CompensatedBefore.selector);
        vm.expectRevert(abi.encodeWithSelector(Accounts.NotFinal.selector, JOB, 1));
        jobs.refund(JOB);
        vm.warp(block.timestamp + WINDOW);
        jobs.refund(JOB);
        vm.assertEq(token.balanceOf(coordinator), 2 * BUDGET - FEE);
        vm.assertEq(token.balanceOf(address(jobs)), 0);
        claim(1, Accounts.NotDead.selector);
    }

    function test_whoever_lets_a_job_be_taken_over_pays_the_receipts_of_its_open_round() public {
        vm.warp(block.timestamp + PATIENCE);
        give(bob, address(jobs), BUDGET);
        vm.prank(bob);
        jobs.takeOver(JOB, BUDGET);
        vm.assertEq(token.balanceOf(coordinator), BUDGET - 500);
        for (uint256 i = 0; i < 3; ++i) claim(i, 0);
        vm.assertEq(jobs.pools(JOB), 500 - 3 * FEE);
        // The same opening once more, by another coordinator: receipts of the first are worth nothing there.
        openRound(bob, 1, "spec");
        vm.prank(bob);
        jobs.close(JOB, 1, "header", "params", "version", "manifest", "archive");
        Protocol.Receipt memory receipt = receiptOf(2);
        expectRefused(receipt, sign(KEY, Protocol.receiptHash(receipt)), ReceiptJudge.NotReceipt.selector);
    }

    function test_a_round_that_a_conviction_of_an_earlier_one_killed_pays_receipts_from_the_slashed_bond()
        public
    {
        closeRound(3);
        openRound(coordinator, 2, "spec");
        vm.prank(address(sums));
        jobs.convict(JOB, 1, stranger, false);
        claim(0, 0);
        vm.assertEq(token.balanceOf(runner(0)), FEE);
        vm.assertEq(jobs.pools(JOB), (BUDGET * 70) / 100 - FEE);
    }

    function test_a_fee_needs_a_place_in_the_selection_and_the_signature_of_whoever_let_the_round_die()
        public
    {
        vm.prank(coordinator);
        jobs.finish(JOB);
        Protocol.Receipt memory receipt = receiptOf(2);
        Judge.Selected memory other = selected(1);
        bytes memory signature = sign(KEY, Protocol.receiptHash(receipt));
        vm.expectRevert(abi.encodeWithSelector(Judge.NotSelected.selector, runner(2)));
        receipts.claimFee(receipt, signature, openedAt, opened, other);
        other.runner = runner(2);
        vm.expectPartialRevert(Judge.WrongPreimage.selector);
        receipts.claimFee(receipt, signature, openedAt, opened, other);
        other = selected(2);
        vm.expectRevert(abi.encodeWithSelector(ReceiptJudge.NotReceipt.selector, JOB, 1));
        receipts.claimFee(receipt, signature, openedAt + 1, opened, other);
        bytes memory forged = sign(0xBAD, Protocol.receiptHash(receipt));
        vm.expectRevert(abi.encodeWithSelector(ReceiptJudge.NotReceipt.selector, JOB, 1));
        receipts.claimFee(receipt, forged, openedAt, opened, other);
        bytes32 opening = jobs.openings(JOB, 1);
        vm.expectRevert(abi.encodeWithSelector(Accounts.NotJudge.selector, address(this)));
        jobs.payReceipt(JOB, 1, opening, stranger, 1);
    }

    // Helpers

    function ask(uint256 i) private returns (bytes32 question) {
        Protocol.Receipt memory receipt = receiptOf(i);
        bytes memory signature = sign(KEY, Protocol.receiptHash(receipt));
        vm.prank(stranger);
        receipts.askInclusion{value: QUESTION_BOND}(receipt, signature, opened.previous);
        bytes32 subject = keccak256(abi.encode("receipt", receipt.runner, receipt.updateRoot));
        question = receipts.questionOf(JOB, receipt.round, subject);
    }

    function expectRefused(Protocol.Receipt memory receipt, bytes memory signature, bytes4 error_) private {
        vm.prank(stranger);
        (bool success, bytes memory answer) = address(receipts).call{value: QUESTION_BOND}(
            abi.encodeCall(receipts.askInclusion, (receipt, signature, opened.previous))
        );
        vm.assertFalse(success);
        vm.assertEq(bytes32(bytes4(answer)), bytes32(error_));
    }

    function claim(uint256 i, bytes4 error_) private {
        Protocol.Receipt memory receipt = receiptOf(i);
        bytes memory signature = sign(KEY, Protocol.receiptHash(receipt));
        (bool success, bytes memory answer) = address(receipts).call(
            abi.encodeCall(receipts.claimFee, (receipt, signature, openedAt, opened, selected(i)))
        );
        vm.assertEq(success ? bytes32(0) : bytes32(bytes4(answer)), bytes32(error_));
    }

    function signed(uint256 i, bytes32 root) private view returns (ReceiptJudge.Signed memory) {
        Protocol.Update memory update = statement(root);
        return ReceiptJudge.Signed(update, sign(keys[i], Protocol.updateHash(update)));
    }

    function stateOf() private view returns (Accounts.State state) {
        (, , state, , , , , , , , , ) = jobs.jobs(JOB);
    }
}
