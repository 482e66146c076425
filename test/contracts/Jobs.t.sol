// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Jobs} from "../../contracts/Jobs.sol";
import {Accounts} from "../../contracts/Accounts.sol";
import {Records} from "../../contracts/lib/Records.sol";
import {Stack} from "./Stack.sol";

contract JobsTest is Stack {
    bytes32 private constant JOB = keccak256("job");
    uint256 private constant BUDGET = 1_000;

    function setUp() public {
        deploy();
        give(alice, address(jobs), 2 * BUDGET);
        give(bob, address(jobs), 2 * BUDGET);
        create(alice, 8);
    }

    function test_creating_holds_budget_and_bond() public view {
        (uint112 funded, , ) = rewards.purses(alice);
        vm.assertEq(funded, 0);
        vm.assertEq(token.balanceOf(address(jobs)), 2 * BUDGET);
        (address coordinator, uint32 latest, Accounts.State state, , , , , , , uint32 rounds, , ) = jobs.jobs(
            JOB
        );
        vm.assertEq(coordinator, alice);
        vm.assertEq(rounds, 8);
        vm.assertEq(latest, 0);
        vm.assertTrue(state == Accounts.State.Running);
    }

    function test_creating_twice_pays_once_and_differing_reverts() public {
        vm.recordLogs();
        create(alice, 8);
        vm.assertEq(vm.getRecordedLogs().length, 0);
        vm.assertEq(token.balanceOf(address(jobs)), 2 * BUDGET);
        vm.expectRevert(abi.encodeWithSelector(Jobs.JobDiffers.selector, JOB));
        create(alice, 9);
        vm.expectRevert(abi.encodeWithSelector(Jobs.JobDiffers.selector, JOB));
        create(bob, 8);
    }

    function test_only_members_create_jobs_and_a_job_has_rounds() public {
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(Accounts.NotMember.selector, stranger));
        jobs.create(creationOf("other", stranger, 8, 0), 0);
        vm.prank(bob);
        vm.expectRevert(Jobs.NoRounds.selector);
        jobs.create(creationOf("other", bob, 0, 0), 0);
    }

    function test_words_are_chained_from_the_creation_and_say_when() public {
        bytes32 genesis = word(keccak256(abi.encode(creationOf(JOB, alice, 8, BUDGET))));
        vm.assertEq(jobs.closings(JOB, 0), genesis);
        vm.warp(block.timestamp + 10);
        open(1, "one");
        bytes32 opening = word(keccak256(abi.encode(genesis, JOB, uint32(1), bytes32("one"))));
        vm.assertEq(jobs.openings(JOB, 1), opening);
        vm.warp(block.timestamp + 10);
        close(1, "v1");
        bytes32 closing = word(
            keccak256(abi.encode(Records.Closing(opening, "header", "params", "v1", "manifest", "archive")))
        );
        vm.assertEq(jobs.closings(JOB, 1), closing);
        open(2, "two");
        vm.assertEq(
            jobs.openings(JOB, 2),
            word(keccak256(abi.encode(closing, JOB, uint32(2), bytes32("two"))))
        );
    }

    function test_repeats_are_harmless_at_any_later_time() public {
        open(1, "one");
        close(1, "v1");
        open(2, "two");
        vm.recordLogs();
        open(1, "one");
        close(1, "v1");
        open(2, "two");
        closeAndOpen(1, "v1", "two");
        vm.assertEq(vm.getRecordedLogs().length, 0);
        uint32 latest = latestOf();
        vm.assertEq(latest, 2);
        vm.assertEq(jobs.closings(JOB, 2), 0);
    }

    function test_differing_repeats_revert() public {
        open(1, "one");
        vm.expectRevert(abi.encodeWithSelector(Jobs.OpeningDiffers.selector, JOB, 1));
        open(1, "other");
        close(1, "v1");
        vm.expectRevert(abi.encodeWithSelector(Jobs.OpeningDiffers.selector, JOB, 1));
        open(1, "other");
        vm.expectRevert(abi.encodeWithSelector(Jobs.ClosingDiffers.selector, JOB, 1));
        close(1, "other");
        vm.expectRevert(abi.encodeWithSelector(Jobs.ClosingDiffers.selector, JOB, 0));
        close(0, "other");
    }

    function test_rounds_come_one_after_the_other() public {
        vm.expectRevert(abi.encodeWithSelector(Jobs.RoundOutOfOrder.selector, JOB, 2, 0));
        open(2, "two");
        vm.expectRevert(abi.encodeWithSelector(Jobs.RoundOutOfOrder.selector, JOB, 0, 0));
        open(0, "zero");
        vm.expectRevert(abi.encodeWithSelector(Jobs.RoundOutOfOrder.selector, JOB, 1, 0));
        close(1, "v1");
        open(1, "one");
        vm.expectRevert(abi.encodeWithSelector(Jobs.RoundStillOpen.selector, JOB, 1));
        open(2, "two");
    }

    function test_close_and_open_finishes_what_a_crash_left_half_done() public {
        open(1, "one");
        close(1, "v1");
        closeAndOpen(1, "v1", "two");
        uint32 latest = latestOf();
        vm.assertEq(latest, 2);
        vm.assertEq(jobs.closings(JOB, 2), 0);
    }

    function test_only_the_coordinator_moves_a_job() public {
        bytes memory refusal = abi.encodeWithSelector(Jobs.NotCoordinator.selector, JOB, bob);
        vm.prank(bob);
        vm.expectRevert(refusal);
        jobs.open(JOB, 1, "one");
        open(1, "one");
        vm.prank(bob);
        vm.expectRevert(refusal);
        jobs.close(JOB, 1, "header", "params", "v1", "manifest", "archive");
        vm.prank(bob);
        vm.expectRevert(refusal);
        jobs.finish(JOB);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(Jobs.NotCoordinator.selector, bytes32("unknown"), alice));
        jobs.open("unknown", 1, "one");
    }

    function test_a_finished_job_goes_no_further_but_repeats_stay_harmless() public {
        open(1, "one");
        finish();
        vm.recordLogs();
        finish();
        open(1, "one");
        vm.assertEq(vm.getRecordedLogs().length, 0);
        vm.expectRevert(abi.encodeWithSelector(Accounts.NotRunning.selector, JOB));
        close(1, "v1");
        vm.expectRevert(abi.encodeWithSelector(Accounts.NotRunning.selector, JOB));
        open(2, "two");
    }

    function test_a_job_has_no_more_rounds_than_it_said() public {
        for (uint32 round = 1; round <= 8; ++round) {
            open(round, bytes32(uint256(round)));
            close(round, bytes32(uint256(round)));
        }
        vm.expectRevert(abi.encodeWithSelector(Jobs.TooManyRounds.selector, JOB, 9, 8));
        open(9, "nine");
    }

    function test_budgets_are_released_when_rounds_are_final_and_the_rest_returns() public {
        open(1, "one");
        close(1, "v1");
        open(2, "two");
        vm.expectRevert(abi.encodeWithSelector(Accounts.NotFinal.selector, JOB, 1));
        jobs.release(JOB, 1);
        vm.warp(block.timestamp + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(Accounts.NotFinal.selector, JOB, 2));
        jobs.release(JOB, 2);
        jobs.release(JOB, 1);
        jobs.release(JOB, 1);
        (uint112 funded, , ) = rewards.purses(alice);
        vm.assertEq(funded, BUDGET / 8);
        vm.expectRevert(abi.encodeWithSelector(Accounts.NotFinished.selector, JOB));
        jobs.refund(JOB);
        finish();
        vm.expectRevert(abi.encodeWithSelector(Accounts.NotFinal.selector, JOB, 2));
        jobs.refund(JOB);
        vm.warp(block.timestamp + WINDOW);
        jobs.refund(JOB);
        jobs.refund(JOB);
        vm.assertEq(token.balanceOf(alice), 2 * BUDGET - BUDGET / 8);
        vm.assertEq(token.balanceOf(address(jobs)), 0);
    }

    function test_a_round_opens_only_while_the_bond_covers_it() public {
        vm.prank(bob);
        vm.expectRevert(abi.encodeWithSelector(Accounts.BondTooSmall.selector, 125, 124));
        jobs.create(creationOf("small", bob, 8, BUDGET), 124);
        vm.prank(bob);
        jobs.create(creationOf("small", bob, 8, BUDGET), 125);
        vm.prank(bob);
        jobs.open("small", 1, "one");
        vm.prank(bob);
        jobs.close("small", 1, "header", "params", "v1", "manifest", "archive");
        vm.prank(bob);
        vm.expectRevert(abi.encodeWithSelector(Accounts.BondTooSmall.selector, 250, 125));
        jobs.open("small", 2, "two");
        vm.warp(block.timestamp + WINDOW);
        jobs.release("small", 1);
        vm.prank(bob);
        jobs.open("small", 2, "two");
    }

    function test_a_conviction_voids_its_round_and_all_later_ones_and_nothing_before() public {
        for (uint32 round = 1; round <= 3; ++round) {
            open(round, bytes32(uint256(round)));
            close(round, bytes32(uint256(round)));
        }
        vm.expectRevert(abi.encodeWithSelector(Accounts.NotJudge.selector, address(this)));
        jobs.convict(JOB, 2, stranger, false);
        vm.prank(address(sums));
        jobs.convict(JOB, 2, stranger, false);
        vm.assertEq(token.balanceOf(stranger), (BUDGET * 30) / 100);
        vm.assertEq(jobs.pools(JOB), (BUDGET * 70) / 100);
        vm.assertEq(latestOf(), 1);
        vm.expectRevert(abi.encodeWithSelector(Accounts.NotRunning.selector, JOB));
        open(2, "again");
        vm.expectRevert(abi.encodeWithSelector(Jobs.RoundOutOfOrder.selector, JOB, 2, 1));
        close(2, bytes32(uint256(2)));
        vm.prank(address(sums));
        vm.expectRevert(abi.encodeWithSelector(Accounts.NotClosed.selector, JOB, 3));
        jobs.convict(JOB, 3, stranger, false);
        vm.warp(block.timestamp + WINDOW);
        vm.prank(address(sums));
        vm.expectRevert(abi.encodeWithSelector(Accounts.RoundFinal.selector, JOB, 1));
        jobs.convict(JOB, 1, stranger, false);
    }

    function test_a_job_that_does_not_move_is_taken_over_with_a_bond_for_what_is_left() public {
        open(1, "one");
        close(1, "v1");
        open(2, "two");
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(Accounts.NotMember.selector, stranger));
        jobs.takeOver(JOB, BUDGET);
        vm.prank(bob);
        vm.expectRevert(
            abi.encodeWithSelector(Accounts.NotAbandoned.selector, JOB, block.timestamp + PATIENCE)
        );
        jobs.takeOver(JOB, BUDGET);
        vm.warp(block.timestamp + PATIENCE);
        vm.prank(bob);
        vm.expectRevert(abi.encodeWithSelector(Accounts.BondTooSmall.selector, 875, 874));
        jobs.takeOver(JOB, 874);
        vm.prank(bob);
        jobs.takeOver(JOB, 875);
        // Half of what the open round is worth stays, for runners that hold receipts.
        vm.assertEq(token.balanceOf(alice), BUDGET - 62);
        vm.assertEq(jobs.pools(JOB), 62);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(Jobs.NotCoordinator.selector, JOB, alice));
        jobs.close(JOB, 2, "header", "params", "v2", "manifest", "archive");
        vm.prank(bob);
        jobs.open(JOB, 2, "anew");
        vm.prank(alice);
        vm.expectRevert(
            abi.encodeWithSelector(Accounts.NotAbandoned.selector, JOB, block.timestamp + PATIENCE)
        );
        jobs.takeOver(JOB, BUDGET);
    }

    function test_a_pause_stops_new_jobs_and_nothing_else() public {
        open(1, "one");
        vm.prank(alice);
        consortium.votePause(true);
        vm.prank(bob);
        consortium.votePause(true);
        vm.prank(bob);
        vm.expectRevert(Jobs.JobsPaused.selector);
        jobs.create(creationOf("other", bob, 8, BUDGET), BUDGET);
        closeAndOpen(1, "v1", "two");
        close(2, "v2");
        vm.prank(address(sums));
        jobs.convict(JOB, 2, stranger, false);
        vm.warp(block.timestamp + WINDOW);
        jobs.release(JOB, 1);
        vm.prank(bob);
        jobs.takeOver(JOB, 875);
        vm.assertEq(latestOf(), 1);
    }

    function test_nothing_becomes_final_while_a_question_waits() public {
        open(1, "one");
        close(1, "v1");
        vm.prank(address(data_));
        jobs.hold(JOB);
        vm.warp(block.timestamp + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(Accounts.NotFinal.selector, JOB, 1));
        jobs.release(JOB, 1);
        vm.prank(address(data_));
        jobs.letGo(JOB, false);
        jobs.release(JOB, 1);
    }

    function test_whoever_likes_ends_a_job_that_nobody_moves() public {
        vm.expectRevert(abi.encodeWithSelector(Jobs.NotCoordinator.selector, JOB, address(this)));
        jobs.finish(JOB);
        vm.warp(block.timestamp + 2 * PATIENCE);
        jobs.finish(JOB);
        jobs.refund(JOB);
        vm.assertEq(token.balanceOf(alice), 2 * BUDGET);
    }

    /// @dev Any sequence of calls: only the one next step changes anything; everything else repeats or reverts.
    function testFuzz_rounds_open_and_close_in_order(uint256[24] calldata steps) public {
        uint32 latest = 0;
        bool isOpen = false;
        for (uint256 i = 0; i < steps.length; ++i) {
            uint32 round = uint32(bound(steps[i] >> 1, 0, 9));
            bool opens = steps[i] & 1 == 0;
            bool isNext = opens ? !isOpen && round == latest + 1 && round <= 8 : isOpen && round == latest;
            bool repeats =
                round != 0 && (opens ? round <= latest : round < latest || (round == latest && !isOpen));
            vm.prank(alice);
            (bool success, ) = address(jobs).call(
                opens
                    ? abi.encodeCall(jobs.open, (JOB, round, bytes32(uint256(round))))
                    : abi.encodeCall(jobs.close, (JOB, round, "h", "p", bytes32(uint256(round)), "m", "a"))
            );
            vm.assertEq(success ? 1 : 0, isNext || repeats ? 1 : 0);
            if (isNext) (latest, isOpen) = (round, opens);
            uint32 onChain = latestOf();
            vm.assertEq(onChain, latest);
            vm.assertEq(isOpen ? 1 : 0, jobs.closings(JOB, latest) == 0 ? 1 : 0);
        }
    }

    function word(bytes32 digest) private view returns (bytes32) {
        return bytes32((block.timestamp << 224) | ((uint256(digest) << 32) >> 32));
    }

    function latestOf() private view returns (uint32 latest) {
        (, latest, , , , , , , , , , ) = jobs.jobs(JOB);
    }

    function create(address coordinator, uint32 rounds) private {
        vm.prank(coordinator);
        jobs.create(creationOf(JOB, coordinator, rounds, BUDGET), BUDGET);
    }

    function open(uint32 round, bytes32 openHash) private {
        vm.prank(alice);
        jobs.open(JOB, round, openHash);
    }

    function close(uint32 round, bytes32 versionId) private {
        vm.prank(alice);
        jobs.close(JOB, round, "header", "params", versionId, "manifest", "archive");
    }

    function closeAndOpen(uint32 round, bytes32 versionId, bytes32 openHash) private {
        vm.prank(alice);
        jobs.closeAndOpen(JOB, round, "header", "params", versionId, "manifest", "archive", openHash);
    }

    function finish() private {
        vm.prank(alice);
        jobs.finish(JOB);
    }
}
