// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Jobs} from "./Jobs.sol";
import {Judge} from "./Judge.sol";
import {Rewards} from "./Rewards.sol";
import {Protocol} from "./lib/Protocol.sol";
import {WeiTransfer} from "./lib/WeiTransfer.sol";

/// @title Questions about an epoch of rewards that its payer must answer in time, or the epoch is revoked.
/// @notice As with rounds (Questions): a question costs a bond in wei, which the right answer wins; the epoch, and all that
///         follow it, take no effect before the answer, and for a window after it, in which whoever has read it may ask
///         on; and a question that follows from n - 1 others can be asked for 2n - 1 windows at most.
///         What an honest payer could not answer cannot be asked: nodes beyond the tree, deltas where there are none.
abstract contract EpochQuestions is Judge {
    /// @notice An account's line in an epoch, with its proof.
    struct Line {
        Protocol.RewardLeaf leaf;
        bytes32[] proof;
    }

    /// @notice A node in the tree of a line's deltas, a multiple of eight levels below its root. @param index its position
    ///         on its level. @param proof siblings from the node upwards.
    struct DeltaNode {
        bytes32 hash;
        uint32 index;
        bytes32[] proof;
    }

    /// @param challenger whose bond it is; 0 when answered or never asked. @param until when the answer is due.
    /// @param publishedAt and @param root of the epoch that it is about, whose number can be given anew.
    struct EpochQuestion {
        address challenger;
        uint48 until;
        uint32 epoch;
        address payer;
        uint32 publishedAt;
        bytes32 root;
    }

    event EpochAsked(
        bytes32 indexed question,
        address indexed payer,
        uint32 indexed epoch,
        bytes32 subject,
        uint256 until
    );
    /// @param answer the call that answered, from which whoever asks on can read.
    event EpochAnswered(bytes32 indexed question, bytes answer);
    event EpochUnanswered(bytes32 indexed question, address indexed challenger);

    error NotInTree(uint32 index);
    error BondWrong(uint256 expected, uint256 given);
    error EpochWindowPassed(address payer, uint32 epoch);
    error AskedBefore(bytes32 question);
    error NotAsked(bytes32 question);
    error NotDue(bytes32 question, uint256 until);
    error AnswerLate(bytes32 question, uint256 until);
    error AnswerWrong();

    bytes32 private constant ROW = "row";
    bytes32 private constant LINE = "line";
    bytes32 private constant DELTAS = "deltas";
    /// @dev Levels that a tree of deltas has at most.
    uint256 private constant DELTA_LEVELS = 32;

    Rewards public immutable rewards;
    /// @notice Wei that a question costs whoever asked in vain; at least twice the gas of the largest answer.
    uint256 public immutable bond;

    mapping(bytes32 question => EpochQuestion) public epochQuestions;

    constructor(Jobs jobs_, Rewards rewards_, uint256 bond_) Judge(jobs_) {
        rewards = rewards_;
        bond = bond_;
    }

    /// @notice Asks for up to 256 descendants of one node of an epoch's tree. @param height above the lines, at least 1.
    function askRow(address payer, uint32 epoch, uint8 height, uint32 index) external payable {
        Rewards.Epoch memory entry = _epochOf(payer, epoch);
        Protocol.checkInner(entry.leaves, height, index);
        uint256 levels = Protocol.depthOf(entry.leaves) - height;
        _ask(payer, entry, _subject(ROW, height, index), 1 + (levels + 7) / 8);
    }

    /// @notice Asks for a line of an epoch.
    function askLine(address payer, uint32 epoch, uint32 index) external payable {
        Rewards.Epoch memory entry = _epochOf(payer, epoch);
        if (index >= entry.leaves) revert Protocol.LeafOutOfRange(index, entry.leaves);
        _ask(payer, entry, _subject(LINE, 0, index), _lineStep(entry));
    }

    /// @notice Asks for the deltas of a line, or for what of them is below a node that an answer has shown.
    function askDeltas(
        address payer,
        uint32 epoch,
        Line calldata line,
        DeltaNode calldata node
    ) external payable {
        Rewards.Epoch memory entry = _checkLine(payer, epoch, line);
        uint256 depth = node.proof.length;
        if (depth % 8 != 0 || depth >= DELTA_LEVELS || _isMissing(node.hash)) revert NotInTree(node.index);
        uint256 leaves = 1 << depth;
        _same(line.leaf.deltaRoot, Protocol.rootOf(node.hash, node.index, leaves, node.proof));
        _ask(payer, entry, _deltaSubject(node.hash), 1 + _lineStep(entry) + depth / 8);
    }

    function answerRow(
        address payer,
        uint32 epoch,
        uint8 height,
        uint32 index,
        bytes32[] calldata nodes,
        bytes32[] calldata proof
    ) external {
        Rewards.Epoch memory entry = _epochOf(payer, epoch);
        if (Protocol.rowRoot(entry.leaves, height, index, nodes, proof) != entry.root) revert AnswerWrong();
        _answer(payer, entry, _subject(ROW, height, index));
    }

    function answerLine(address payer, uint32 epoch, Line calldata line) external {
        _answer(payer, _checkLine(payer, epoch, line), _subject(LINE, 0, line.leaf.index));
    }

    /// @notice All deltas under a node that is at most eight levels above them.
    function answerDeltas(
        address payer,
        uint32 epoch,
        bytes32 node,
        uint8 levels,
        Protocol.Delta[] calldata deltas
    ) external {
        bytes32[] memory row = new bytes32[](deltas.length);
        for (uint256 i = 0; i < deltas.length; ++i) row[i] = Protocol.deltaLeaf(deltas[i]);
        _checkRow(node, row, levels, 0);
        _answer(payer, _epochOf(payer, epoch), _deltaSubject(node));
    }

    /// @notice All nodes that exist eight levels below a node of a tree of deltas. @param height of the row above the
    ///         deltas, on which depends what is missing on the right.
    function answerDeltaNodes(
        address payer,
        uint32 epoch,
        bytes32 node,
        uint8 height,
        bytes32[] calldata nodes
    ) external {
        if (height == 0 || height > DELTA_LEVELS - 8) revert AnswerWrong();
        _checkRow(node, nodes, 8, height);
        _answer(payer, _epochOf(payer, epoch), _deltaSubject(node));
    }

    /// @notice Revokes an epoch whose payer has not answered in time; whoever asked is the reporter. Anyone may call it.
    function expireEpoch(bytes32 question) external {
        EpochQuestion memory asked = epochQuestions[question];
        if (asked.challenger == address(0)) revert NotAsked(question);
        if (block.timestamp < asked.until) revert NotDue(question, asked.until);
        delete epochQuestions[question];
        emit EpochUnanswered(question, asked.challenger);
        // It may have been revoked for another reason, and published anew: then only the bond goes back.
        if (rewards.stands(asked.payer, asked.epoch, asked.root, asked.publishedAt))
            _revoke(asked.payer, asked.epoch, asked.challenger);
        WeiTransfer.pay(asked.challenger, bond);
    }

    function _checkLine(
        address payer,
        uint32 epoch,
        Line calldata line
    ) internal view returns (Rewards.Epoch memory entry) {
        entry = _epochOf(payer, epoch);
        bytes32 root = Protocol.rootOf(
            Protocol.rewardLeaf(line.leaf),
            line.leaf.index,
            entry.leaves,
            line.proof
        );
        if (root != entry.root) revert NotInTree(line.leaf.index);
    }

    function _revoke(address payer, uint32 epoch, address reporter) internal {
        rewards.revoke(payer, epoch, reporter);
    }

    /// @dev One place that decodes it: the contract is near the limit of its size.
    function _epochOf(address payer, uint32 epoch) internal view returns (Rewards.Epoch memory) {
        return rewards.epochOf(payer, epoch);
    }

    /// @param step how many questions lead to this one where only the root is known, itself included.
    function _ask(address payer, Rewards.Epoch memory entry, bytes32 subject, uint256 step) private {
        if (msg.value != bond) revert BondWrong(bond, msg.value);
        uint256 window = rewards.window();
        bool isLate = block.timestamp >= entry.publishedAt + (2 * step - 1) * window;
        if (isLate || block.timestamp >= entry.effectiveAt) revert EpochWindowPassed(payer, entry.number);
        bytes32 question = _question(payer, entry, subject);
        if (epochQuestions[question].challenger != address(0)) revert AskedBefore(question);
        uint256 until = block.timestamp + window;
        epochQuestions[question] = EpochQuestion(
            msg.sender,
            uint48(until),
            entry.number,
            payer,
            entry.publishedAt,
            entry.root
        );
        emit EpochAsked(question, payer, entry.number, subject, until);
        rewards.hold(payer, entry.number);
    }

    function _answer(address payer, Rewards.Epoch memory entry, bytes32 subject) private {
        bytes32 question = _question(payer, entry, subject);
        EpochQuestion storage asked = epochQuestions[question];
        if (asked.challenger == address(0)) revert NotAsked(question);
        if (block.timestamp >= asked.until) revert AnswerLate(question, asked.until);
        delete epochQuestions[question];
        emit EpochAnswered(question, msg.data);
        rewards.letGo(payer, entry.number);
        WeiTransfer.pay(payer, bond);
    }

    /// @dev Name of a question: one subject of one publication of an epoch.
    function _question(
        address payer,
        Rewards.Epoch memory entry,
        bytes32 subject
    ) private pure returns (bytes32) {
        return keccak256(abi.encode(payer, entry.number, entry.root, entry.publishedAt, subject));
    }

    /// @dev Where only the root is known, the rows above a line lead to it.
    function _lineStep(Rewards.Epoch memory entry) private pure returns (uint256) {
        return 1 + (Protocol.depthOf(entry.leaves) + 7) / 8;
    }

    function _checkRow(bytes32 node, bytes32[] memory row, uint256 levels, uint256 height) private view {
        if (levels > 8 || row.length == 0 || row.length > 1 << levels) revert AnswerWrong();
        if (Protocol.subtree(row, levels, height) != node) revert AnswerWrong();
    }

    /// @dev What stands on the right where a tree of deltas has no more.
    function _isMissing(bytes32 hash) private view returns (bool) {
        bytes32 missing = 0;
        for (uint256 i = 0; i < DELTA_LEVELS; ++i) {
            if (hash == missing) return true;
            missing = Protocol.node(missing, missing);
        }
        return false;
    }

    function _subject(bytes32 what, uint8 height, uint32 index) private pure returns (bytes32) {
        return keccak256(abi.encode(what, height, index));
    }

    function _deltaSubject(bytes32 node) private pure returns (bytes32) {
        return keccak256(abi.encode(DELTAS, node));
    }
}
