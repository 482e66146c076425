// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bytes} from "@openzeppelin/contracts/utils/Bytes.sol";
import {Judge} from "../../contracts/Judge.sol";
import {SumJudge} from "../../contracts/SumJudge.sol";
import {Protocol} from "../../contracts/lib/Protocol.sol";
import {Records} from "../../contracts/lib/Records.sol";
import {Stack} from "./Stack.sol";
import {Tree} from "./Tree.sol";

/// @dev Rounds of 1 to 16 runners closed under random robust rules, against a plain sort.
contract RobustTest is Stack {
    bytes32 private constant JOB = keccak256("robust");
    /// @dev The second chunk ends with 58 zeros that no runner sent.
    uint256 private constant VALUES = 70;
    uint256 private constant CHUNKS = 2;
    int256 private constant MOST = 2 ** 31 - 1;
    uint256 private constant BOND = 1_000;

    /// @dev What a round is closed with. @param updates by runner and position. @param weight what the node says that
    ///      `weights` sum to. @param sums by position.
    struct Round {
        uint256 trim;
        int256[][] updates;
        uint32[] weights;
        uint64 weight;
        int256[] sums;
    }

    /// @dev What judges are shown of a closed round, by chunk.
    struct Evidence {
        Judge.Place place;
        SumJudge.Chunk[CHUNKS] sums;
        SumJudge.Update[][CHUNKS] updates;
    }

    function setUp() public {
        deploy();
        give(alice, address(jobs), 2 * BOND);
    }

    function testFuzz_an_honest_round_is_never_convicted(uint256 seed) public {
        Evidence memory shown = close(honest(seed));
        for (uint256 chunk = 0; chunk < CHUNKS; ++chunk) {
            vm.assertTrue(holds(shown, chunk));
            accuse(robust, wrongRobustSum(shown, chunk), false);
        }
    }

    /// @dev Zeros behind the last value are values too; one bit is the least that can be wrong.
    function testFuzz_every_single_wrong_value_convicts(
        uint256 seed,
        uint256 position,
        uint256 bit,
        bool up
    ) public {
        Round memory round = honest(seed);
        position = bound(position, 0, round.sums.length - 1);
        int256 lie = int256(1 << bound(bit, 0, 63));
        round.sums[position] += up ? lie : -lie;
        Evidence memory shown = close(round);
        uint256 wrong = position / 64;
        for (uint256 chunk = 0; chunk < CHUNKS; ++chunk)
            vm.assertTrue(holds(shown, chunk) == (chunk != wrong));
        accuse(robust, wrongRobustSum(shown, wrong), true);
    }

    function testFuzz_a_weight_that_is_not_that_of_the_headers_convicts(
        uint256 seed,
        uint256 chunk,
        bool up
    ) public {
        Round memory round = honest(seed);
        round.weight = up ? round.weight + 1 : round.weight - 1;
        accuse(robust, wrongRobustSum(close(round), bound(chunk, 0, CHUNKS - 1)), true);
    }

    function testFuzz_a_weighted_sum_in_its_place_is_for_nobody_else_to_judge(uint256 seed) public {
        Round memory round = honest(seed);
        ++round.sums[7];
        Evidence memory shown = close(round);
        accuse(sums, wrongSum(shown, 0), false);
        SumJudge.Sum[] memory none = new SumJudge.Sum[](0);
        accuse(sums, abi.encodeCall(sums.wrongUpperSum, (shown.place, shown.sums[0], none)), false);
        accuse(robust, wrongRobustSum(shown, 0), true);
    }

    function test_a_round_of_weighted_sums_is_not_judged_by_medians() public {
        Round memory round = honest(5);
        round.trim = 0;
        Evidence memory shown = close(round);
        accuse(robust, wrongRobustSum(shown, 0), false);
        // It holds robust means, which are no weighted sums.
        accuse(sums, wrongSum(shown, 0), true);
    }

    function test_only_rules_that_there_are_can_be_declared() public {
        for (uint256 rule = 0; rule < 256; ++rule) {
            Records.Creation memory creation = creationOf(bytes32(rule), alice, 1, 0);
            creation.terms.rule = uint8(rule);
            if (rule % 4 == 3 || rule / 4 > 50) vm.expectRevert(bytes4(keccak256("TermsInvalid()")));
            vm.prank(alice);
            jobs.create(creation, 0);
        }
    }

    // A round

    function honest(uint256 seed) private pure returns (Round memory round) {
        round.trim = bound(random(seed, "trim", 0), 1, 50);
        uint256 count = bound(random(seed, "count", 0), 1, 16);
        round.updates = new int256[][](count);
        round.weights = new uint32[](count);
        for (uint256 i = 0; i < count; ++i) {
            round.weights[i] = weightOf(random(seed, "weight", i));
            round.weight += round.weights[i];
            round.updates[i] = new int256[](64 * CHUNKS);
            for (uint256 position = 0; position < VALUES; ++position)
                round.updates[i][position] = valueOf(random(seed, bytes32(i), position));
        }
        round.sums = new int256[](64 * CHUNKS);
        for (uint256 position = 0; position < VALUES; ++position)
            round.sums[position] = int256(uint256(round.weight)) * meanAt(round, position);
    }

    function random(uint256 seed, bytes32 what, uint256 i) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, what, i)));
    }

    /// @dev Sixteen of the largest are all that a round's weights may sum to.
    function weightOf(uint256 any) private pure returns (uint32) {
        uint256 most = 2 ** 18;
        return
            uint32(
                any % 4 == 0
                    ? most
                    : any % 4 == 1
                        ? 1
                        : bound(any >> 8, 1, most)
            );
    }

    /// @dev Many equal values, the edges of the range, and anything between.
    function valueOf(uint256 any) private pure returns (int256) {
        if (any % 4 == 0) return any & 256 == 0 ? MOST : -MOST;
        int256 most =
            any % 4 == 1
                ? int256(1)
                : any % 4 == 2
                    ? int256(10)
                    : MOST;
        return int256(bound(any >> 8, 0, uint256(2 * most))) - most;
    }

    /// @dev By insertion sort, and a division that looks at both neighbours.
    function meanAt(Round memory round, uint256 position) private pure returns (int256 near) {
        uint256 count = round.updates.length;
        int256[] memory column = new int256[](count);
        for (uint256 i = 0; i < count; ++i) {
            int256 value = round.updates[i][position];
            uint256 j = i;
            for (; j > 0 && column[j - 1] > value; --j) column[j] = column[j - 1];
            column[j] = value;
        }
        bool isMedian = round.trim == 50;
        uint256 cut = isMedian ? (count + 1) / 2 - 1 : (round.trim * count) / 100;
        uint256 end = isMedian ? cut + 1 : count - cut;
        int256 total = 0;
        for (uint256 i = cut; i < end; ++i) total += column[i];
        int256 kept = int256(end - cut);
        for (near = total / kept - 1; ; ++near) {
            int256 twice = 2 * (total - near * kept);
            if (twice < 0) twice = -twice;
            if (twice < kept || (twice == kept && near % 2 == 0)) return near;
        }
    }

    /// @dev Closes the one round of a new job with it.
    function close(Round memory round) private returns (Evidence memory shown) {
        Records.Creation memory creation = creationOf(JOB, alice, 1, BOND);
        creation.terms.rule = uint8(Records.FEDAVG | (round.trim << 2));
        creation.terms.dimension = uint64(VALUES);
        vm.prank(alice);
        jobs.create(creation, BOND);
        vm.prank(alice);
        jobs.open(JOB, 1, "opened");
        shown = evidence(round);
        vm.prank(alice);
        jobs.close(JOB, 1, shown.place.closing.rootHeader, "params", "version", "manifest", "archive");
    }

    // Evidence

    function evidence(Round memory round) private view returns (Evidence memory shown) {
        Judge.Node memory node;
        node.weight = round.weight;
        node.count = uint32(round.updates.length);
        node.children = new bytes32[](node.count);
        for (uint256 chunk = 0; chunk < CHUNKS; ++chunk)
            shown.updates[chunk] = new SumJudge.Update[](node.count);
        for (uint32 i = 0; i < node.count; ++i) {
            (bytes[CHUNKS] memory values, bytes32[] memory hashes) = chunked(
                round.updates[i],
                32,
                Protocol.UPDATE
            );
            (address runner, uint32 weight) = (address(uint160(1_000 + i)), round.weights[i]);
            Judge.Leaf memory leaf = Judge.Leaf(i, runner, Tree.root(hashes), weight, weight, "signature");
            node.children[i] = headerOf(leaf);
            for (uint256 chunk = 0; chunk < CHUNKS; ++chunk)
                shown.updates[chunk][i] = SumJudge.Update(leaf, values[chunk], Tree.proof(hashes, chunk));
        }
        (bytes[CHUNKS] memory sums_, bytes32[] memory leaves) = chunked(round.sums, 64, Protocol.SUM);
        for (uint32 chunk = 0; chunk < CHUNKS; ++chunk)
            shown.sums[chunk] = SumJudge.Chunk(chunk, sums_[chunk], Tree.proof(leaves, chunk));
        node.sumRoot = Tree.root(leaves);
        shown.place = placeOf(node);
    }

    function placeOf(Judge.Node memory node) private view returns (Judge.Place memory place) {
        bytes32 opening = jobs.openings(JOB, 1);
        Records.Closing memory closing = Records.Closing(
            opening,
            headerOf(node),
            "params",
            "version",
            "manifest",
            "archive"
        );
        place = Judge.Place(JOB, 1, closing, new Judge.Node[](1), new uint8[](0));
        place.path[0] = node;
    }

    /// @dev Chunks of 64 integers of so many bits, and the leaves of the tree over them. A word of little-endian integers
    ///      is one little-endian integer, the first of them lowest.
    function chunked(
        int256[] memory values,
        uint256 bits,
        bytes1 kind
    ) private pure returns (bytes[CHUNKS] memory chunks, bytes32[] memory leaves) {
        leaves = new bytes32[](CHUNKS);
        uint256 each = 256 / bits;
        uint256 mask = (1 << bits) - 1;
        for (uint256 chunk = 0; chunk < CHUNKS; ++chunk) {
            bytes32[] memory words = new bytes32[](64 / each);
            for (uint256 i = 0; i < words.length; ++i) {
                uint256 word = 0;
                for (uint256 lane = 0; lane < each; ++lane)
                    word |= (uint256(values[64 * chunk + each * i + lane]) & mask) << (bits * lane);
                words[i] = Bytes.reverseBytes32(bytes32(word));
            }
            chunks[chunk] = abi.encodePacked(words);
            leaves[chunk] = Protocol.valuesLeaf(kind, chunks[chunk]);
        }
    }

    function holds(Evidence memory shown, uint256 chunk) private view returns (bool) {
        return robust.sumHolds(shown.place, shown.sums[chunk], shown.updates[chunk]);
    }

    function wrongRobustSum(Evidence memory shown, uint256 chunk) private view returns (bytes memory) {
        return abi.encodeCall(robust.wrongRobustSum, (shown.place, shown.sums[chunk], shown.updates[chunk]));
    }

    function wrongSum(Evidence memory shown, uint256 chunk) private view returns (bytes memory) {
        return abi.encodeCall(sums.wrongSum, (shown.place, shown.sums[chunk], shown.updates[chunk]));
    }

    function accuse(Judge judge, bytes memory call, bool convicts) private {
        vm.prank(stranger);
        judge.commit(keccak256(abi.encode(stranger, keccak256(call))));
        vm.roll(block.number + 1);
        vm.prank(stranger);
        (bool done, bytes memory returned) = address(judge).call(call);
        vm.assertTrue(done == convicts);
        if (!done) vm.assertTrue(bytes4(returned) == Judge.NothingWrong.selector);
        if (done) vm.assertEq(token.balanceOf(stranger), (30 * BOND) / 100);
    }
}
