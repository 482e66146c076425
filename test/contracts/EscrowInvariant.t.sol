// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Consortium} from "../../contracts/Consortium.sol";
import {Accounts} from "../../contracts/Accounts.sol";
import {Jobs} from "../../contracts/Jobs.sol";
import {Rewards} from "../../contracts/Rewards.sol";
import {Token} from "../../contracts/Token.sol";
import {Records} from "../../contracts/lib/Records.sol";
import {Test} from "./Vm.sol";

/// @dev Two members coordinate two jobs, open, close, finish, take over and let time pass; a judge convicts, holds and
///      compensates as it likes. Whatever happens, every token that came in is somewhere it belongs.
contract EscrowInvariantTest is Test {
    Members private members;

    function setUp() public {
        vm.warp(1_800_000_000);
        members = new Members();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(members);
    }

    function invariant_every_token_is_where_it_belongs() public view {
        Jobs jobs = members.jobs();
        uint256 held = 0;
        for (uint256 i = 0; i < 2; ++i) held += members.heldOf(i);
        vm.assertEq(
            members.token().balanceOf(address(jobs)),
            held,
            "jobs holds bonds, unreleased budgets and pools"
        );
        vm.assertEq(
            members.deposited(),
            held + members.released() + members.paidOut(),
            "in = held + released to purses + refunded, rewarded and compensated"
        );
    }

    function invariant_the_bond_covers_every_round_that_can_still_be_wrong() public view {
        Jobs jobs = members.jobs();
        for (uint256 i = 0; i < 2; ++i) {
            (
                ,
                uint32 latest,
                Accounts.State state,
                ,
                ,
                ,
                uint96 budget,
                uint96 bond,
                uint32 released,
                ,
                ,

            ) = jobs.jobs(bytes32(i + 1));
            if (state != Accounts.State.Running || budget == 0) continue;
            vm.assertLe((uint256(budget) * latest) / 5 - (uint256(budget) * released) / 5, bond);
        }
    }
}

contract Members is Test {
    Token public immutable token;
    Jobs public immutable jobs;
    Rewards private immutable rewards;
    uint256 public deposited;
    uint256 public paidOut;
    address[2] private members = [address(0xA11CE), address(0xB0B)];

    constructor() {
        token = new Token(1e27);
        Consortium consortium = new Consortium(token, 1, 1 days, new address[](0));
        rewards = new Rewards(token, 1 hours, 0, address(0));
        address[] memory judges = new address[](1);
        judges[0] = address(this);
        jobs = new Jobs(consortium, rewards, 1 hours, 1 days, judges);
        for (uint256 i = 0; i < 2; ++i) {
            consortium.addMember(members[i], "member", "");
            token.transfer(members[i], 1e24);
            vm.prank(members[i]);
            token.approve(address(jobs), type(uint256).max);
        }
    }

    function create(uint256 job, uint256 who, uint256 budget, uint256 more) external {
        budget = bound(budget, 1, 1e20);
        uint256 bond = budget + (more % 1e18);
        Records.Creation memory creation = Records.Creation(
            id(job),
            members[who % 2],
            0,
            0,
            "genesis",
            0,
            0,
            5,
            budget,
            Records.Terms(64, 1, 1, 1, 0, 1, 0, 0)
        );
        uint256 before = token.balanceOf(address(jobs));
        vm.prank(members[who % 2]);
        try jobs.create(creation, bond) {} catch {}
        deposited += token.balanceOf(address(jobs)) - before;
    }

    function step(uint256 job, uint256 who, uint32 round, bool closes) external {
        (, uint32 latest, , , , , , , , , , ) = jobs.jobs(id(job));
        if (round % 4 != 0) round = closes ? latest : latest + 1;
        vm.prank(members[who % 2]);
        if (closes) try jobs.close(id(job), round, "h", "p", "v", "m", "a") {} catch {}
        else try jobs.open(id(job), round, "o") {} catch {}
    }

    function settle(uint256 job, uint32 round, bool refunds, bool finishes, uint256 who) external {
        if (finishes) {
            vm.prank(members[who % 2]);
            try jobs.finish(id(job)) {} catch {}
        }
        uint256 before = total();
        if (refunds) try jobs.refund(id(job)) {} catch {}
        else try jobs.release(id(job), round % 6) {} catch {}
        paidOut += total() - before;
    }

    function convict(uint256 job, uint32 round, bool held) external {
        uint256 before = total();
        try jobs.convict(id(job), round % 6, members[1], held) {} catch {}
        paidOut += total() - before;
    }

    function compensate(uint256 job, uint32 round, uint256 weight) external {
        round = round % 6;
        bytes32 closing = jobs.closings(id(job), round);
        uint256 before = token.balanceOf(address(0xC0FFEE));
        try jobs.compensate(id(job), round, closing, address(0xC0FFEE), bound(weight, 1, 100), 50) {} catch {}
        paidOut += token.balanceOf(address(0xC0FFEE)) - before;
    }

    function payReceipt(uint256 job, uint32 round, uint256 runner, uint256 count) external {
        round = round % 6;
        address account = address(uint160(0xFEE0 + (runner % 3)));
        bytes32 opening = jobs.openings(id(job), round);
        uint256 before = token.balanceOf(account);
        try jobs.payReceipt(id(job), round, opening, account, bound(count, 3, 5)) {} catch {}
        paidOut += token.balanceOf(account) - before;
    }

    function takeOver(uint256 job, uint256 who, uint256 bond) external {
        uint256 inBefore = total();
        bond = bound(bond, 0, 2e20);
        vm.prank(members[who % 2]);
        try jobs.takeOver(id(job), bond) {
            deposited += bond;
            paidOut += total() + bond - inBefore;
        } catch {
            vm.assertEq(total(), inBefore);
        }
    }

    function hold(uint256 job, bool waits, bool answered) external {
        (, , , uint16 holds, , , , , , , , ) = jobs.jobs(id(job));
        if (waits) jobs.hold(id(job));
        else if (holds != 0) jobs.letGo(id(job), answered);
    }

    function pass(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1, 3 hours));
    }

    function passLong() external {
        vm.warp(block.timestamp + 1 days);
    }

    /// @dev What Jobs owes for a job: its bond, the budget of rounds that were not released, and its pool.
    function heldOf(uint256 i) public view returns (uint256) {
        bytes32 job = bytes32(i + 1);
        (, , Accounts.State state, , , , uint96 budget, uint96 bond, uint32 released, , , ) = jobs.jobs(job);
        uint256 unreleased =
            state == Accounts.State.Refunded ? 0 : uint256(budget) - (uint256(budget) * released) / 5;
        return bond + unreleased + jobs.pools(job);
    }

    /// @dev What the members hold.
    function total() private view returns (uint256) {
        return token.balanceOf(members[0]) + token.balanceOf(members[1]);
    }

    function released() external view returns (uint256) {
        return token.balanceOf(address(rewards));
    }

    function id(uint256 job) private pure returns (bytes32) {
        return bytes32((job % 2) + 1);
    }
}
