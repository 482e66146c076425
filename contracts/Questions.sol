// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Jobs} from "./Jobs.sol";
import {Judge} from "./Judge.sol";
import {Records} from "./lib/Records.sol";
import {WeiTransfer} from "./lib/WeiTransfer.sol";

/// @title Questions that the coordinator must answer in time, or it is convicted.
/// @notice A question about a closed round costs a bond in wei. No answer convicts; the right one wins the bond for the
///         coordinator; the job's window waits for it, and for one window after it, in which whoever has read it may
///         ask on. A question that step by step follows from n - 1 others can be asked for 2n - 1 windows, as long as
///         the round waits: whoever begins within the round's window, and asks on within a window of each answer, can
///         so not be outlasted; and nobody can hold a round up for longer than the longest way of questions.
abstract contract Questions is Judge {
    /// @param challenger whose bond it is; 0 when answered or never asked. @param until when the answer is due.
    /// @param closing word of the closing that it is about.
    struct Question {
        address challenger;
        uint48 until;
        uint32 round;
        bytes32 job;
        bytes32 closing;
    }

    event Asked(
        bytes32 indexed question,
        bytes32 indexed job,
        uint32 indexed round,
        bytes32 subject,
        uint256 until
    );
    /// @param answer the call that answered, from which whoever asks on can read: the transaction may hide it. Empty for
    ///        chunks, after which nothing is left to ask.
    event Answered(bytes32 indexed question, bytes answer);
    event Unanswered(bytes32 indexed question, address indexed challenger);

    error BondWrong(uint256 expected, uint256 given);
    error WindowPassed(bytes32 job, uint32 round);
    error AskedBefore(bytes32 question);
    error NotAsked(bytes32 question);
    error NotDue(bytes32 question, uint256 until);
    error AnswerLate(bytes32 question, uint256 until);
    error AnswerWrong();

    /// @notice Wei that a question costs whoever asked in vain; at least twice the gas of the largest answer.
    uint256 public immutable bond;

    mapping(bytes32 question => Question) public questions;

    constructor(Jobs jobs_, uint256 bond_) Judge(jobs_) {
        bond = bond_;
    }

    /// @notice Convicts a coordinator that has not answered in time; whoever asked is the reporter. Anyone may call it.
    function expire(bytes32 question) external {
        Question memory asked = questions[question];
        if (asked.challenger == address(0)) revert NotAsked(question);
        if (block.timestamp < asked.until) revert NotDue(question, asked.until);
        delete questions[question];
        emit Unanswered(question, asked.challenger);
        jobs.letGo(asked.job, false);
        // Another conviction may have made the round void, and another coordinator closed it again: then only the
        // bond goes back.
        bool stands =
            asked.round <= _latest(asked.job) && jobs.closings(asked.job, asked.round) == asked.closing;
        if (stands) jobs.convict(asked.job, asked.round, asked.challenger, true);
        WeiTransfer.pay(asked.challenger, bond);
    }

    /// @notice Name of a question: one subject of one closing.
    function questionOf(bytes32 job, uint32 round, bytes32 subject) public view returns (bytes32) {
        return keccak256(abi.encode(jobs.closings(job, round), job, round, subject));
    }

    /// @param step how many questions lead to this one where nothing but the closing is known, itself included.
    function _ask(bytes32 job, uint32 round, bytes32 subject, uint256 step) internal {
        if (msg.value != bond) revert BondWrong(bond, msg.value);
        bytes32 closing = jobs.closings(job, round);
        if (round == 0 || round > _latest(job) || closing == 0) revert ClosingUnknown(job, round);
        uint256 window = jobs.window();
        bool isLate = block.timestamp >= Records.time(closing) + (2 * step - 1) * window;
        if (isLate || jobs.isFinal(job, round)) revert WindowPassed(job, round);
        bytes32 question = questionOf(job, round, subject);
        if (questions[question].challenger != address(0)) revert AskedBefore(question);
        uint256 until = block.timestamp + window;
        questions[question] = Question(msg.sender, uint48(until), round, job, closing);
        emit Asked(question, job, round, subject, until);
        jobs.hold(job);
    }

    /// @param answer what whoever asks on must be able to read.
    function _answer(bytes32 job, uint32 round, bytes32 subject, bytes calldata answer) internal {
        bytes32 question = questionOf(job, round, subject);
        Question storage asked = questions[question];
        if (asked.challenger == address(0)) revert NotAsked(question);
        if (block.timestamp >= asked.until) revert AnswerLate(question, asked.until);
        delete questions[question];
        emit Answered(question, answer);
        jobs.letGo(job, true);
        WeiTransfer.pay(_coordinator(job), bond);
    }

    function _latest(bytes32 job) private view returns (uint32 latest) {
        (, latest, , , , , , , , , , ) = jobs.jobs(job);
    }
}
