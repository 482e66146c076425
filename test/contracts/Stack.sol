// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Consortium} from "../../contracts/Consortium.sol";
import {Jobs} from "../../contracts/Jobs.sol";
import {Rewards} from "../../contracts/Rewards.sol";
import {Token} from "../../contracts/Token.sol";
import {Test} from "./Vm.sol";

/// @dev The deployed contracts with two members, as most tests start.
abstract contract Stack is Test {
    uint256 internal constant MIN_STAKE = 100;
    uint256 internal constant UNBONDING = 1 days;
    uint256 internal constant WINDOW = 1 hours;
    uint256 internal constant SUPPLY = 1e27;

    address internal constant alice = address(0xA11CE);
    address internal constant bob = address(0xB0B);
    address internal constant stranger = address(0x57A4);

    Token internal token;
    Consortium internal consortium;
    Rewards internal rewards;
    Jobs internal jobs;

    function deploy() internal {
        vm.warp(1_800_000_000);
        token = new Token(SUPPLY);
        consortium = new Consortium(token, MIN_STAKE, UNBONDING);
        rewards = new Rewards(token, WINDOW);
        jobs = new Jobs(consortium, rewards);
        consortium.addMember(alice, "Alice's clinic", "https://alice.example");
        consortium.addMember(bob, "Bob's bank", "https://bob.example");
    }

    /// @dev Gives `account` tokens that `spender` may pull.
    function give(address account, address spender, uint256 amount) internal {
        token.transfer(account, amount);
        vm.prank(account);
        token.approve(spender, amount);
    }
}
