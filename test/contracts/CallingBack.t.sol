// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Token} from "../../contracts/Token.sol";
import {Stack} from "./Stack.sol";

/// @dev While it moves, it calls `target` once.
contract CallingToken is Token {
    address private _target;
    bytes private _data;
    bool public called;

    constructor(uint256 supply) Token(supply) {}

    function arm(address target, bytes calldata data) external {
        (_target, _data) = (target, data);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        address target = _target;
        if (target == address(0)) return;
        _target = address(0);
        (called, ) = target.call(_data);
    }
}

contract CallingBackTest is Stack {
    bytes32 private constant JOB = keccak256("job");

    function setUp() public {
        deploy();
        give(alice, address(jobs), 2_000);
        give(bob, address(jobs), 2_000);
        vm.prank(alice);
        jobs.create(creationOf(JOB, alice, 8, 1_000), 1_000);
        vm.prank(bob);
        jobs.create(creationOf("another", bob, 8, 1_000), 1_000);
    }

    function newToken() internal override returns (Token) {
        return new CallingToken(SUPPLY);
    }

    /// @dev The last round's budget moves in the same call, before the rest goes back.
    function test_a_refund_that_is_called_again_from_within_pays_once() public {
        vm.prank(alice);
        jobs.open(JOB, 1, "one");
        vm.prank(alice);
        jobs.close(JOB, 1, "header", "params", "v1", "manifest", "archive");
        vm.prank(alice);
        jobs.finish(JOB);
        vm.warp(block.timestamp + WINDOW);
        CallingToken(address(token)).arm(address(jobs), abi.encodeCall(jobs.refund, (JOB)));
        jobs.refund(JOB);
        vm.assertTrue(CallingToken(address(token)).called());
        vm.assertEq(token.balanceOf(alice), 2_000 - 125);
        vm.assertEq(token.balanceOf(address(rewards)), 125);
        vm.assertEq(token.balanceOf(address(jobs)), 2_000);
    }
}
