// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Accounts} from "../../contracts/Accounts.sol";
import {DataJudge} from "../../contracts/DataJudge.sol";
import {Judge} from "../../contracts/Judge.sol";
import {Questions} from "../../contracts/Questions.sol";
import {Protocol} from "../../contracts/lib/Protocol.sol";
import {SignedRound} from "./SignedRound.sol";
import {Vm} from "./Vm.sol";

/// @dev How long can be asked: long enough for whoever is answered in the last moment each time, and no longer. The model
///      has two chunks, so the way is root, runner, versions, the row of two, a chunk: steps 1, 2, 4, 4 and 5.
contract QuestionsTest is SignedRound {
    DataJudge.Inner private ROW = DataJudge.Inner(DataJudge.Tree.Sum, 1, 0);
    bytes32[] private row;
    /// @dev The round, encoded.
    bytes private placed;
    uint256 private closedAt;

    function setUp() public {
        prepare();
        row.push("left");
        row.push("right");
        sumRoot = Protocol.node("left", "right");
        close(1);
        vm.deal(stranger, 1 ether);
    }

    function test_a_liar_that_answers_each_question_in_its_last_moment_is_convicted_all_the_same() public {
        vm.warp(closedAt + WINDOW - 1);
        ask(rootAsk(), 0);
        inTheLastMoment(rootAnswer());
        ask(leafAsk(), 0);
        inTheLastMoment(leafAnswer());
        ask(rowAsk(), 0);
        inTheLastMoment(rowAnswer());
        ask(chunkAsk(), 0);
        bytes32 question = questionOf(abi.encode(bytes32("chunk"), new uint8[](0), uint32(1)));
        vm.warp(block.timestamp + WINDOW);
        vm.assertTrue(block.timestamp > closedAt + 7 * WINDOW);
        data_.expire(question);
        vm.assertEq(token.balanceOf(stranger), (BUDGET * 30) / 100);
        vm.assertTrue(stateOf() == Accounts.State.Convicted);
    }

    function test_what_an_answer_shows_can_be_reported_for_a_window_after_it() public {
        vm.warp(closedAt + WINDOW - 1);
        ask(rootAsk(), 0);
        vm.warp(block.timestamp + WINDOW - 1);
        send(rootAnswer(), 0);
        vm.warp(block.timestamp + WINDOW - 1);
        vm.expectRevert(abi.encodeWithSelector(Accounts.NotFinal.selector, JOB, 1));
        jobs.release(JOB, 1);
        vm.prank(address(sums));
        jobs.convict(JOB, 1, stranger, false);
        vm.assertTrue(stateOf() == Accounts.State.Convicted);
    }

    function test_a_window_after_the_last_answer_the_round_is_final() public {
        vm.warp(closedAt + WINDOW - 1);
        ask(rootAsk(), 0);
        vm.warp(block.timestamp + 1);
        send(rootAnswer(), 0);
        vm.warp(block.timestamp + WINDOW);
        ask(leafAsk(), Questions.WindowPassed.selector);
        vm.prank(address(sums));
        vm.expectRevert(abi.encodeWithSelector(Accounts.RoundFinal.selector, JOB, 1));
        jobs.convict(JOB, 1, stranger, false);
        jobs.release(JOB, 1);
        ask(leafAsk(), Questions.WindowPassed.selector);
    }

    function test_each_question_can_be_asked_until_its_step_and_not_a_second_longer() public {
        bytes[5] memory asks = [rootAsk(), openingAsk(), leafAsk(), rowAsk(), chunkAsk()];
        uint8[5] memory steps = [1, 1, 2, 4, 5];
        // Something always waits, about the same job: only the step ends it.
        vm.prank(address(data_));
        jobs.hold(JOB);
        for (uint256 i = 0; i < 5; ++i) {
            vm.warp(closedAt + (2 * steps[i] - 1) * WINDOW);
            ask(asks[i], Questions.WindowPassed.selector);
            vm.warp(block.timestamp - 1);
            ask(asks[i], 0);
        }
    }

    /// @dev Whoever has bonds to lose asks whatever can be asked, whenever it can, and is answered at once.
    function testFuzz_nobody_holds_a_round_up_for_longer_than_the_way_is_long(
        uint256[48] calldata choices
    ) public {
        uint256 most = closedAt + 8 * WINDOW;
        bytes[3] memory asks = [rootAsk(), leafAsk(), rowAsk()];
        bytes[3] memory answers = [rootAnswer(), leafAnswer(), rowAnswer()];
        for (uint256 i = 0; i < choices.length; ++i) {
            uint256 which = choices[i] % 3;
            vm.warp(block.timestamp + ((choices[i] >> 8) % WINDOW));
            vm.prank(stranger);
            (bool isAsked, ) = address(data_).call{value: QUESTION_BOND}(asks[which]);
            if (isAsked) send(answers[which], 0);
        }
        vm.warp(block.timestamp > most ? block.timestamp : most);
        vm.assertTrue(jobs.isFinal(JOB, 1));
    }

    function test_questions_about_later_rounds_hold_nobody_up_for_ever() public {
        vm.prank(coordinator);
        jobs.open(JOB, 2, "two");
        uint256 most = closedAt + 2 * jobs.MOST_STEPS() * WINDOW;
        while (block.timestamp + WINDOW / 2 < most) {
            vm.warp(block.timestamp + WINDOW / 2);
            vm.prank(address(data_));
            jobs.hold(JOB);
            vm.prank(address(data_));
            jobs.letGo(JOB, true);
            vm.assertFalse(jobs.isFinal(JOB, 1));
        }
        vm.warp(most);
        vm.assertTrue(jobs.isFinal(JOB, 1));
    }

    function test_a_paid_round_cannot_be_asked_about_while_a_later_one_waits() public {
        vm.warp(closedAt + WINDOW);
        jobs.release(JOB, 1);
        bytes memory late = leafAsk();
        close(2);
        ask(rootAsk(), 0);
        ask(late, Questions.WindowPassed.selector);
    }

    function test_an_answer_that_comes_late_is_none() public {
        ask(rootAsk(), 0);
        vm.warp(closedAt + WINDOW);
        send(rootAnswer(), Questions.AnswerLate.selector);
        vm.warp(closedAt + WINDOW - 1);
        send(rootAnswer(), 0);
        vm.assertEq(coordinator.balance, QUESTION_BOND);
    }

    function test_what_was_answered_stands_in_the_event_however_it_was_sent() public {
        bytes[3] memory asks = [rootAsk(), leafAsk(), rowAsk()];
        bytes[3] memory answers = [rootAnswer(), leafAnswer(), rowAnswer()];
        for (uint256 i = 0; i < 3; ++i) {
            ask(asks[i], 0);
            vm.recordLogs();
            send(answers[i], 0);
            Vm.Log[] memory logs = vm.getRecordedLogs();
            vm.assertEq(logs[0].topics[0], Questions.Answered.selector);
            vm.assertEq(keccak256(abi.decode(logs[0].data, (bytes))), keccak256(answers[i]));
        }
    }

    // Helpers

    function place() private view returns (Judge.Place memory) {
        return abi.decode(placed, (Judge.Place));
    }

    function close(uint32 round) private {
        openRound(coordinator, round, "spec");
        placed = abi.encode(closeRound(3));
        closedAt = block.timestamp;
    }

    /// @dev Answers in the last second, after which it is not final until the last second in which can be asked.
    function inTheLastMoment(bytes memory answer) private {
        vm.warp(block.timestamp + WINDOW - 1);
        send(answer, 0);
        vm.warp(block.timestamp + WINDOW - 1);
        vm.assertFalse(jobs.isFinal(JOB, 1));
    }

    function ask(bytes memory call, bytes4 error_) private {
        vm.prank(stranger);
        (bool success, bytes memory answer) = address(data_).call{value: QUESTION_BOND}(call);
        vm.assertEq(success ? bytes32(0) : bytes32(bytes4(answer)), bytes32(error_));
    }

    function send(bytes memory call, bytes4 error_) private {
        (bool success, bytes memory answer) = address(data_).call(call);
        vm.assertEq(success ? bytes32(0) : bytes32(bytes4(answer)), bytes32(error_));
    }

    function questionOf(bytes memory subject) private view returns (bytes32) {
        return data_.questionOf(JOB, place().round, keccak256(subject));
    }

    function rootAsk() private view returns (bytes memory) {
        return abi.encodeCall(data_.askRoot, (JOB, place().round));
    }

    function rootAnswer() private view returns (bytes memory) {
        return abi.encodeCall(data_.answerRoot, (JOB, place().round, place().closing, place().path[0]));
    }

    function openingAsk() private view returns (bytes memory) {
        return abi.encodeCall(data_.askOpening, (JOB, place().round));
    }

    function leafAsk() private view returns (bytes memory) {
        return abi.encodeCall(data_.askLeaf, (place(), 0));
    }

    function leafAnswer() private view returns (bytes memory) {
        bytes memory signature = sign(keys[0], Protocol.updateHash(statement(updateRoot(0))));
        return
            abi.encodeCall(
                data_.answerLeaf,
                (place(), 0, leafOf(0), signature, STEPS, opened.previous, openHash())
            );
    }

    function rowAsk() private view returns (bytes memory) {
        return abi.encodeCall(data_.askNodes, (place(), ROW));
    }

    function rowAnswer() private view returns (bytes memory) {
        return abi.encodeCall(data_.answerNodes, (place(), ROW, row, new bytes32[](0)));
    }

    function chunkAsk() private view returns (bytes memory) {
        return abi.encodeCall(data_.askChunk, (place(), 1));
    }

    function stateOf() private view returns (Accounts.State state) {
        (, , state, , , , , , , , , ) = jobs.jobs(JOB);
    }
}
