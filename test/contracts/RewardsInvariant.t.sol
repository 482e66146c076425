// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Rewards} from "../../contracts/Rewards.sol";
import {Token} from "../../contracts/Token.sol";
import {Protocol} from "../../contracts/lib/Protocol.sol";
import {Test} from "./Vm.sol";
import {Tree} from "./Tree.sol";

/// @dev Two payers fund, publish (honestly or with leaves that sum to more than the total) and let time pass;
///      anybody claims anything, in any order and any number of times.
contract RewardsInvariantTest is Test {
    uint256 public constant ACCOUNTS = 5;

    Token private token;
    Rewards private rewards;
    Payers private payers;

    function setUp() public {
        vm.warp(1_800_000_000);
        token = new Token(1e27);
        rewards = new Rewards(token, 1 hours, 0, address(0));
        payers = new Payers(token, rewards);
        token.transfer(address(payers), 1e27);
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(payers);
    }

    function invariant_each_purse_pays_its_own_claims_and_no_more() public view {
        uint256 left = 0;
        for (uint256 p = 0; p < 2; ++p) {
            address payer = payers.payer(p);
            (uint112 funded, uint112 paid, uint32 latest) = rewards.purses(payer);
            uint256 claimed = 0;
            for (uint256 a = 0; a < ACCOUNTS; ++a) claimed += rewards.claimed(payer, payers.account(a));
            vm.assertEq(claimed, paid, "paid is the sum of what was claimed");
            if (latest == 0) vm.assertEq(paid, 0);
            else vm.assertLe(paid, rewards.epochOf(payer, latest).total);
            if (latest != 0) vm.assertLe(rewards.epochOf(payer, latest).total, funded);
            left += funded - paid;
        }
        vm.assertEq(token.balanceOf(address(rewards)), left, "the contract holds what the purses hold");
    }

    function invariant_nobody_is_paid_more_than_the_largest_cumulative_it_was_given() public view {
        for (uint256 a = 0; a < ACCOUNTS; ++a) {
            uint256 most = payers.largest(0, a) + payers.largest(1, a);
            vm.assertLe(token.balanceOf(payers.account(a)), most);
        }
    }
}

contract Payers is Test {
    uint256 private constant ACCOUNTS = 5;

    Token private immutable token;
    Rewards private immutable rewards;
    mapping(uint256 payer => mapping(uint32 epoch => Protocol.RewardLeaf[])) private leavesOf;
    mapping(uint256 payer => mapping(uint256 account => uint256)) public largest;
    mapping(uint256 payer => bool) private lied;

    constructor(Token token_, Rewards rewards_) {
        (token, rewards) = (token_, rewards_);
        token.approve(address(rewards), type(uint256).max);
    }

    function payer(uint256 index) public pure returns (address) {
        return address(uint160(0xA000 + index));
    }

    function account(uint256 index) public pure returns (address) {
        return address(uint160(0xC000 + index));
    }

    function fund(uint256 who, uint256 amount) external {
        rewards.fund(payer(who % 2), bound(amount, 0, 1e20));
    }

    function publish(uint256 who, uint256 seed, bool lies) external {
        who %= 2;
        (uint112 funded, , uint32 latest) = rewards.purses(payer(who));
        uint128 before = latest == 0 ? 0 : rewards.epochOf(payer(who), latest).total;
        uint128 total = before + uint128(bound(seed, 0, funded - before));
        bytes32 root = plant(who, latest + 1, seed, lies ? 1e21 : (total - before) / ACCOUNTS);
        vm.prank(payer(who));
        try rewards.publish(latest + 1, root, uint32(ACCOUNTS), total, bytes32(seed)) {
            if (lies) lied[who] = true;
            for (uint256 i = 0; i < ACCOUNTS; ++i) {
                uint256 cumulative = leavesOf[who][latest + 1][i].cumulative;
                if (cumulative > largest[who][i]) largest[who][i] = cumulative;
            }
        } catch (bytes memory reason) {
            vm.assertEq(bytes32(bytes4(reason)), bytes32(Rewards.QueueFull.selector));
            delete leavesOf[who][latest + 1];
        }
    }

    /// @dev Every account earns up to `most`.
    function plant(uint256 who, uint32 epoch, uint256 seed, uint256 most) private returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](ACCOUNTS);
        uint128 prefix = 0;
        // Two payers may be given the same seed; a line that both had published could be claimed from both.
        bytes32 own = keccak256(abi.encode(who, seed));
        for (uint32 i = 0; i < ACCOUNTS; ++i) {
            uint128 previous = epoch == 1 ? 0 : leavesOf[who][epoch - 1][i].cumulative;
            uint128 cumulative = previous + uint128(bound(seed >> (i * 8), 0, most));
            leavesOf[who][epoch].push(Protocol.RewardLeaf(i, account(i), cumulative, previous, prefix, own));
            hashes[i] = Tree.rewardLeaf(leavesOf[who][epoch][i]);
            prefix += cumulative;
        }
        return Tree.root(hashes);
    }

    function pass(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1, 2 hours));
    }

    function claim(uint256 who, uint256 which, uint256 index, bool fromTheOther) external {
        who %= 2;
        index %= ACCOUNTS;
        (, , uint32 latest) = rewards.purses(payer(who));
        if (latest == 0) return;
        uint32 inEffect = rewards.epochInEffect(payer(who));
        uint32 epoch = which % 3 == 0 ? 1 + uint32(which % latest) : inEffect;
        if (epoch == 0) return;
        uint256 claimed = rewards.claimed(payer(who), account(index));
        uint256 before = token.balanceOf(account(index));
        bool valid = epoch == inEffect && !fromTheOther;
        if (tryClaim(payer(fromTheOther ? 1 - who : who), who, epoch, index)) {
            vm.assertTrue(valid);
            uint256 cumulative = leavesOf[who][epoch][index].cumulative;
            uint256 due = cumulative > claimed ? cumulative - claimed : 0;
            vm.assertEq(token.balanceOf(account(index)), before + due);
        } else {
            // An honest payer's accounts can always claim what is in effect.
            vm.assertFalse(valid && !lied[who]);
            vm.assertEq(token.balanceOf(account(index)), before);
        }
    }

    function tryClaim(address from, uint256 who, uint32 epoch, uint256 index) private returns (bool) {
        bytes32[] memory hashes = new bytes32[](ACCOUNTS);
        for (uint256 i = 0; i < ACCOUNTS; ++i) hashes[i] = Tree.rewardLeaf(leavesOf[who][epoch][i]);
        try rewards.claim(from, epoch, leavesOf[who][epoch][index], Tree.proof(hashes, index)) {
            return true;
        } catch {
            return false;
        }
    }
}
