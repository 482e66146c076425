// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Jobs} from "./Jobs.sol";
import {Judge} from "./Judge.sol";
import {SumJudge} from "./SumJudge.sol";
import {Protocol} from "./lib/Protocol.sol";
import {Records} from "./lib/Records.sol";

/// @title Questions that the coordinator must answer in time, or it is convicted.
/// @notice Whoever cannot see what lies behind a committed hash may ask for it with a bond. No answer convicts; the
///         right one wins the bond for the coordinator; the job's window waits for it. A runner's
///         header commits to the hash of its signature only, and not to the steps it signed: so a forged leaf is
///         one that its coordinator cannot show the signature of. (Judging by steps that an accuser names would
///         convict honest coordinators.)
contract DataJudge is Judge {
    /// @notice Trees whose nodes can be asked for.
    enum Tree {
        Sum,
        Params
    }

    /// @notice A node in the tree of a sum, or of the new parameters. @param height above the leaves, at least 1.
    /// @param index at that height.
    struct Inner {
        Tree tree;
        uint8 height;
        uint32 index;
    }

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
    event Answered(bytes32 indexed question);
    event Unanswered(bytes32 indexed question, address indexed challenger);

    error BondWrong(uint256 expected, uint256 given);
    error WindowPassed(bytes32 job, uint32 round);
    error AskedBefore(bytes32 question);
    error NotAsked(bytes32 question);
    error NotDue(bytes32 question, uint256 until);
    error AnswerWrong();

    bytes32 private constant ROOT = "root";
    bytes32 private constant NODE = "node";
    bytes32 private constant LEAF = "leaf";
    bytes32 private constant CHUNK = "chunk";
    bytes32 private constant STEP = "step";
    bytes32 private constant OPENING = "opening";

    SumJudge public immutable sums;
    /// @notice Wei that a question costs whoever asked in vain; at least twice the gas of the largest answer.
    uint256 public immutable bond;

    mapping(bytes32 question => Question) public questions;

    constructor(Jobs jobs_, SumJudge sums_, uint256 bond_) Judge(jobs_) {
        sums = sums_;
        bond = bond_;
    }

    /// @notice Asks for the root of a round's aggregation tree.
    function askRoot(bytes32 job, uint32 round) external payable {
        _ask(job, round, ROOT);
    }

    /// @notice Asks for the node at `child` of an upper node.
    function askNode(Place calldata place, uint8 child) external payable {
        Node calldata node = _checkPath(place);
        if (child >= node.children.length) revert WrongPath(child);
        _ask(place.job, place.round, _subject(NODE, place, child));
    }

    /// @notice Asks for a runner's header at `child` of a bottom node, with a signature that holds.
    function askLeaf(Place calldata place, uint8 child) external payable {
        if (child >= _checkPath(place).children.length) revert WrongPath(child);
        _ask(place.job, place.round, _subject(LEAF, place, child));
    }

    /// @notice Asks for one chunk of every child of a node, and of its sum.
    function askChunk(Place calldata place, uint32 chunk) external payable {
        _checkPath(place);
        _ask(place.job, place.round, _subject(CHUNK, place, chunk));
    }

    /// @notice Asks for one chunk of both versions and of the round's sum, between which the step holds.
    function askStep(Place calldata place, uint32 chunk) external payable {
        _checkPath(place);
        _ask(place.job, place.round, _subject(STEP, place, chunk));
    }

    /// @notice Asks for up to 256 descendants of one node in the tree of a sum, or of the new parameters: with two or three
    ///         such answers whoever has only another root finds the chunk that differs.
    function askNodes(Place calldata place, Inner calldata inner) external payable {
        _checkPath(place);
        uint256 chunks = _chunks(place.job);
        if (inner.height == 0 || inner.index >= _nodesAt(chunks, inner.height))
            revert Protocol.LeafOutOfRange(inner.index, chunks);
        _ask(place.job, place.round, keccak256(abi.encode("nodes", place.turns, inner)));
    }

    /// @notice Asks what a round was opened with.
    function askOpening(bytes32 job, uint32 round) external payable {
        _ask(job, round, OPENING);
    }

    function answerRoot(
        bytes32 job,
        uint32 round,
        Records.Closing calldata closing,
        Node calldata root
    ) external {
        _checkClosing(job, round, closing);
        _same(closing.rootHeader, _header(root));
        _answer(job, round, ROOT);
    }

    function answerNode(Place calldata place, uint8 child, Node calldata answer) external {
        Node calldata node = _checkPath(place);
        _same(node.children[child], _header(answer));
        _answer(place.job, place.round, _subject(NODE, place, child));
    }

    /// @notice The runner's header, its signature and the steps it signed, under the open hash of the round.
    function answerLeaf(
        Place calldata place,
        uint8 child,
        Leaf calldata leaf,
        bytes calldata signature,
        uint64 steps,
        bytes32 previous,
        bytes32 openHash
    ) external {
        Node calldata node = _checkPath(place);
        _checkLeaf(node, child, leaf);
        bool holds =
            sha256(signature) == leaf.signatureHash &&
                _opened(place.job, place.round, previous, openHash) &&
                _isSignedBy(
                    leaf.runner,
                    _statement(place.job, place.round, openHash, leaf, steps),
                    signature
                );
        if (!holds) revert AnswerWrong();
        _answer(place.job, place.round, _subject(LEAF, place, child));
    }

    /// @notice The chunks of all runners under a bottom node, which sum to the node's.
    function answerChunk(
        Place calldata place,
        SumJudge.Chunk calldata sum,
        SumJudge.Update[] calldata updates
    ) external {
        if (!sums.sumHolds(place, sum, updates)) revert AnswerWrong();
        _answer(place.job, place.round, _subject(CHUNK, place, sum.index));
    }

    /// @notice The chunks of all nodes under an upper node, which sum to the node's.
    function answerUpperChunk(
        Place calldata place,
        SumJudge.Chunk calldata sum,
        SumJudge.Sum[] calldata parts
    ) external {
        if (!sums.upperSumHolds(place, sum, parts)) revert AnswerWrong();
        _answer(place.job, place.round, _subject(CHUNK, place, sum.index));
    }

    function answerStep(
        Place calldata place,
        SumJudge.Chunk calldata sum,
        SumJudge.Step calldata step
    ) external {
        if (!sums.stepHolds(place, sum, step)) revert AnswerWrong();
        _answer(place.job, place.round, _subject(STEP, place, sum.index));
    }

    /// @notice All nodes that exist eight levels below the one that was asked for (or the leaves, if they are nearer).
    /// @param proof siblings from that node upwards.
    function answerNodes(
        Place calldata place,
        Inner calldata inner,
        bytes32[] calldata nodes,
        bytes32[] calldata proof
    ) external {
        bytes32 root = _checkPath(place).sumRoot;
        if (inner.tree == Tree.Params) root = place.closing.paramsRoot;
        if (_innerRoot(_chunks(place.job), inner, nodes, proof) != root) revert AnswerWrong();
        _answer(place.job, place.round, keccak256(abi.encode("nodes", place.turns, inner)));
    }

    function answerOpening(
        bytes32 job,
        uint32 round,
        bytes32 previous,
        Protocol.Opening calldata opening
    ) external {
        if (!_opened(job, round, previous, Protocol.openHash(opening))) revert AnswerWrong();
        _answer(job, round, OPENING);
    }

    /// @notice Convicts a coordinator that has not answered in time; whoever asked is the reporter. Anyone may call it.
    function expire(bytes32 question) external {
        Question memory asked = questions[question];
        if (asked.challenger == address(0)) revert NotAsked(question);
        if (block.timestamp < asked.until) revert NotDue(question, asked.until);
        delete questions[question];
        emit Unanswered(question, asked.challenger);
        jobs.hold(asked.job, false);
        // Another conviction may have made the round void, and another coordinator closed it again: then only the
        // bond goes back.
        bool stands =
            asked.round <= _latest(asked.job) && jobs.closings(asked.job, asked.round) == asked.closing;
        if (stands) jobs.convict(asked.job, asked.round, asked.challenger, true);
        _pay(asked.challenger);
    }

    /// @notice Name of a question: one subject of one closing.
    function questionOf(bytes32 job, uint32 round, bytes32 subject) public view returns (bytes32) {
        return keccak256(abi.encode(jobs.closings(job, round), job, round, subject));
    }

    /// @dev Nodes of a tree at a height above its leaves.
    function _nodesAt(uint256 leaves, uint256 height) private pure returns (uint256) {
        return (leaves + (1 << height) - 1) >> height;
    }

    function _innerRoot(
        uint256 chunks,
        Inner calldata inner,
        bytes32[] calldata nodes,
        bytes32[] calldata proof
    ) private view returns (bytes32) {
        uint256 levels = inner.height > 8 ? 8 : inner.height;
        uint256 below = inner.height - levels;
        uint256 existing = _nodesAt(chunks, below) - (uint256(inner.index) << levels);
        if (existing > 1 << levels) existing = 1 << levels;
        if (nodes.length != existing) revert AnswerWrong();
        return
            Protocol.rootOf(
                Protocol.subtree(nodes, levels, below),
                inner.index,
                _nodesAt(chunks, inner.height),
                proof
            );
    }

    /// @param what LEAF with the child, CHUNK or STEP with the chunk.
    function _subject(bytes32 what, Place calldata place, uint32 which) private pure returns (bytes32) {
        return keccak256(abi.encode(what, place.turns, which));
    }

    function _ask(bytes32 job, uint32 round, bytes32 subject) private {
        if (msg.value != bond) revert BondWrong(bond, msg.value);
        bytes32 closing = jobs.closings(job, round);
        if (round == 0 || round > _latest(job) || closing == 0) revert ClosingUnknown(job, round);
        uint256 window = jobs.window();
        if (block.timestamp >= Records.time(closing) + window) revert WindowPassed(job, round);
        bytes32 question = questionOf(job, round, subject);
        if (questions[question].challenger != address(0)) revert AskedBefore(question);
        uint256 until = block.timestamp + window;
        questions[question] = Question(msg.sender, uint48(until), round, job, closing);
        emit Asked(question, job, round, subject, until);
        jobs.hold(job, true);
    }

    function _answer(bytes32 job, uint32 round, bytes32 subject) private {
        bytes32 question = questionOf(job, round, subject);
        if (questions[question].challenger == address(0)) revert NotAsked(question);
        delete questions[question];
        emit Answered(question);
        jobs.hold(job, false);
        (address coordinator, , , , , , , , , ) = jobs.jobs(job);
        _pay(coordinator);
    }

    function _latest(bytes32 job) private view returns (uint32 latest) {
        (, , latest, , , , , , , ) = jobs.jobs(job);
    }

    function _opened(
        bytes32 job,
        uint32 round,
        bytes32 previous,
        bytes32 openHash
    ) private view returns (bool) {
        return
            Records.holds(jobs.openings(job, round), Records.openingDigest(previous, job, round, openHash));
    }

    /// @dev An account that refuses wei must not be able to keep a question open for ever.
    function _pay(address to) private {
        (bool paid, ) = to.call{value: bond}("");
        paid;
    }
}
