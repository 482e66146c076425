// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Consortium} from "../../contracts/Consortium.sol";
import {DataJudge} from "../../contracts/DataJudge.sol";
import {Jobs} from "../../contracts/Jobs.sol";
import {Judge} from "../../contracts/Judge.sol";
import {LeafJudge} from "../../contracts/LeafJudge.sol";
import {ReceiptJudge} from "../../contracts/ReceiptJudge.sol";
import {RewardJudge} from "../../contracts/RewardJudge.sol";
import {Rewards} from "../../contracts/Rewards.sol";
import {RobustJudge} from "../../contracts/RobustJudge.sol";
import {SealJudge} from "../../contracts/SealJudge.sol";
import {SumJudge} from "../../contracts/SumJudge.sol";
import {Token} from "../../contracts/Token.sol";
import {Protocol} from "../../contracts/lib/Protocol.sol";
import {Records} from "../../contracts/lib/Records.sol";
import {Test} from "./Vm.sol";

/// @dev The deployed contracts with two members, as most tests start.
abstract contract Stack is Test {
    uint256 internal constant MIN_STAKE = 100;
    uint256 internal constant UNBONDING = 1 days;
    uint256 internal constant WINDOW = 1 hours;
    uint256 internal constant PATIENCE = 1 days;
    uint256 internal constant PAYER_BOND = 500;
    uint256 internal constant QUESTION_BOND = 1e16;
    uint256 internal constant SUPPLY = 1e27;

    address internal constant alice = address(0xA11CE);
    address internal constant bob = address(0xB0B);
    address internal constant stranger = address(0x57A4);

    Token internal token;
    Consortium internal consortium;
    Rewards internal rewards;
    Jobs internal jobs;
    SumJudge internal sums;
    LeafJudge internal leaves_;
    DataJudge internal data_;
    RewardJudge internal ofRewards;
    ReceiptJudge internal receipts;
    SealJudge internal seals;
    RobustJudge internal robust;

    function deploy() internal {
        vm.warp(1_800_000_000);
        vm.roll(100);
        uint64 nonce = vm.getNonce(address(this));
        address[] memory judges = new address[](5);
        for (uint256 i = 0; i < 3; ++i) judges[i] = vm.computeCreateAddress(address(this), nonce + 4 + i);
        judges[3] = vm.computeCreateAddress(address(this), nonce + 8);
        judges[4] = vm.computeCreateAddress(address(this), nonce + 10);
        address[] memory slashers = new address[](2);
        slashers[0] = judges[1];
        slashers[1] = vm.computeCreateAddress(address(this), nonce + 9);
        token = newToken();
        consortium = new Consortium(token, MIN_STAKE, UNBONDING, slashers);
        rewards = new Rewards(token, WINDOW, PAYER_BOND, vm.computeCreateAddress(address(this), nonce + 7));
        jobs = new Jobs(consortium, rewards, WINDOW, PATIENCE, judges);
        sums = new SumJudge(jobs);
        leaves_ = new LeafJudge(jobs);
        data_ = new DataJudge(jobs, sums, RobustJudge(judges[4]), QUESTION_BOND);
        ofRewards = new RewardJudge(jobs, rewards, QUESTION_BOND);
        receipts = new ReceiptJudge(jobs, QUESTION_BOND);
        seals = new SealJudge(jobs, QUESTION_BOND);
        robust = new RobustJudge(jobs);
        consortium.addMember(alice, "Alice's clinic", "https://alice.example");
        consortium.addMember(bob, "Bob's bank", "https://bob.example");
    }

    /// @dev The token of the consortium; a test may bring a worse one.
    function newToken() internal virtual returns (Token) {
        return new Token(SUPPLY);
    }

    /// @dev Gives `account` tokens that `spender` may pull.
    function give(address account, address spender, uint256 amount) internal {
        token.transfer(account, amount);
        vm.prank(account);
        token.approve(spender, amount);
    }

    function creationOf(
        bytes32 job,
        address coordinator,
        uint32 rounds,
        uint256 budget
    ) internal pure returns (Records.Creation memory) {
        return
            Records.Creation({
                job: job,
                coordinator: coordinator,
                specHash: "spec",
                parentVersion: 0,
                genesisVersion: "genesis",
                manifestHash: "manifest",
                arweaveId: "archive",
                rounds: rounds,
                budget: budget,
                terms: Records.Terms(100, Records.FEDAVG, 1, 1, 0, 1, 0, 0)
            });
    }

    function headerOf(Judge.Leaf memory leaf) internal pure returns (bytes32) {
        return
            Protocol.runnerHeader(
                leaf.index,
                leaf.runner,
                leaf.updateRoot,
                leaf.samples,
                leaf.weight,
                leaf.signatureHash
            );
    }

    function headerOf(Judge.Node memory node) internal pure returns (bytes32) {
        return Protocol.nodeHeader(node.sumRoot, node.weight, node.count, node.children);
    }
}
