// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Judge} from "../../contracts/Judge.sol";
import {Protocol} from "../../contracts/lib/Protocol.sol";
import {Records} from "../../contracts/lib/Records.sol";
import {Stack} from "./Stack.sol";
import {Tree} from "./Tree.sol";

/// @dev A job whose coordinator and three runners have keys: rounds with real openings, statements and headers.
abstract contract SignedRound is Stack {
    bytes32 internal constant JOB = keccak256("signed");
    uint256 internal constant BUDGET = 4_000;
    uint32 internal constant ROUNDS = 4;
    uint256 internal constant KEY = 0xC0;
    uint64 internal constant STEPS = 7;

    address internal coordinator = vm.addr(KEY);
    uint256[3] internal keys;
    /// @dev What the newest round was opened with, and when.
    Judge.Opened internal opened;
    uint256 internal openedAt;
    /// @dev What the next round is closed with.
    bytes32 internal sumRoot = "sum";

    function prepare() internal {
        deploy();
        consortium.addMember(coordinator, "Carol's lab", "https://carol.example");
        give(coordinator, address(jobs), 2 * BUDGET);
        vm.prank(coordinator);
        jobs.create(creationOf(JOB, coordinator, ROUNDS, BUDGET), BUDGET);
        // Ascending by address, as a selection is.
        keys = [uint256(0xA1), 0xA2, 0xA3];
        for (uint256 i = 0; i < 3; ++i)
            for (uint256 j = 0; j + 1 < 3; ++j)
                if (vm.addr(keys[j]) > vm.addr(keys[j + 1])) (keys[j], keys[j + 1]) = (keys[j + 1], keys[j]);
        for (uint256 i = 0; i < 3; ++i) {
            give(runner(i), address(consortium), MIN_STAKE);
            vm.prank(runner(i));
            consortium.register(alice, MIN_STAKE);
        }
        vm.deal(stranger, 1 ether);
        vm.warp(block.timestamp + 10);
    }

    function runner(uint256 i) internal view returns (address) {
        return vm.addr(keys[i]);
    }

    function openRound(address by, uint32 round, bytes32 spec) internal {
        opened = Judge.Opened({
            previous: jobs.closings(JOB, round - 1),
            opening: Protocol.Opening(JOB, round, "genesis", spec, 0, 3, Tree.root(selectionLeaves()))
        });
        openedAt = block.timestamp;
        // A precompile counts as the next call too.
        bytes32 hash = openHash();
        vm.prank(by);
        jobs.open(JOB, round, hash);
    }

    function openHash() internal view returns (bytes32) {
        return Protocol.openHash(opened.opening);
    }

    function selected(uint256 i) internal view returns (Judge.Selected memory) {
        return Judge.Selected(uint32(i), runner(i), 100, Tree.proof(selectionLeaves(), i));
    }

    function selectionLeaves() internal view returns (bytes32[] memory hashes) {
        hashes = new bytes32[](3);
        for (uint256 i = 0; i < 3; ++i) hashes[i] = Protocol.selectionLeaf(uint32(i), runner(i), 100);
    }

    /// @dev Closes the newest round with the updates of the first `count` runners.
    function closeRound(uint256 count) internal returns (Judge.Place memory place) {
        uint32 round = opened.opening.round;
        bytes32[] memory children = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) children[i] = headerOf(leafOf(i));
        Judge.Node memory node = Judge.Node(sumRoot, uint64(10 * count), uint32(count), children);
        place = Judge.Place({
            job: JOB,
            round: round,
            closing: Records.Closing({
                opening: jobs.openings(JOB, round),
                rootHeader: headerOf(node),
                paramsRoot: "params",
                versionId: "version",
                manifestHash: "manifest",
                arweaveId: "archive"
            }),
            path: new Judge.Node[](1),
            turns: new uint8[](0)
        });
        place.path[0] = node;
        vm.prank(coordinator);
        jobs.close(JOB, round, place.closing.rootHeader, "params", "version", "manifest", "archive");
    }

    function leafOf(uint256 i) internal view returns (Judge.Leaf memory) {
        bytes memory signature = sign(keys[i], Protocol.updateHash(statement(updateRoot(i))));
        return Judge.Leaf(uint32(i), runner(i), updateRoot(i), 10, 10, sha256(signature));
    }

    function updateRoot(uint256 i) internal pure returns (bytes32) {
        return keccak256(abi.encode("update", i));
    }

    function statement(bytes32 root) internal view returns (Protocol.Update memory) {
        return Protocol.Update(JOB, opened.opening.round, openHash(), root, 100, 10, STEPS);
    }

    function receiptOf(uint256 i) internal view returns (Protocol.Receipt memory) {
        return Protocol.Receipt(JOB, opened.opening.round, openHash(), runner(i), updateRoot(i));
    }

    /// @dev r ‖ s ‖ v over a struct, under the domain of Jobs.
    function sign(uint256 key, bytes32 structHash) internal view returns (bytes memory) {
        return signDigest(key, MessageHashUtils.toTypedDataHash(jobs.domainSeparator(), structHash));
    }

    function signDigest(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    /// @dev First half of a report: `stranger` commits to exactly this call, a block before.
    function commit(Judge judge, bytes memory call) internal {
        vm.prank(stranger);
        judge.commit(keccak256(abi.encode(stranger, keccak256(call))));
        vm.roll(block.number + 1);
    }
}
