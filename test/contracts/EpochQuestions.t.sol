// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EpochQuestions} from "../../contracts/EpochQuestions.sol";
import {Rewards} from "../../contracts/Rewards.sol";
import {Protocol} from "../../contracts/lib/Protocol.sol";
import {Stack} from "./Stack.sol";
import {Tree} from "./Tree.sol";
import {Vm} from "./Vm.sol";

/// @dev An epoch of three lines; the last has earned in 300 rounds, so its deltas have nine levels.
contract EpochQuestionsTest is Stack {
    uint256 private constant FUNDS = 1e24;
    uint256 private constant MANY = 300;

    Protocol.RewardLeaf[] private leaves;
    bytes32[] private hashes;
    bytes32[] private deltaHashes;
    uint256 private publishedAt;

    function setUp() public {
        deploy();
        token.approve(address(rewards), type(uint256).max);
        rewards.fund(alice, FUNDS);
        give(alice, address(rewards), 3 * PAYER_BOND);
        vm.deal(stranger, 1 ether);
        for (uint32 i = 0; i < MANY; ++i) deltaHashes.push(Tree.deltaLeaf(delta(i)));
        for (uint32 i = 0; i < 3; ++i) {
            bytes32 deltaRoot =
                i == 0
                    ? bytes32(0)
                    : i == 1
                        ? deltaHashes[0]
                        : Tree.root(deltaHashes);
            leaves.push(
                Protocol.RewardLeaf(i, address(uint160(0xACC0 + i)), 1_000, 0, uint128(1_000 * i), deltaRoot)
            );
            hashes.push(Tree.rewardLeaf(leaves[i]));
        }
        publish(1, "manifest");
    }

    // Conviction

    function test_whatever_is_not_answered_revokes_the_epoch_and_pays_whoever_asked() public {
        (bytes[] memory asks, , bytes32[] memory subjects) = questions();
        for (uint256 i = 0; i < asks.length; ++i) {
            uint256 before = token.balanceOf(stranger);
            ask(asks[i], 0);
            bytes32 question = questionOf(subjects[i]);
            vm.warp(block.timestamp + WINDOW - 1);
            vm.expectRevert(
                abi.encodeWithSelector(EpochQuestions.NotDue.selector, question, block.timestamp + 1)
            );
            ofRewards.expireEpoch(question);
            vm.warp(block.timestamp + 10 * WINDOW);
            vm.assertEq(rewards.epochInEffect(alice), 0);
            ofRewards.expireEpoch(question);
            vm.assertEq(token.balanceOf(stranger) - before, (PAYER_BOND * 30) / 100);
            vm.assertEq(stranger.balance, 1 ether);
            vm.expectRevert(abi.encodeWithSelector(Rewards.EpochUnknown.selector, alice, 1));
            rewards.epochOf(alice, 1);
            vm.expectRevert(abi.encodeWithSelector(EpochQuestions.NotAsked.selector, question));
            ofRewards.expireEpoch(question);
            give(alice, address(rewards), PAYER_BOND);
            publish(1, "manifest");
        }
    }

    function test_a_later_epoch_that_was_built_on_it_falls_with_it() public {
        publish(2, "next");
        (bytes[] memory asks, , bytes32[] memory subjects) = questions();
        ask(asks[0], 0);
        vm.warp(block.timestamp + 2 * WINDOW);
        vm.assertEq(rewards.epochInEffect(alice), 0);
        ofRewards.expireEpoch(questionOf(subjects[0]));
        vm.expectRevert(abi.encodeWithSelector(Rewards.EpochUnknown.selector, alice, 2));
        rewards.epochOf(alice, 2);
    }

    function test_a_question_about_an_epoch_that_was_published_anew_only_gives_its_bond_back() public {
        (bytes[] memory asks, bytes[] memory answers, bytes32[] memory subjects) = questions();
        ask(asks[1], 0);
        bytes32 old = questionOf(subjects[1]);
        vm.prank(address(ofRewards));
        rewards.revoke(alice, 1, bob);
        vm.warp(block.timestamp + WINDOW / 2);
        give(alice, address(rewards), PAYER_BOND);
        publish(1, "manifest");
        // The same question about the new one is another.
        send(answers[1], EpochQuestions.NotAsked.selector);
        ask(asks[1], 0);
        vm.warp(block.timestamp + WINDOW / 2);
        ofRewards.expireEpoch(old);
        vm.assertEq(token.balanceOf(stranger), 0);
        send(answers[1], 0);
        vm.assertEq(alice.balance, QUESTION_BOND);
        vm.assertEq(stranger.balance, 1 ether - QUESTION_BOND);
    }

    // Honest payers

    function test_an_honest_payer_answers_all_of_it_wins_each_bond_and_pays_out_a_window_later() public {
        (bytes[] memory asks, bytes[] memory answers, ) = questions();
        for (uint256 i = 0; i < asks.length; ++i) {
            ask(asks[i], 0);
            ask(asks[i], EpochQuestions.AskedBefore.selector);
            vm.recordLogs();
            send(answers[i], 0);
            Vm.Log[] memory logs = vm.getRecordedLogs();
            vm.assertEq(logs[0].topics[0], EpochQuestions.EpochAnswered.selector);
            vm.assertEq(keccak256(abi.decode(logs[0].data, (bytes))), keccak256(answers[i]));
        }
        vm.assertEq(alice.balance, asks.length * QUESTION_BOND);
        vm.warp(block.timestamp + WINDOW - 1);
        bytes32[] memory proof = Tree.proof(hashes, 0);
        vm.expectRevert(abi.encodeWithSelector(Rewards.NotInEffect.selector, 1, block.timestamp + 1));
        rewards.claim(alice, 1, leaves[0], proof);
        vm.warp(block.timestamp + 1);
        rewards.claim(alice, 1, leaves[0], proof);
        vm.assertEq(token.balanceOf(leaves[0].account), 1_000);
    }

    function test_nothing_takes_effect_before_what_is_ahead_of_it() public {
        (bytes[] memory asks, bytes[] memory answers, ) = questions();
        ask(asks[0], 0);
        vm.warp(block.timestamp + WINDOW / 2);
        publish(2, "next");
        vm.warp(block.timestamp + WINDOW / 2 - 1);
        vm.assertEq(rewards.epochOf(alice, 2).effectiveAt, type(uint32).max);
        send(answers[0], 0);
        // The first a window after its answer; the second had its own window by then.
        vm.assertEq(rewards.epochOf(alice, 1).effectiveAt, block.timestamp + WINDOW);
        vm.assertEq(rewards.epochOf(alice, 2).effectiveAt, block.timestamp + WINDOW);
        publish(3, "later");
        vm.assertEq(rewards.epochOf(alice, 3).effectiveAt, block.timestamp + WINDOW);
        vm.warp(block.timestamp + WINDOW);
        vm.assertEq(rewards.epochInEffect(alice), 3);
    }

    function test_wrong_answers_late_ones_and_those_to_other_questions_are_none() public {
        (bytes[] memory asks, bytes[] memory answers, ) = questions();
        send(answers[0], EpochQuestions.NotAsked.selector);
        for (uint256 i = 0; i < asks.length; ++i) ask(asks[i], 0);
        bytes32[] memory row = allLines();
        row[1] = "another";
        bytes memory wrong = abi.encodeCall(ofRewards.answerRow, (alice, 1, 2, 0, row, new bytes32[](0)));
        send(wrong, EpochQuestions.AnswerWrong.selector);
        row = new bytes32[](2);
        wrong = abi.encodeCall(ofRewards.answerRow, (alice, 1, 2, 0, row, new bytes32[](0)));
        send(wrong, Protocol.RowLength.selector);
        EpochQuestions.Line memory other = line(1);
        ++other.leaf.cumulative;
        send(abi.encodeCall(ofRewards.answerLine, (alice, 1, other)), EpochQuestions.NotInTree.selector);
        Protocol.Delta[] memory one = new Protocol.Delta[](1);
        one[0] = delta(1);
        wrong = abi.encodeCall(ofRewards.answerDeltas, (alice, 1, deltaHashes[0], 0, one));
        send(wrong, EpochQuestions.AnswerWrong.selector);
        wrong = abi.encodeCall(ofRewards.answerDeltas, (alice, 1, deltaHashes[0], 9, one));
        send(wrong, EpochQuestions.AnswerWrong.selector);
        vm.warp(block.timestamp + WINDOW);
        for (uint256 i = 0; i < asks.length; ++i) send(answers[i], EpochQuestions.AnswerLate.selector);
    }

    // Limits

    function test_what_nobody_could_answer_cannot_be_asked() public {
        bytes4 outside = Protocol.LeafOutOfRange.selector;
        ask(abi.encodeCall(ofRewards.askRow, (alice, 1, 0, 0)), outside);
        ask(abi.encodeCall(ofRewards.askRow, (alice, 1, 3, 0)), outside);
        ask(abi.encodeCall(ofRewards.askRow, (alice, 1, 2, 1)), outside);
        ask(abi.encodeCall(ofRewards.askLine, (alice, 1, 3)), outside);
        ask(abi.encodeCall(ofRewards.askLine, (alice, 2, 0)), Rewards.EpochUnknown.selector);
        bytes4 nowhere = EpochQuestions.NotInTree.selector;
        ask(deltaAsk(0, EpochQuestions.DeltaNode(0, 0, new bytes32[](0))), nowhere);
        // Beyond the last delta stand zeros, and at the height of one node what they hash to.
        bytes32[] memory padded = new bytes32[](512);
        for (uint256 i = 0; i < MANY; ++i) padded[i] = deltaHashes[i];
        bytes32[] memory pairs = new bytes32[](256);
        for (uint256 i = 0; i < 256; ++i) pairs[i] = Protocol.node(padded[2 * i], padded[2 * i + 1]);
        bytes32[] memory proof = Tree.proof(pairs, 200);
        ask(deltaAsk(2, EpochQuestions.DeltaNode(pairs[200], 200, proof)), nowhere);
        // Seven levels down an honest payer need not see a row.
        bytes32[] memory short = new bytes32[](7);
        ask(deltaAsk(2, EpochQuestions.DeltaNode(pairs[0], 0, short)), nowhere);
        ask(
            deltaAsk(2, EpochQuestions.DeltaNode("other", 0, proof)),
            bytes4(keccak256("WrongPreimage(bytes32,bytes32)"))
        );
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(EpochQuestions.BondWrong.selector, QUESTION_BOND, 1));
        ofRewards.askLine{value: 1}(alice, 1, 0);
    }

    function test_each_question_can_be_asked_until_its_step_and_not_a_second_longer() public {
        (bytes[] memory asks, , ) = questions();
        uint8[5] memory steps = [1, 2, 3, 3, 4];
        vm.prank(address(ofRewards));
        rewards.hold(alice, 1);
        for (uint256 i = 0; i < asks.length; ++i) {
            vm.warp(publishedAt + (2 * steps[i] - 1) * WINDOW);
            ask(asks[i], EpochQuestions.EpochWindowPassed.selector);
            vm.warp(block.timestamp - 1);
            ask(asks[i], 0);
        }
    }

    function test_when_it_is_in_effect_nothing_can_be_asked() public {
        (bytes[] memory asks, , ) = questions();
        vm.warp(publishedAt + WINDOW - 1);
        ask(asks[4], 0);
        vm.warp(block.timestamp + 1);
        (, bytes[] memory answers, ) = questions();
        send(answers[4], 0);
        vm.warp(block.timestamp + WINDOW);
        ask(asks[3], EpochQuestions.EpochWindowPassed.selector);
        rewards.claim(alice, 1, leaves[0], Tree.proof(hashes, 0));
    }

    function testFuzz_nobody_holds_an_epoch_up_for_longer_than_the_way_is_long(
        uint256[32] calldata choices
    ) public {
        (bytes[] memory asks, bytes[] memory answers, ) = questions();
        uint256 most = publishedAt + 8 * WINDOW;
        for (uint256 i = 0; i < choices.length; ++i) {
            uint256 which = choices[i] % asks.length;
            vm.warp(block.timestamp + ((choices[i] >> 8) % WINDOW));
            vm.prank(stranger);
            (bool isAsked, ) = address(ofRewards).call{value: QUESTION_BOND}(asks[which]);
            if (isAsked) send(answers[which], 0);
        }
        vm.warp(block.timestamp > most ? block.timestamp : most);
        vm.assertEq(rewards.epochInEffect(alice), 1);
    }

    function test_only_the_judge_holds() public {
        vm.expectRevert(abi.encodeWithSelector(Rewards.NotJudge.selector, address(this)));
        rewards.hold(alice, 1);
        vm.expectRevert(abi.encodeWithSelector(Rewards.NotJudge.selector, address(this)));
        rewards.letGo(alice, 1);
    }

    // Helpers

    /// @dev One of each kind: the row of all lines, a line, its only delta, a row of deltas, and one of that row.
    function questions()
        private
        view
        returns (bytes[] memory asks, bytes[] memory answers, bytes32[] memory subjects)
    {
        (asks, answers, subjects) = (new bytes[](5), new bytes[](5), new bytes32[](5));
        asks[0] = abi.encodeCall(ofRewards.askRow, (alice, 1, 2, 0));
        answers[0] = abi.encodeCall(ofRewards.answerRow, (alice, 1, 2, 0, allLines(), new bytes32[](0)));
        subjects[0] = keccak256(abi.encode(bytes32("row"), uint8(2), uint32(0)));
        asks[1] = abi.encodeCall(ofRewards.askLine, (alice, 1, 1));
        answers[1] = abi.encodeCall(ofRewards.answerLine, (alice, 1, line(1)));
        subjects[1] = keccak256(abi.encode(bytes32("line"), uint8(0), uint32(1)));
        asks[2] = deltaAsk(1, EpochQuestions.DeltaNode(deltaHashes[0], 0, new bytes32[](0)));
        Protocol.Delta[] memory deltas = new Protocol.Delta[](1);
        deltas[0] = delta(0);
        answers[2] = abi.encodeCall(ofRewards.answerDeltas, (alice, 1, deltaHashes[0], 0, deltas));
        subjects[2] = keccak256(abi.encode(bytes32("deltas"), deltaHashes[0]));
        bytes32[] memory pairs = new bytes32[](MANY / 2);
        for (uint256 i = 0; i < pairs.length; ++i)
            pairs[i] = Protocol.node(deltaHashes[2 * i], deltaHashes[2 * i + 1]);
        bytes32 root = leaves[2].deltaRoot;
        asks[3] = deltaAsk(2, EpochQuestions.DeltaNode(root, 0, new bytes32[](0)));
        answers[3] = abi.encodeCall(ofRewards.answerDeltaNodes, (alice, 1, root, 1, pairs));
        subjects[3] = keccak256(abi.encode(bytes32("deltas"), root));
        bytes32[] memory all = new bytes32[](256);
        bytes32 missing = Protocol.node(0, 0);
        for (uint256 i = 0; i < 256; ++i) all[i] = i < pairs.length ? pairs[i] : missing;
        asks[4] = deltaAsk(2, EpochQuestions.DeltaNode(pairs[77], 77, Tree.proof(all, 77)));
        deltas = new Protocol.Delta[](2);
        (deltas[0], deltas[1]) = (delta(154), delta(155));
        answers[4] = abi.encodeCall(ofRewards.answerDeltas, (alice, 1, pairs[77], 1, deltas));
        subjects[4] = keccak256(abi.encode(bytes32("deltas"), pairs[77]));
    }

    function deltaAsk(
        uint256 index,
        EpochQuestions.DeltaNode memory node
    ) private view returns (bytes memory) {
        return abi.encodeCall(ofRewards.askDeltas, (alice, 1, line(index), node));
    }

    function allLines() private view returns (bytes32[] memory row) {
        row = new bytes32[](3);
        for (uint256 i = 0; i < 3; ++i) row[i] = hashes[i];
    }

    function line(uint256 index) private view returns (EpochQuestions.Line memory) {
        return EpochQuestions.Line(leaves[index], Tree.proof(hashes, index));
    }

    function delta(uint32 i) private pure returns (Protocol.Delta memory) {
        return Protocol.Delta("job", i + 1, 3);
    }

    function questionOf(bytes32 subject) private view returns (bytes32) {
        return keccak256(abi.encode(alice, uint32(1), Tree.root(hashes), uint32(publishedAt), subject));
    }

    function publish(uint32 epoch, bytes32 manifest) private {
        vm.prank(alice);
        rewards.raiseBond(epoch == 1 ? PAYER_BOND : 0);
        // A precompile counts as the next call too.
        bytes32 root = Tree.root(hashes);
        vm.prank(alice);
        rewards.publish(epoch, root, 3, 3_000, manifest);
        if (epoch == 1) publishedAt = block.timestamp;
    }

    function ask(bytes memory call, bytes4 error_) private {
        vm.prank(stranger);
        (bool success, bytes memory answer) = address(ofRewards).call{value: QUESTION_BOND}(call);
        vm.assertEq(success ? bytes32(0) : bytes32(bytes4(answer)), bytes32(error_));
    }

    function send(bytes memory call, bytes4 error_) private {
        (bool success, bytes memory answer) = address(ofRewards).call(call);
        vm.assertEq(success ? bytes32(0) : bytes32(bytes4(answer)), bytes32(error_));
    }
}
