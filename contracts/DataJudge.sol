// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Jobs} from "./Jobs.sol";
import {Questions} from "./Questions.sol";
import {RobustJudge} from "./RobustJudge.sol";
import {SumJudge} from "./SumJudge.sol";
import {Protocol} from "./lib/Protocol.sol";
import {Records} from "./lib/Records.sol";

/// @title What lies behind the hashes that a coordinator has committed to.
/// @notice Whoever cannot see it may ask for it (Questions). What an honest coordinator could not answer cannot be asked:
///         nodes among runners, runners among nodes, chunks and heights beyond the tree.
///         A runner's header commits to the hash of its signature only, and not to the steps it signed: so a forged
///         leaf is one that its coordinator cannot show the signature of. (Judging by steps that an accuser names
///         would convict honest coordinators.)
contract DataJudge is Questions {
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

    bytes32 private constant ROOT = "root";
    bytes32 private constant NODE = "node";
    bytes32 private constant LEAF = "leaf";
    bytes32 private constant CHUNK = "chunk";
    bytes32 private constant STEP = "step";
    bytes32 private constant OPENING = "opening";

    SumJudge public immutable sums;
    RobustJudge public immutable robust;

    constructor(Jobs jobs_, SumJudge sums_, RobustJudge robust_, uint256 bond_) Questions(jobs_, bond_) {
        sums = sums_;
        robust = robust_;
    }

    /// @notice Asks for the root of a round's aggregation tree.
    function askRoot(bytes32 job, uint32 round) external payable {
        _ask(job, round, ROOT);
    }

    /// @notice Asks for the node at `child` of an upper node.
    function askNode(Place calldata place, uint8 child) external payable {
        Node calldata node = _checkPath(place);
        if (child >= node.children.length || _isBottom(place)) revert WrongPath(child);
        _ask(place.job, place.round, _subject(NODE, place, child));
    }

    /// @notice Asks for a runner's header at `child` of a bottom node, with a signature that holds.
    function askLeaf(Place calldata place, uint8 child) external payable {
        if (child >= _checkPath(place).children.length || !_isBottom(place)) revert WrongPath(child);
        _ask(place.job, place.round, _subject(LEAF, place, child));
    }

    /// @notice Asks for one chunk of every child of a node, and of its sum. Not of an upper node under a robust rule,
    ///         which no contract recomputes from its children.
    function askChunk(Place calldata place, uint32 chunk) external payable {
        _checkPath(place);
        if (_trim(place.job) != 0 && !_isBottom(place)) revert NothingWrong();
        _checkChunk(place.job, chunk);
        _ask(place.job, place.round, _subject(CHUNK, place, chunk));
    }

    /// @notice Asks for one chunk of both versions and of the round's sum, between which the step holds. Only where the
    ///         job's rule can be recomputed.
    function askStep(Place calldata place, uint32 chunk) external payable {
        _checkPath(place);
        if (place.path.length != 1) revert WrongPath(place.path.length);
        _checkChunk(place.job, chunk);
        (, uint8 rule, , , , , , ) = jobs.terms(place.job);
        if (Records.stepOf(rule) == 0) revert NothingWrong();
        _ask(place.job, place.round, _subject(STEP, place, chunk));
    }

    /// @notice Asks for up to 256 descendants of one node in the tree of a sum, or of the new parameters: with two or three
    ///         such answers whoever has only another root finds the chunk that differs.
    function askNodes(Place calldata place, Inner calldata inner) external payable {
        _checkPath(place);
        uint256 chunks = _chunks(place.job);
        bool isThere =
            inner.height != 0 &&
                inner.height <= Math.log2(chunks, Math.Rounding.Ceil) &&
                inner.index < _nodesAt(chunks, inner.height);
        if (!isThere) revert Protocol.LeafOutOfRange(inner.index, chunks);
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

    /// @notice The chunks of all runners under a bottom node, which give the node's.
    function answerChunk(
        Place calldata place,
        SumJudge.Chunk calldata sum,
        SumJudge.Update[] calldata updates
    ) external {
        bool holds =
            _trim(place.job) == 0 ? sums.sumHolds(place, sum, updates) : robust.sumHolds(place, sum, updates);
        if (!holds) revert AnswerWrong();
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

    /// @dev Whether the last node of the path is over runners.
    function _isBottom(Place calldata place) private pure returns (bool) {
        return place.turns.length == _height(place.path[0].count);
    }

    function _checkChunk(bytes32 job, uint32 chunk) private view {
        uint256 chunks = _chunks(job);
        if (chunk >= chunks) revert Protocol.LeafOutOfRange(chunk, chunks);
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
}
