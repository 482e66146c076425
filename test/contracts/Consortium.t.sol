// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Consortium} from "../../contracts/Consortium.sol";
import {Token} from "../../contracts/Token.sol";
import {ExactTransfer} from "../../contracts/lib/ExactTransfer.sol";
import {Stack} from "./Stack.sol";

contract ConsortiumTest is Stack {
    address private constant runner = address(0x4011);

    function setUp() public {
        deploy();
        give(runner, address(consortium), 1_000);
    }

    function test_only_the_founder_admits_members() public {
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(Consortium.NotFounder.selector, alice));
        consortium.addMember(stranger, "Stranger", "https://stranger.example");
        vm.assertFalse(consortium.isMember(stranger));
    }

    function test_admitting_twice_is_harmless_and_differing_reverts() public {
        vm.recordLogs();
        consortium.addMember(alice, "Alice's clinic", "https://alice.example");
        vm.assertEq(vm.getRecordedLogs().length, 0);
        vm.expectRevert(abi.encodeWithSelector(Consortium.AlreadyMember.selector, alice));
        consortium.addMember(alice, "Alice's clinic", "https://evil.example");
    }

    function test_members_admit_and_remove_members_by_more_than_half_of_their_votes() public {
        vm.prank(alice);
        consortium.voteMember(stranger, "Stranger", "https://stranger.example");
        vm.assertFalse(consortium.isMember(stranger));
        bytes32 ballot = keccak256(
            abi.encode(
                consortium.changes(),
                stranger,
                keccak256(abi.encode("Stranger", "https://stranger.example"))
            )
        );
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(Consortium.VotedBefore.selector, alice, ballot));
        consortium.voteMember(stranger, "Stranger", "https://stranger.example");
        vm.prank(bob);
        consortium.voteMember(stranger, "Stranger", "https://stranger.example");
        vm.assertTrue(consortium.isMember(stranger));
        vm.assertEq(consortium.members(), 3);

        vm.prank(bob);
        consortium.voteRemoval(alice);
        vm.assertTrue(consortium.isMember(alice));
        vm.prank(stranger);
        consortium.voteRemoval(alice);
        vm.assertFalse(consortium.isMember(alice));
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(Consortium.NotMember.selector, alice));
        consortium.voteRemoval(bob);
    }

    function test_the_founder_admits_nobody_after_the_first_vote() public {
        vm.prank(alice);
        consortium.voteRemoval(bob);
        vm.prank(bob);
        consortium.voteRemoval(bob);
        vm.assertTrue(consortium.voted());
        vm.expectRevert(abi.encodeWithSelector(Consortium.NotFounder.selector, address(this)));
        consortium.addMember(stranger, "Stranger", "https://stranger.example");
    }

    function test_votes_for_different_things_do_not_add_up_and_end_with_the_next_change() public {
        vm.prank(alice);
        consortium.voteMember(stranger, "Stranger", "https://stranger.example");
        vm.prank(bob);
        consortium.voteMember(stranger, "Stranger", "https://evil.example");
        vm.assertFalse(consortium.isMember(stranger));
        consortium.addMember(address(0xCA401), "Carol's lab", "https://carol.example");
        vm.prank(bob);
        consortium.voteMember(stranger, "Stranger", "https://stranger.example");
        vm.assertFalse(consortium.isMember(stranger));
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(Consortium.NotMember.selector, stranger));
        consortium.voteMember(stranger, "Stranger", "https://stranger.example");
    }

    function test_members_pause_and_name_a_successor_by_vote_and_a_ballot_serves_once() public {
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(Consortium.NotMember.selector, stranger));
        consortium.votePause(true);
        for (uint256 i = 0; i < 2; ++i) {
            bool pause = i == 0;
            vm.prank(alice);
            consortium.votePause(pause);
            vm.assertTrue(consortium.paused() != pause);
            vm.prank(bob);
            consortium.votePause(pause);
            vm.assertTrue(consortium.paused() == pause);
        }
        vm.prank(alice);
        consortium.votePause(true);
        vm.assertFalse(consortium.paused());
        vm.prank(alice);
        consortium.voteSuccessor(stranger);
        vm.prank(bob);
        consortium.voteSuccessor(stranger);
        vm.assertEq(consortium.successor(), stranger);
    }

    function testFuzz_the_list_of_members_is_the_members_whoever_comes_and_goes(
        uint8[12] calldata steps
    ) public {
        Consortium other = new Consortium(token, MIN_STAKE, UNBONDING, new address[](0));
        other.addMember(alice, "", "");
        uint256 count = 1;
        for (uint256 i = 0; i < steps.length; ++i) {
            address member = address(uint160(0x1000 + (steps[i] % 4)));
            if (!other.isMember(member) && !other.voted()) {
                other.addMember(member, "m", "");
                ++count;
            } else if (other.isMember(member)) {
                for (uint256 j = 0; j < count && other.isMember(member); ++j) {
                    vm.prank(other.memberAt(j));
                    other.voteRemoval(member);
                }
                --count;
            }
            vm.assertEq(other.members(), count);
            for (uint256 j = 0; j < count; ++j) {
                vm.assertTrue(other.isMember(other.memberAt(j)));
                vm.assertEq(other.placeOf(other.memberAt(j)), j + 1);
            }
            if (!other.isMember(member)) vm.assertEq(other.placeOf(member), 0);
        }
    }

    function test_keys_and_fingerprints_are_stated_by_those_they_belong_to() public {
        vm.prank(alice);
        consortium.announceKey("key");
        vm.assertEq(consortium.sealingKeys(alice), "key");
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(Consortium.NotMember.selector, stranger));
        consortium.announceKey("key");
        string[] memory data = new string[](1);
        data[0] = "digits";
        vm.prank(runner);
        vm.expectRevert(abi.encodeWithSelector(Consortium.NotRegistered.selector, runner));
        consortium.serve("certificate", data);
        vm.prank(runner);
        consortium.register(alice, 100);
        vm.prank(runner);
        consortium.serve("certificate", data);
        vm.assertEq(consortium.tlsFingerprints(runner), "certificate");
    }

    function test_only_the_judge_slashes_and_what_is_slashed_never_returns() public {
        vm.prank(runner);
        consortium.register(alice, 1_000);
        vm.expectRevert(abi.encodeWithSelector(Consortium.NotSlasher.selector, address(this)));
        consortium.slash(runner, stranger);
        vm.prank(address(leaves_));
        consortium.slash(runner, stranger);
        vm.assertEq(token.balanceOf(stranger), 300);
        vm.warp(block.timestamp + UNBONDING);
        vm.prank(runner);
        consortium.withdraw();
        vm.assertEq(token.balanceOf(runner), 0);
    }

    function test_a_member_moves_its_stack_and_nobody_else_does() public {
        vm.prank(alice);
        consortium.describe("Alice's clinic", "https://new.example");
        vm.assertEq(
            consortium.profiles(alice),
            keccak256(abi.encode("Alice's clinic", "https://new.example"))
        );
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(Consortium.NotMember.selector, stranger));
        consortium.describe("Alice's clinic", "https://evil.example");
    }

    function testFuzz_registration_pulls_the_stake_and_the_exit_returns_it(
        uint256 stake,
        uint256 wait
    ) public {
        stake = bound(stake, MIN_STAKE, 1_000);
        vm.prank(runner);
        consortium.register(alice, stake);
        (address member, uint256 held, uint256 registeredAt, uint256 leftAt) = consortium.runners(runner);
        vm.assertEq(member, alice);
        vm.assertEq(held, stake);
        vm.assertEq(registeredAt, block.timestamp);
        vm.assertEq(leftAt, 0);
        vm.assertEq(token.balanceOf(runner), 1_000 - stake);

        vm.prank(runner);
        vm.expectRevert(abi.encodeWithSelector(Consortium.NotLeft.selector, runner));
        consortium.withdraw();

        vm.prank(runner);
        consortium.exit();
        uint256 until = block.timestamp + UNBONDING;
        wait = bound(wait, 0, UNBONDING - 1);
        vm.warp(block.timestamp + wait);
        vm.prank(runner);
        consortium.exit();
        vm.prank(runner);
        vm.expectRevert(abi.encodeWithSelector(Consortium.StillBonded.selector, runner, until));
        consortium.withdraw();

        vm.warp(until);
        vm.prank(runner);
        consortium.withdraw();
        vm.prank(runner);
        consortium.withdraw();
        vm.assertEq(token.balanceOf(runner), 1_000);
        vm.assertEq(token.balanceOf(address(consortium)), 0);
    }

    function test_registering_twice_is_harmless_and_differing_reverts() public {
        vm.prank(runner);
        consortium.register(alice, 100);
        vm.prank(runner);
        consortium.register(alice, 100);
        vm.assertEq(token.balanceOf(address(consortium)), 100);
        vm.prank(runner);
        vm.expectRevert(abi.encodeWithSelector(Consortium.AlreadyRegistered.selector, runner));
        consortium.register(bob, 100);
    }

    function test_an_address_that_left_is_never_used_again() public {
        vm.prank(runner);
        consortium.register(alice, 100);
        vm.prank(runner);
        consortium.exit();
        vm.warp(block.timestamp + UNBONDING);
        vm.prank(runner);
        consortium.withdraw();
        vm.prank(runner);
        vm.expectRevert(abi.encodeWithSelector(Consortium.AlreadyRegistered.selector, runner));
        consortium.register(alice, 100);
    }

    function test_registration_needs_a_member_the_stake_and_the_tokens() public {
        vm.prank(runner);
        vm.expectRevert(abi.encodeWithSelector(Consortium.NotMember.selector, stranger));
        consortium.register(stranger, 100);
        vm.prank(runner);
        vm.expectRevert(abi.encodeWithSelector(Consortium.StakeTooSmall.selector, 99, MIN_STAKE));
        consortium.register(alice, 99);
        vm.prank(stranger);
        vm.expectRevert(
            abi.encodeWithSignature(
                "ERC20InsufficientAllowance(address,uint256,uint256)",
                address(consortium),
                0,
                100
            )
        );
        consortium.register(alice, 100);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(Consortium.NotRegistered.selector, stranger));
        consortium.exit();
    }

    function test_a_token_that_takes_a_fee_is_refused() public {
        FeeToken fee = new FeeToken();
        Consortium other = new Consortium(fee, MIN_STAKE, UNBONDING, new address[](0));
        other.addMember(alice, "Alice", "https://alice.example");
        fee.transfer(runner, 1_000);
        vm.prank(runner);
        fee.approve(address(other), 1_000);
        vm.prank(runner);
        vm.expectRevert(abi.encodeWithSelector(ExactTransfer.TokenNotExact.selector, 200, 199));
        other.register(alice, 200);
    }
}

contract FeeToken is Token(1e27) {
    function _update(address from, address to, uint256 value) internal override {
        if (from == address(0) || from.code.length != 0 || value == 0) return super._update(from, to, value);
        super._update(from, address(0xFEE), 1);
        super._update(from, to, value - 1);
    }
}
