// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {OrderStatistics} from "../../contracts/lib/OrderStatistics.sol";
import {Protocol} from "../../contracts/lib/Protocol.sol";
import {Stack} from "./Stack.sol";
import {Test} from "./Vm.sol";

/// @dev docs/protocol/vectors, which TypeScript checks too: both must compute the same hashes.
contract VectorsTest is Test {
    string private json;

    function test_leaves_and_trees_of_values() public {
        json = vm.readFile("docs/protocol/vectors/leaves.json");
        uint256 count = length(".leaves");
        for (uint256 i = 0; i < count; ++i) {
            string memory at = item(".leaves", i);
            bytes32 hash = Protocol.valuesLeaf(bytes1(uint8(number(at, ".type"))), data(at, ".bytes"));
            vm.assertEq(hash, word(at, ".hash"));
        }
        vm.assertTrue(count != 0);
        checkTrees();
    }

    function test_medians_and_trimmed_means() public {
        json = vm.readFile("docs/protocol/vectors/robust.json");
        uint256 count = length(".cases");
        for (uint256 i = 0; i < count; ++i) {
            string memory at = item(".cases", i);
            bytes[] memory updates = vm.parseJsonBytesArray(json, string.concat(at, ".updates"));
            uint256 trim = number(at, ".trim");
            (uint256 from, uint256 to) = OrderStatistics.kept(trim, updates.length);
            vm.assertEq(from, number(at, ".kept[0]"));
            vm.assertEq(to, number(at, ".kept[1]"));
            bytes memory sums = data(at, ".sums");
            vm.assertTrue(this.meansHold(updates, trim, number(at, ".weight"), sums));
            sums[8 * (i % 64)] ^= 0x01;
            vm.assertFalse(this.meansHold(updates, trim, number(at, ".weight"), sums));
        }
        vm.assertTrue(count != 0);
    }

    function test_headers_of_runners_and_nodes() public {
        json = vm.readFile("docs/protocol/vectors/headers.json");
        uint256 runners = length(".runners");
        for (uint256 i = 0; i < runners; ++i) {
            string memory at = item(".runners", i);
            vm.assertEq(
                Protocol.runnerHeader(
                    uint32(number(at, ".index")),
                    account(at, ".runner"),
                    word(at, ".updateRoot"),
                    uint64(number(at, ".samples")),
                    uint32(number(at, ".weight")),
                    sha256(data(at, ".signature"))
                ),
                word(at, ".hash")
            );
        }
        uint256 nodes = length(".nodes");
        for (uint256 i = 0; i < nodes; ++i) {
            string memory at = item(".nodes", i);
            bytes32 hash = Protocol.nodeHeader(
                word(at, ".sumRoot"),
                uint64(number(at, ".weight")),
                uint32(number(at, ".count")),
                words(at, ".children")
            );
            vm.assertEq(hash, word(at, ".hash"));
        }
        vm.assertTrue(runners != 0 && nodes != 0);
    }

    function test_openings_and_selections() public {
        json = vm.readFile("docs/protocol/vectors/openHash.json");
        uint256 selected = length(".selectionLeaves");
        for (uint256 i = 0; i < selected; ++i) {
            string memory at = item(".selectionLeaves", i);
            bytes32 hash = Protocol.selectionLeaf(
                uint32(number(at, ".index")),
                account(at, ".runner"),
                uint64(number(at, ".maxSamples"))
            );
            vm.assertEq(hash, word(at, ".hash"));
        }
        uint256 openings = length(".openings");
        for (uint256 i = 0; i < openings; ++i) {
            string memory at = item(".openings", i);
            vm.assertEq(
                Protocol.openHash(
                    Protocol.Opening({
                        job: word(at, ".job"),
                        round: uint32(number(at, ".round")),
                        baseVersion: word(at, ".baseVersion"),
                        specHash: word(at, ".specHash"),
                        shift: uint8(number(at, ".shift")),
                        count: uint32(number(at, ".count")),
                        selectionRoot: word(at, ".selectionRoot")
                    })
                ),
                word(at, ".hash")
            );
        }
        vm.assertTrue(selected != 0 && openings != 0);
    }

    function test_statements_that_runners_sign() public {
        json = vm.readFile("docs/protocol/vectors/eip712.json");
        uint256 count = length(".updates");
        for (uint256 i = 0; i < count; ++i) {
            string memory at = item(".updates", i);
            bytes32 structHash = Protocol.updateHash(
                Protocol.Update({
                    job: word(at, ".job"),
                    round: uint32(number(at, ".round")),
                    openHash: word(at, ".openHash"),
                    updateRoot: word(at, ".updateRoot"),
                    dimension: uint64(number(at, ".dimension")),
                    samples: uint64(number(at, ".samples")),
                    steps: uint64(number(at, ".steps"))
                })
            );
            bytes32 domain = keccak256(
                abi.encode(
                    keccak256(
                        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                    ),
                    keccak256("Roundtable"),
                    keccak256("1"),
                    number(at, ".chainId"),
                    account(at, ".verifyingContract")
                )
            );
            bytes32 digest = MessageHashUtils.toTypedDataHash(domain, structHash);
            vm.assertEq(structHash, word(at, ".structHash"));
            vm.assertEq(domain, word(at, ".domainSeparator"));
            vm.assertEq(digest, word(at, ".digest"));
            vm.assertEq(ECDSA.recover(digest, data(at, ".signature")), account(at, ".signer"));
        }
        vm.assertTrue(count != 0);
    }

    function test_reward_leaves_and_trees() public {
        json = vm.readFile("docs/protocol/vectors/rewards.json");
        bytes32 missing = 0;
        uint256 heights = length(".zeroHashes");
        for (uint256 i = 0; i < heights; ++i) {
            vm.assertEq(missing, vm.parseJsonBytes32(json, item(".zeroHashes", i)));
            missing = Protocol.node(missing, missing);
        }
        uint256 count = length(".leaves");
        for (uint256 i = 0; i < count; ++i) checkRewardLeaf(item(".leaves", i));
        vm.assertTrue(heights != 0 && count != 0);
        checkTrees();
    }

    function checkTrees() private view {
        uint256 trees = length(".trees");
        for (uint256 i = 0; i < trees; ++i) {
            string memory at = item(".trees", i);
            string memory leaves = string.concat(at, ".leaves");
            uint256 count = length(leaves);
            for (uint256 j = 0; j < count; ++j) {
                string memory leaf = item(leaves, j);
                bool isReward = vm.keyExistsJson(json, string.concat(leaf, ".hash"));
                bytes32 hash = isReward ? checkRewardLeaf(leaf) : vm.parseJsonBytes32(json, leaf);
                bytes32[] memory proof = vm.parseJsonBytes32Array(
                    json,
                    item(string.concat(at, ".proofs"), j)
                );
                vm.assertEq(proof.length, number(at, ".depth"));
                vm.assertEq(this.rootOf(hash, j, count, proof), word(at, ".root"));
            }
        }
        vm.assertTrue(trees != 0);
    }

    function checkRewardLeaf(string memory at) private view returns (bytes32 hash) {
        hash = this.rewardLeaf(
            Protocol.RewardLeaf({
                index: uint32(number(at, ".index")),
                account: account(at, ".account"),
                cumulative: uint128(number(at, ".cumulative")),
                previous: uint128(number(at, ".previous")),
                totalPrefix: uint128(number(at, ".totalPrefix")),
                deltaRoot: word(at, ".deltaRoot")
            })
        );
        vm.assertEq(hash, word(at, ".hash"));
    }

    // The library takes calldata.

    function meansHold(
        bytes[] calldata updates,
        uint256 trim,
        uint256 weight,
        bytes calldata sums
    ) external pure returns (bool) {
        uint256[] memory lanes = OrderStatistics.allocate(updates.length);
        for (uint256 i = 0; i < updates.length; ++i) OrderStatistics.put(lanes, i, updates[i]);
        return OrderStatistics.meansHold(lanes, updates.length, trim, weight, sums);
    }

    function rootOf(
        bytes32 leaf,
        uint256 index,
        uint256 count,
        bytes32[] calldata proof
    ) external view returns (bytes32) {
        return Protocol.rootOf(leaf, index, count, proof);
    }

    function rewardLeaf(Protocol.RewardLeaf calldata leaf) external pure returns (bytes32) {
        return Protocol.rewardLeaf(leaf);
    }

    // Reading by path

    function length(string memory list) private view returns (uint256 count) {
        while (vm.keyExistsJson(json, item(list, count))) ++count;
    }

    function item(string memory list, uint256 index) private pure returns (string memory) {
        return string.concat(list, "[", vm.toString(index), "]");
    }

    function number(string memory at, string memory key) private view returns (uint256) {
        return vm.parseJsonUint(json, string.concat(at, key));
    }

    function account(string memory at, string memory key) private view returns (address) {
        return vm.parseJsonAddress(json, string.concat(at, key));
    }

    function data(string memory at, string memory key) private view returns (bytes memory) {
        return vm.parseJsonBytes(json, string.concat(at, key));
    }

    function word(string memory at, string memory key) private view returns (bytes32) {
        return vm.parseJsonBytes32(json, string.concat(at, key));
    }

    function words(string memory at, string memory key) private view returns (bytes32[] memory) {
        return vm.parseJsonBytes32Array(json, string.concat(at, key));
    }
}

/// @dev The domain that Jobs states (EIP-5267) is the one that runners sign under.
contract DomainTest is Stack {
    function test_jobs_states_the_domain_of_the_vectors() public {
        deploy();
        (, string memory name, string memory version, uint256 chainId, address verifyingContract, , ) = jobs
            .eip712Domain();
        vm.assertEq(keccak256(bytes(name)), keccak256("Roundtable"));
        vm.assertEq(keccak256(bytes(version)), keccak256("1"));
        vm.assertEq(chainId, block.chainid);
        vm.assertEq(verifyingContract, address(jobs));
    }
}
