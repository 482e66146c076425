// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Judge} from "../../contracts/Judge.sol";
import {SumJudge} from "../../contracts/SumJudge.sol";
import {Protocol} from "../../contracts/lib/Protocol.sol";
import {Records} from "../../contracts/lib/Records.sol";
import {Stack} from "./Stack.sol";
import {Tree} from "./Tree.sol";

/// @dev Closed rounds under random robust rules, with 1 to 16 runners and three chunks, against a plain sort. A round takes
///      some 0.4 s, so there are few; the values in them are many.
contract RobustTest is Stack {
    bytes32 private constant JOB = keccak256("robust");
    uint256 private constant CHUNKS = 3;
    uint256 private constant VALUES = 150;
    int256 private constant MOST = 2 ** 31 - 1;

    uint256 private trim;
    /// @dev By runner and position.
    int256[VALUES][] private updates;
    uint32[] private weights;
    int256[VALUES] private sums_;
    Judge.Node private node;
    Records.Closing private closing;

    /// forge-config: default.fuzz.runs = 32
    function testFuzz_an_honest_round_is_never_convicted(uint256 seed) public {
        close(seed, 0, 0);
        for (uint32 chunk = 0; chunk < CHUNKS; ++chunk) {
            vm.assertTrue(robust.sumHolds(place(), sumChunk(chunk), updateChunks(chunk)));
            accuse(robust, wrongRobustSum(chunk), false);
        }
    }

    /// forge-config: default.fuzz.runs = 32
    function testFuzz_every_single_wrong_value_convicts(uint256 seed, uint256 position, bool up) public {
        position = bound(position, 0, VALUES - 1);
        close(seed, position, up ? int256(1) : int256(-1));
        uint32 chunk = uint32(position / 64);
        for (uint32 other = 0; other < CHUNKS; ++other)
            vm.assertTrue(robust.sumHolds(place(), sumChunk(other), updateChunks(other)) == (other != chunk));
        accuse(robust, wrongRobustSum(chunk), true);
    }

    /// forge-config: default.fuzz.runs = 32
    function testFuzz_a_weighted_sum_in_its_place_is_for_nobody_else_to_judge(uint256 seed) public {
        close(seed, 7, 1);
        (Judge.Place memory here, SumJudge.Chunk memory sum, SumJudge.Update[] memory all) = evidence(0);
        accuse(sums, abi.encodeCall(sums.wrongSum, (here, sum, all)), false);
        accuse(sums, abi.encodeCall(sums.wrongUpperSum, (here, sum, new SumJudge.Sum[](0))), false);
        accuse(robust, abi.encodeCall(robust.wrongRobustSum, (here, sum, all)), true);
    }

    function test_a_round_of_weighted_sums_is_not_judged_by_medians() public {
        trim = 0;
        deploy();
        create(Records.FEDAVG);
        fill(5);
        commitTo();
        (Judge.Place memory here, SumJudge.Chunk memory sum, SumJudge.Update[] memory all) = evidence(0);
        accuse(robust, abi.encodeCall(robust.wrongRobustSum, (here, sum, all)), false);
        // It holds a median, which is no weighted sum.
        accuse(sums, abi.encodeCall(sums.wrongSum, (here, sum, all)), true);
    }

    /// forge-config: default.fuzz.runs = 32
    function testFuzz_a_weight_that_is_not_that_of_the_headers_convicts(uint256 seed) public {
        start(seed);
        uint64 heavier = node.weight + 1;
        node.weight = heavier;
        shut();
        accuse(robust, wrongRobustSum(0), true);
    }

    function test_only_rules_that_there_are_can_be_declared() public {
        deploy();
        give(alice, address(jobs), 10);
        for (uint256 rule = 0; rule < 256; ++rule) {
            Records.Creation memory creation = creationOf(bytes32(rule), alice, 1, 0);
            creation.terms.rule = uint8(rule);
            if (rule % 4 == 3 || rule / 4 > 50) vm.expectRevert(bytes4(keccak256("TermsInvalid()")));
            vm.prank(alice);
            jobs.create(creation, 0);
        }
    }

    // A round

    /// @dev Closed with what its rule gives, but for one value that is off by `lie`.
    function close(uint256 seed, uint256 position, int256 lie) private {
        start(seed);
        sums_[position] += lie;
        commitTo();
    }

    function start(uint256 seed) private {
        trim = bound(uint256(keccak256(abi.encode(seed, "trim"))), 1, 50);
        deploy();
        create(uint8(Records.FEDAVG | (trim << 2)));
        fill(seed);
    }

    function create(uint8 rule) private {
        give(alice, address(jobs), 1_000);
        Records.Creation memory creation = creationOf(JOB, alice, 1, 1_000);
        creation.terms.rule = rule;
        creation.terms.dimension = uint64(VALUES);
        give(alice, address(jobs), 2_000);
        vm.prank(alice);
        jobs.create(creation, 1_000);
        vm.prank(alice);
        jobs.open(JOB, 1, "opened");
    }

    function fill(uint256 seed) private {
        uint256 count = bound(uint256(keccak256(abi.encode(seed, "count"))), 1, 16);
        for (uint256 i = 0; i < count; ++i) {
            weights.push(uint32(bound(uint256(keccak256(abi.encode(seed, "weight", i))), 1, 2 ** 18)));
            updates.push();
            for (uint256 at = 0; at < VALUES; ++at)
                updates[i][at] = valueOf(uint256(keccak256(abi.encode(seed, i, at))));
        }
        uint256 weight = 0;
        bytes32[] memory children = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            weight += weights[i];
            Judge.Leaf memory leaf = leafOf(i);
            children[i] = Protocol.runnerHeader(
                leaf.index,
                leaf.runner,
                leaf.updateRoot,
                leaf.samples,
                leaf.weight,
                leaf.signatureHash
            );
        }
        for (uint256 at = 0; at < VALUES; ++at) sums_[at] = int256(weight) * meanAt(at);
        node = Judge.Node(0, uint64(weight), uint32(count), children);
    }

    function commitTo() private {
        node.sumRoot = Tree.root(sumLeaves());
        shut();
    }

    function shut() private {
        if (node.sumRoot == 0) node.sumRoot = Tree.root(sumLeaves());
        Judge.Node memory root = node;
        closing = Records.Closing({
            opening: jobs.openings(JOB, 1),
            rootHeader: Protocol.nodeHeader(root.sumRoot, root.weight, root.count, root.children),
            paramsRoot: "params",
            versionId: "version",
            manifestHash: "manifest",
            arweaveId: "archive"
        });
        vm.prank(alice);
        jobs.close(JOB, 1, closing.rootHeader, "params", "version", "manifest", "archive");
    }

    /// @dev Many equal values, the edges of the range, and anything between.
    function valueOf(uint256 any) private pure returns (int256) {
        if (any % 4 == 0) return int256((any >> 8) % 3) - 1;
        if (any % 4 == 1) return any & 256 == 0 ? MOST : -MOST;
        return bound(any >> 8, 0, 2) == 0 ? int256(0) : int256(int32(uint32(any >> 16))) / 2;
    }

    /// @dev By insertion sort, and a division that looks at both neighbours.
    function meanAt(uint256 at) private view returns (int256 mean) {
        uint256 count = updates.length;
        int256[] memory column = new int256[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 j = i;
            for (; j > 0 && column[j - 1] > updates[i][at]; --j) column[j] = column[j - 1];
            column[j] = updates[i][at];
        }
        bool isMedian = trim == 0 || trim == 50;
        uint256 cut = isMedian ? (count + 1) / 2 - 1 : (trim * count) / 100;
        uint256 end = isMedian ? cut + 1 : count - cut;
        int256 total = 0;
        for (uint256 i = cut; i < end; ++i) total += column[i];
        int256 kept = int256(end - cut);
        mean = total / kept;
        for (int256 near = mean - 1; near <= mean + 1; ++near) {
            int256 twice = 2 * (total - near * kept);
            if (twice < 0) twice = -twice;
            if (twice < kept || (twice == kept && near % 2 == 0)) return near;
        }
    }

    // Evidence

    function place() private view returns (Judge.Place memory at) {
        at = Judge.Place(JOB, 1, closing, new Judge.Node[](1), new uint8[](0));
        at.path[0] = node;
    }

    function evidence(
        uint32 chunk
    ) private view returns (Judge.Place memory, SumJudge.Chunk memory, SumJudge.Update[] memory) {
        return (place(), sumChunk(chunk), updateChunks(chunk));
    }

    function wrongRobustSum(uint32 chunk) private view returns (bytes memory) {
        return abi.encodeCall(robust.wrongRobustSum, (place(), sumChunk(chunk), updateChunks(chunk)));
    }

    function sumChunk(uint32 chunk) private view returns (SumJudge.Chunk memory) {
        return SumJudge.Chunk(chunk, sumValues(chunk), Tree.proof(sumLeaves(), chunk));
    }

    function updateChunks(uint32 chunk) private view returns (SumJudge.Update[] memory all) {
        all = new SumJudge.Update[](updates.length);
        for (uint256 i = 0; i < all.length; ++i)
            all[i] = SumJudge.Update(leafOf(i), updateValues(i, chunk), Tree.proof(updateLeaves(i), chunk));
    }

    function leafOf(uint256 i) private view returns (Judge.Leaf memory) {
        return
            Judge.Leaf(
                uint32(i),
                address(uint160(1_000 + i)),
                Tree.root(updateLeaves(i)),
                weights[i],
                weights[i],
                "signature"
            );
    }

    function updateLeaves(uint256 i) private view returns (bytes32[] memory hashes) {
        hashes = new bytes32[](CHUNKS);
        for (uint256 chunk = 0; chunk < CHUNKS; ++chunk)
            hashes[chunk] = Protocol.valuesLeaf(Protocol.UPDATE, updateValues(i, chunk));
    }

    function sumLeaves() private view returns (bytes32[] memory hashes) {
        hashes = new bytes32[](CHUNKS);
        for (uint256 chunk = 0; chunk < CHUNKS; ++chunk)
            hashes[chunk] = Protocol.valuesLeaf(Protocol.SUM, sumValues(chunk));
    }

    function updateValues(uint256 i, uint256 chunk) private view returns (bytes memory values) {
        values = new bytes(256);
        for (uint256 at = 0; at < 64 && 64 * chunk + at < VALUES; ++at)
            write(values, 4 * at, uint256(updates[i][64 * chunk + at]), 4);
    }

    function sumValues(uint256 chunk) private view returns (bytes memory values) {
        values = new bytes(512);
        for (uint256 at = 0; at < 64 && 64 * chunk + at < VALUES; ++at)
            write(values, 8 * at, uint256(sums_[64 * chunk + at]), 8);
    }

    function write(bytes memory into, uint256 at, uint256 value, uint256 length) private pure {
        for (uint256 i = 0; i < length; ++i) into[at + i] = bytes1(uint8(value >> (8 * i)));
    }

    function accuse(Judge judge, bytes memory call, bool convicts) private {
        vm.prank(stranger);
        judge.commit(keccak256(abi.encode(stranger, keccak256(call))));
        vm.roll(block.number + 1);
        vm.prank(stranger);
        (bool done, bytes memory returned) = address(judge).call(call);
        vm.assertTrue(done == convicts);
        if (!done) vm.assertTrue(bytes4(returned) == Judge.NothingWrong.selector);
        if (done) vm.assertEq(token.balanceOf(stranger), 300);
    }
}
