// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Accounts} from "../../contracts/Accounts.sol";
import {Attestations} from "../../contracts/Attestations.sol";
import {Jobs} from "../../contracts/Jobs.sol";
import {Records} from "../../contracts/lib/Records.sol";
import {SignedRound} from "./SignedRound.sol";

/// @dev Jobs that close a round only with the signatures of drawn members.
contract AttestationsTest is SignedRound {
    bytes32 private constant ATTESTED = "attested";
    uint256 private constant MEMBERS = 9;

    function setUp() public {
        prepare();
        for (uint256 i = 1; i <= MEMBERS; ++i) consortium.addMember(vm.addr(i), "member", "");
        // All that are left have keys here.
        for (uint256 i = 1; i <= 7; ++i) {
            vm.prank(vm.addr(i));
            consortium.voteRemoval(alice);
        }
        for (uint256 i = 1; i <= 6; ++i) {
            vm.prank(vm.addr(i));
            consortium.voteRemoval(bob);
        }
        create(ATTESTED, 2);
        vm.prank(coordinator);
        jobs.open(ATTESTED, 1, "one");
        vm.roll(block.number + 2);
    }

    function test_two_of_five_drawn_members_close_a_round_and_open_the_next() public {
        vm.assertEq(jobs.drawn(ATTESTED).length, 5);
        uint256 pair = others();
        bytes memory list = signatures(pair);
        attest(pair, list, "two", 0);
        (, uint32 latest, , , , , , , , , , ) = jobs.jobs(ATTESTED);
        vm.assertEq(latest, 2);
        // The identical call later does nothing, whatever has become of the draw.
        vm.roll(block.number + 400);
        attest(pair, list, "two", 0);
    }

    function test_nothing_less_closes_it() public {
        uint256 pair = others();
        uint256 one = pair & (~pair + 1);
        bytes memory both = signatures(pair);
        // One is not enough; fewer signatures than places, more, one twice, in another order, one of another, none at all.
        attest(one, signatures(one), 0, Attestations.NotAttested.selector);
        attest(pair, signatures(one), 0, Attestations.NotAttested.selector);
        attest(one, both, 0, Attestations.NotAttested.selector);
        attest(pair, bytes.concat(both, hex"00"), 0, Attestations.NotAttested.selector);
        attest(pair, bytes.concat(signatures(one), signatures(one)), 0, Attestations.NotAttested.selector);
        attest(
            pair,
            bytes.concat(signatures(pair ^ one), signatures(one)),
            0,
            Attestations.NotAttested.selector
        );
        attest(pair, new bytes(128), 0, Attestations.NotAttested.selector);
        attest(0, "", 0, Attestations.NotAttested.selector);
        // Five are drawn: there is no sixth.
        attest(one | 32, both, 0, Attestations.NotAttested.selector);
        attest(one | (1 << 255), both, 0, Attestations.NotAttested.selector);
        vm.prank(coordinator);
        vm.expectRevert(abi.encodeWithSelector(Attestations.NotAttested.selector, ATTESTED));
        jobs.close(ATTESTED, 1, "header", "params", "version", "manifest", "archive");
        vm.prank(coordinator);
        vm.expectRevert(abi.encodeWithSelector(Attestations.NotAttested.selector, ATTESTED));
        jobs.closeAndOpen(ATTESTED, 1, "header", "params", "version", "manifest", "archive", "two");
    }

    function test_a_signature_is_for_one_closing_of_one_round_of_one_job() public {
        uint256 pair = others();
        bytes memory good = signatures(pair);
        Records.Closing memory other = closing();
        other.paramsRoot = "others";
        vm.prank(coordinator);
        vm.expectRevert(abi.encodeWithSelector(Attestations.NotAttested.selector, ATTESTED));
        jobs.closeAttested(ATTESTED, 1, other, pair, good, 0);
        other = closing();
        other.opening = "another";
        vm.prank(coordinator);
        vm.expectRevert(abi.encodeWithSelector(Jobs.ClosingDiffers.selector, ATTESTED, 1));
        jobs.closeAttested(ATTESTED, 1, other, pair, good, 0);
        other = closing();
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(Jobs.NotCoordinator.selector, ATTESTED, alice));
        jobs.closeAttested(ATTESTED, 1, other, pair, good, 0);
    }

    function test_nobody_knows_the_draw_before_the_block_after_the_opening_is_there() public {
        create("later", 2);
        vm.prank(coordinator);
        jobs.open("later", 1, "one");
        for (uint256 i = 0; i < 2; ++i) {
            jobs.draw("later");
            vm.expectRevert(abi.encodeWithSelector(Attestations.SeedUnknown.selector, bytes32("later")));
            jobs.drawn("later");
            vm.roll(block.number + 1);
        }
        vm.assertEq(jobs.drawn("later").length, 5);
    }

    function test_a_seed_that_was_kept_holds_and_one_that_nobody_kept_is_drawn_anew() public {
        address[] memory drawn = jobs.drawn(ATTESTED);
        jobs.draw(ATTESTED);
        bytes32 opening = jobs.openings(ATTESTED, 1);
        uint256 seed = jobs.seeds(opening);
        vm.assertTrue(seed != 0);
        vm.roll(block.number + 1_000);
        jobs.draw(ATTESTED);
        vm.assertEq(jobs.seeds(opening), seed);
        address[] memory still = jobs.drawn(ATTESTED);
        for (uint256 i = 0; i < 5; ++i) vm.assertEq(drawn[i], still[i]);

        create("lost", 2);
        vm.prank(coordinator);
        jobs.open("lost", 1, "one");
        vm.roll(block.number + 258);
        vm.expectRevert(abi.encodeWithSelector(Attestations.SeedUnknown.selector, bytes32("lost")));
        jobs.drawn("lost");
        jobs.draw("lost");
        vm.roll(block.number + 2);
        vm.assertEq(jobs.drawn("lost").length, 5);
    }

    function test_where_members_are_few_all_others_must_sign_at_most() public {
        vm.expectRevert(Accounts.TermsInvalid.selector);
        this.createWith("many", 9);
        create("many", 8);
        vm.prank(coordinator);
        jobs.open("many", 1, "one");
        vm.roll(block.number + 2);
        vm.assertEq(jobs.drawn("many").length, MEMBERS + 1);
    }

    /// @dev Over all seeds every member is drawn, none twice, none much more often than another.
    function test_draws_are_without_repetition_and_fair() public {
        uint256[] memory seen = new uint256[](MEMBERS + 1);
        for (uint256 i = 0; i < 500; ++i) {
            bytes32 job = bytes32(i + 1);
            create(job, 2);
            vm.prank(coordinator);
            jobs.open(job, 1, "one");
            vm.roll(block.number + 2);
            address[] memory drawn = jobs.drawn(job);
            for (uint256 j = 0; j < drawn.length; ++j) {
                for (uint256 k = 0; k < j; ++k) vm.assertTrue(drawn[k] != drawn[j]);
                ++seen[consortium.placeOf(drawn[j]) - 1];
            }
        }
        // 500 draws of 5 among 10: 250 each are expected, and five standard deviations are 56.
        for (uint256 i = 0; i < seen.length; ++i) vm.assertTrue(seen[i] > 194 && seen[i] < 306);
    }

    function test_the_coordinator_does_not_count_where_it_is_drawn() public {
        // Three of ten are drawn: twelve draws without it happen once in seventy times, and seeds are fixed here.
        for (uint256 i = 0; i < 12; ++i) {
            bytes32 job = bytes32(i + 1);
            create(job, 1);
            vm.prank(coordinator);
            jobs.open(job, 1, "one");
            vm.roll(block.number + 2);
            address[] memory drawn = jobs.drawn(job);
            for (uint8 place = 0; place < 3; ++place) {
                if (drawn[place] != coordinator) continue;
                Records.Closing memory own = closing();
                own.opening = jobs.openings(job, 1);
                bytes memory own_ = compact(KEY, jobs.attestationHash(job, 1, own));
                vm.prank(coordinator);
                vm.expectRevert(abi.encodeWithSelector(Attestations.NotAttested.selector, job));
                jobs.closeAttested(job, 1, own, 1 << place, own_, 0);
                return;
            }
        }
        revert("the coordinator was never drawn");
    }

    // Helpers

    function create(bytes32 job, uint8 attesters) private {
        Records.Creation memory creation = creationOf(job, coordinator, 4, 0);
        creation.terms.attesters = attesters;
        vm.prank(coordinator);
        jobs.create(creation, 0);
    }

    function createWith(bytes32 job, uint8 attesters) external {
        create(job, attesters);
    }

    function closing() private view returns (Records.Closing memory) {
        bytes32 word = jobs.openings(ATTESTED, 1);
        return Records.Closing(word, "header", "params", "version", "manifest", "archive");
    }

    /// @dev The first two places of the draw that are not the coordinator's.
    function others() private view returns (uint256 places) {
        address[] memory drawn = jobs.drawn(ATTESTED);
        uint256 found = 0;
        for (uint256 i = 0; found < 2; ++i) {
            if (drawn[i] == coordinator) continue;
            places |= 1 << i;
            ++found;
        }
    }

    /// @dev Of the members at these places of the draw.
    function signatures(uint256 places) private view returns (bytes memory all) {
        address[] memory drawn = jobs.drawn(ATTESTED);
        bytes32 digest = jobs.attestationHash(ATTESTED, 1, closing());
        for (uint256 i = 0; i < drawn.length; ++i)
            if ((places >> i) & 1 == 1) all = bytes.concat(all, compact(keyOf(drawn[i]), digest));
    }

    /// @dev EIP-2098.
    function compact(uint256 key, bytes32 digest) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, uint256(s) | (uint256(v - 27) << 255));
    }

    function keyOf(address member) private pure returns (uint256) {
        for (uint256 i = 1; i <= MEMBERS; ++i) if (vm.addr(i) == member) return i;
        if (member == vm.addr(KEY)) return KEY;
        revert("no key of this member");
    }

    function attest(uint256 places, bytes memory list, bytes32 next, bytes4 error_) private {
        bytes memory call = abi.encodeCall(jobs.closeAttested, (ATTESTED, 1, closing(), places, list, next));
        vm.prank(coordinator);
        (bool success, bytes memory answer) = address(jobs).call(call);
        vm.assertEq(success ? bytes32(0) : bytes32(bytes4(answer)), bytes32(error_));
    }
}
