// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Rewards} from "../../contracts/Rewards.sol";
import {Protocol} from "../../contracts/lib/Protocol.sol";
import {Stack} from "./Stack.sol";
import {Tree} from "./Tree.sol";

contract RewardsTest is Stack {
    uint256 private constant FUNDS = 1e24;

    Protocol.RewardLeaf[] private leaves;
    bytes32[] private hashes;

    function setUp() public {
        deploy();
        token.approve(address(rewards), type(uint256).max);
        rewards.fund(alice, FUNDS);
        give(alice, address(rewards), PAYER_BOND);
        vm.prank(alice);
        rewards.raiseBond(PAYER_BOND);
    }

    function testFuzz_every_account_is_paid_exactly_what_it_earned(uint256 seed, uint256 count) public {
        count = bound(count, 1, 20);
        publish(1, plant(seed, count));
        vm.warp(block.timestamp + WINDOW);
        for (uint32 i = 0; i < count; ++i) {
            claim(1, i);
            claim(1, i);
            vm.assertEq(token.balanceOf(leaves[i].account), leaves[i].cumulative);
        }
    }

    function testFuzz_claiming_rarely_pays_the_same(uint256 seed, uint256 missed) public {
        for (uint32 epoch = 1; epoch <= 6; ++epoch) {
            publish(epoch, plant(seed, 5));
            vm.warp(block.timestamp + WINDOW);
            for (uint32 i = 0; i < 5; ++i)
                if ((missed >> (epoch * 5 + i)) & 1 == 0 || epoch == 6) claim(epoch, i);
        }
        for (uint32 i = 0; i < 5; ++i) vm.assertEq(token.balanceOf(leaves[i].account), leaves[i].cumulative);
    }

    function test_claims_wait_for_the_window_and_the_root_before_serves_until_then() public {
        publish(1, plant(7, 3));
        claim(1, 0, abi.encodeWithSelector(Rewards.NotInEffect.selector, 1, block.timestamp + WINDOW));
        vm.assertEq(rewards.epochInEffect(alice), 0);
        vm.warp(block.timestamp + WINDOW);
        vm.assertEq(rewards.epochInEffect(alice), 1);

        Protocol.RewardLeaf memory first = leaves[0];
        bytes32[] memory proof = Tree.proof(hashes, 0);
        publish(2, plant(8, 3));
        vm.assertEq(rewards.epochInEffect(alice), 1);
        rewards.claim(alice, 1, first, proof);
        vm.assertEq(token.balanceOf(first.account), first.cumulative);
        claim(2, 0, abi.encodeWithSelector(Rewards.NotInEffect.selector, 2, block.timestamp + WINDOW));

        vm.warp(block.timestamp + WINDOW);
        vm.assertEq(rewards.epochInEffect(alice), 2);
        vm.expectRevert(abi.encodeWithSelector(Rewards.Superseded.selector, 1, 2));
        rewards.claim(alice, 1, first, proof);
        claim(2, 0);
        vm.assertEq(token.balanceOf(first.account), leaves[0].cumulative);
    }

    function test_publishing_twice_is_harmless_and_differing_or_skipping_reverts() public {
        uint128 total = plant(1, 3);
        publish(1, total);
        vm.recordLogs();
        publish(1, total);
        vm.assertEq(vm.getRecordedLogs().length, 0);
        publish(1, total + 1, abi.encodeWithSelector(Rewards.EpochDiffers.selector, 1));
        bytes32 root = Tree.root(hashes);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(Rewards.EpochDiffers.selector, 1));
        rewards.publish(1, root, 3, total, "another manifest");
        publish(3, total, abi.encodeWithSelector(Rewards.EpochOutOfOrder.selector, 2, 3));
        publish(0, total, abi.encodeWithSelector(Rewards.EpochOutOfOrder.selector, 2, 0));
    }

    function test_the_total_never_falls_and_never_exceeds_the_funds() public {
        plant(1, 3);
        publish(1, 500);
        publish(2, 499, abi.encodeWithSelector(Rewards.TotalFalls.selector, 500, 499));
        publish(2, uint128(FUNDS + 1), abi.encodeWithSelector(Rewards.NotFunded.selector, FUNDS, FUNDS + 1));
        vm.prank(alice);
        vm.expectRevert(Rewards.EpochEmpty.selector);
        rewards.publish(2, 0, 0, 500, 0);
    }

    function test_seven_epochs_may_wait_and_the_one_in_effect_is_never_overwritten() public {
        publish(1, plant(1, 2));
        Protocol.RewardLeaf memory first = leaves[0];
        bytes32[] memory proof = Tree.proof(hashes, 0);
        vm.warp(block.timestamp + WINDOW);
        uint256 until = block.timestamp + WINDOW;
        for (uint32 epoch = 2; epoch <= 8; ++epoch) publish(epoch, plant(epoch, 2));
        uint128 total = plant(9, 2);
        publish(9, total, abi.encodeWithSelector(Rewards.QueueFull.selector, until));
        rewards.claim(alice, 1, first, proof);
        vm.warp(until);
        publish(9, total);
        vm.assertEq(rewards.epochInEffect(alice), 8);
        vm.expectRevert(abi.encodeWithSelector(Rewards.EpochUnknown.selector, alice, 1));
        rewards.epochOf(alice, 1);
    }

    function test_a_payer_that_lies_about_its_total_empties_only_its_own_purse() public {
        rewards.fund(bob, FUNDS);
        uint128 total = plant(3, 4);
        publish(1, total - 1);
        vm.warp(block.timestamp + WINDOW);
        for (uint32 i = 0; i < 3; ++i) claim(1, i);
        claim(1, 3, abi.encodeWithSelector(Rewards.MoreThanTotal.selector, total - 1, total));
        vm.assertEq(
            token.balanceOf(address(rewards)),
            2 * FUNDS + PAYER_BOND - (total - leaves[3].cumulative)
        );
    }

    function test_a_root_of_one_payer_is_worth_nothing_with_another() public {
        rewards.fund(bob, FUNDS);
        publish(1, plant(3, 4));
        vm.warp(block.timestamp + WINDOW);
        bytes32[] memory proof = Tree.proof(hashes, 0);
        vm.expectRevert(abi.encodeWithSelector(Rewards.EpochUnknown.selector, bob, 1));
        rewards.claim(bob, 1, leaves[0], proof);
    }

    function testFuzz_any_changed_field_is_refused(uint256 seed, uint256 field, uint128 change) public {
        vm.assume(change != 0);
        publish(1, plant(seed, 6));
        vm.warp(block.timestamp + WINDOW);
        Protocol.RewardLeaf memory leaf = leaves[2];
        field = bound(field, 0, 5);
        if (field == 0) leaf.index ^= uint32(bound(change, 1, 3));
        if (field == 1) leaf.account = address(uint160(leaf.account) ^ change);
        if (field == 2) leaf.cumulative ^= change;
        if (field == 3) leaf.previous ^= change;
        if (field == 4) leaf.totalPrefix ^= change;
        if (field == 5) leaf.deltaRoot ^= bytes32(uint256(change));
        bytes32[] memory proof = Tree.proof(hashes, 2);
        vm.expectRevert(abi.encodeWithSelector(Rewards.WrongProof.selector, alice, 1, leaf.index));
        rewards.claim(alice, 1, leaf, proof);
    }

    function test_proofs_have_exactly_the_depth_of_the_tree_and_indices_its_range() public {
        publish(1, plant(5, 5));
        vm.warp(block.timestamp + WINDOW);
        bytes32[] memory proof = Tree.proof(hashes, 4);
        bytes32[] memory short = new bytes32[](2);
        bytes32[] memory long = new bytes32[](4);
        for (uint256 i = 0; i < 3; ++i) (short[i % 2], long[i]) = (proof[i], proof[i]);
        vm.expectRevert(abi.encodeWithSelector(Protocol.ProofLength.selector, 3, 2));
        rewards.claim(alice, 1, leaves[4], short);
        vm.expectRevert(abi.encodeWithSelector(Protocol.ProofLength.selector, 3, 4));
        rewards.claim(alice, 1, leaves[4], long);
        Protocol.RewardLeaf memory beyond = leaves[4];
        beyond.index = 5;
        vm.expectRevert(abi.encodeWithSelector(Protocol.LeafOutOfRange.selector, 5, 5));
        rewards.claim(alice, 1, beyond, proof);
        rewards.claim(alice, 1, leaves[4], proof);
    }

    function test_many_claims_at_once_pay_what_single_claims_pay() public {
        publish(1, plant(11, 9));
        vm.warp(block.timestamp + WINDOW);
        claim(1, 4);
        bytes32[][] memory proofs = new bytes32[][](9);
        for (uint256 i = 0; i < 9; ++i) proofs[i] = Tree.proof(hashes, i);
        rewards.claimMany(alice, 1, leaves, proofs);
        for (uint32 i = 0; i < 9; ++i) vm.assertEq(token.balanceOf(leaves[i].account), leaves[i].cumulative);
        vm.expectRevert(abi.encodeWithSelector(Rewards.LengthsDiffer.selector, 9, 8));
        rewards.claimMany(alice, 1, leaves, new bytes32[][](8));
    }

    /// @dev Lets `count` accounts earn something more; accounts ascend.
    function plant(uint256 seed, uint256 count) private returns (uint128 total) {
        delete hashes;
        for (uint32 i = 0; i < count; ++i) {
            uint128 previous = i < leaves.length ? leaves[i].cumulative : 0;
            uint128 cumulative = previous + uint128(uint256(keccak256(abi.encode(seed, i))) % 1e20) + 1;
            if (i >= leaves.length) leaves.push();
            leaves[i] = Protocol.RewardLeaf(
                i,
                address(uint160(0x1000 + i)),
                cumulative,
                previous,
                total,
                bytes32(seed)
            );
            hashes.push(Tree.rewardLeaf(leaves[i]));
            total += cumulative;
        }
    }

    function publish(uint32 epoch, uint128 total) private {
        publish(epoch, total, "");
    }

    /// @param refusal what the call must revert with, empty if it must not.
    function publish(uint32 epoch, uint128 total, bytes memory refusal) private {
        bytes32 root = Tree.root(hashes);
        vm.prank(alice);
        if (refusal.length != 0) vm.expectRevert(refusal);
        rewards.publish(epoch, root, uint32(hashes.length), total, "manifest");
    }

    function claim(uint32 epoch, uint32 index) private {
        claim(epoch, index, "");
    }

    function claim(uint32 epoch, uint32 index, bytes memory refusal) private {
        bytes32[] memory proof = Tree.proof(hashes, index);
        if (refusal.length != 0) vm.expectRevert(refusal);
        rewards.claim(alice, epoch, leaves[index], proof);
    }
}
