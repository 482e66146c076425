// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Jobs} from "./Jobs.sol";
import {Protocol} from "./lib/Protocol.sol";
import {Records} from "./lib/Records.sol";

/// @title What all judges share: reporting without being copied, and reading commitments.
/// @notice A judge recomputes what it is shown. Evidence that does not belong to what the chain holds reverts; evidence
///         that does, and shows nothing wrong, reverts too (`NothingWrong`), so an honest coordinator loses
///         nothing to a false accuser.
abstract contract Judge {
    /// @notice One node of the aggregation tree (PROTOCOL 5) as its header commits to it.
    struct Node {
        bytes32 sumRoot;
        uint64 weight;
        uint32 count;
        bytes32[] children;
    }

    /// @notice A runner's header with the hash of its signature in place of the signature.
    struct Leaf {
        uint32 index;
        address runner;
        bytes32 updateRoot;
        uint64 samples;
        uint32 weight;
        bytes32 signatureHash;
    }

    /// @notice A closed round, and the way from its root header down to one node.
    /// @param path from the root to the node. @param turns which child of path[i] is path[i + 1].
    struct Place {
        bytes32 job;
        uint32 round;
        Records.Closing closing;
        Node[] path;
        uint8[] turns;
    }

    /// @notice What a round was opened with. @param previous word of the closing before.
    struct Opened {
        bytes32 previous;
        Protocol.Opening opening;
    }

    /// @notice One line of the selection, with its proof.
    struct Selected {
        uint32 index;
        address runner;
        uint64 maxSamples;
        bytes32[] proof;
    }

    error NotCommitted(bytes32 accusation);
    error NotSelected(address runner);
    error NotSigned(address runner);
    error NothingWrong();
    error ClosingUnknown(bytes32 job, uint32 round);
    error OpeningUnknown(bytes32 job, uint32 round);
    error WrongPath(uint256 step);
    error WrongPreimage(bytes32 expected, bytes32 given);

    Jobs public immutable jobs;
    /// @notice Block in which an accusation was committed to.
    mapping(bytes32 accusation => uint256) public accusations;

    constructor(Jobs jobs_) {
        jobs = jobs_;
    }

    /// @notice First half of a report, so that nobody can copy the second: keccak256(abi.encode(reporter, keccak256(the
    ///         whole calldata of the report))), at least one block earlier.
    function commit(bytes32 accusation) external {
        if (accusations[accusation] == 0) accusations[accusation] = block.number;
    }

    modifier committed() {
        bytes32 accusation = keccak256(abi.encode(msg.sender, keccak256(msg.data)));
        uint256 since = accusations[accusation];
        if (since == 0 || since >= block.number) revert NotCommitted(accusation);
        _;
    }

    /// @dev The closing is the one on chain; that it can still be disputed is for Jobs to say.
    function _checkClosing(bytes32 job, uint32 round, Records.Closing calldata closing) internal view {
        if (!Records.holds(jobs.closings(job, round), keccak256(abi.encode(closing))))
            revert ClosingUnknown(job, round);
    }

    /// @dev Checks the way from the root header down; the last node of the path is the one it leads to.
    function _checkPath(Place calldata place) internal view returns (Node calldata node) {
        _checkClosing(place.job, place.round, place.closing);
        return _descend(place);
    }

    function _descend(Place calldata place) internal pure returns (Node calldata node) {
        node = place.path[0];
        _same(place.closing.rootHeader, _header(node));
        if (place.turns.length + 1 != place.path.length) revert WrongPath(place.path.length);
        for (uint256 i = 0; i < place.turns.length; ++i) {
            bytes32 child = node.children[place.turns[i]];
            node = place.path[i + 1];
            _same(child, _header(node));
        }
    }

    /// @dev The runner that a bottom node has at this position.
    function _checkLeaf(Node calldata node, uint8 child, Leaf calldata leaf) internal pure {
        _same(node.children[child], _leaf(leaf));
    }

    /// @dev Digest that a runner signs for what its header commits to (PROTOCOL 2).
    function _statement(
        bytes32 job,
        uint32 round,
        bytes32 openHash,
        Leaf calldata leaf,
        uint64 steps
    ) internal view returns (bytes32) {
        (uint64 dimension, , , , , , , ) = jobs.terms(job);
        return
            _typed(
                Protocol.updateHash(
                    Protocol.Update(job, round, openHash, leaf.updateRoot, dimension, leaf.samples, steps)
                )
            );
    }

    function _isSignedBy(
        address runner,
        bytes32 digest,
        bytes calldata signature
    ) internal pure returns (bool) {
        (address signer, ECDSA.RecoverError problem, ) = ECDSA.tryRecoverCalldata(digest, signature);
        return problem == ECDSA.RecoverError.NoError && signer == runner;
    }

    function _checkOpening(bytes32 job, uint32 round, bytes32 word, Opened calldata opened) internal pure {
        bytes32 digest = Records.openingDigest(
            opened.previous,
            job,
            round,
            Protocol.openHash(opened.opening)
        );
        if (!Records.holds(word, digest)) revert OpeningUnknown(job, round);
    }

    function _checkSelected(Protocol.Opening calldata opening, Selected calldata selected) internal view {
        bytes32 leaf = Protocol.selectionLeaf(selected.index, selected.runner, selected.maxSamples);
        bytes32 root = Protocol.rootOf(leaf, selected.index, opening.count, selected.proof);
        _same(opening.selectionRoot, root);
    }

    /// @dev Digest of a struct under the domain that runners and coordinators sign in.
    function _typed(bytes32 structHash) internal view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(jobs.domainSeparator(), structHash);
    }

    function _same(bytes32 expected, bytes32 given) internal pure {
        if (expected != given) revert WrongPreimage(expected, given);
    }

    function _header(Node calldata node) internal pure returns (bytes32) {
        return Protocol.nodeHeader(node.sumRoot, node.weight, node.count, node.children);
    }

    function _leaf(Leaf calldata leaf) internal pure returns (bytes32) {
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

    /// @dev Whether a round was opened with this open hash, after the closing that `previous` is the word of.
    function _opened(
        bytes32 job,
        uint32 round,
        bytes32 previous,
        bytes32 openHash
    ) internal view returns (bool) {
        return
            Records.holds(jobs.openings(job, round), Records.openingDigest(previous, job, round, openHash));
    }

    /// @dev Who coordinates a job now.
    function _coordinator(bytes32 job) internal view returns (address coordinator) {
        (coordinator, , , , , , , , , ) = jobs.jobs(job);
    }

    /// @dev Position of the last node of the path on its level.
    function _position(Place calldata place) internal pure returns (uint256 position) {
        for (uint256 i = 0; i < place.turns.length; ++i) position = position * 8 + place.turns[i];
    }

    /// @dev Levels of nodes above the bottom ones in a round of so many runners.
    function _height(uint256 runners) internal pure returns (uint256 height) {
        for (uint256 span = 16; span < runners; span *= 8) ++height;
    }

    /// @dev What stands in place of the weighted sum in a job's rounds (Records.trimOf), 0 for nothing.
    function _trim(bytes32 job) internal view returns (uint8) {
        (, uint8 rule, , , , , , ) = jobs.terms(job);
        return Records.trimOf(rule);
    }

    /// @dev Leaves of the tree over the parameters of a job's model.
    function _chunks(bytes32 job) internal view returns (uint256) {
        (uint64 dimension, , , , , , , ) = jobs.terms(job);
        return (uint256(dimension) + 63) / 64;
    }

    /// @dev Round and closing of the version that a round built on, from the fields of the closing before (or of the
    ///      job's creation, for round 1).
    function _baseVersion(bytes32 job, uint32 round, bytes calldata before) internal view returns (bytes32) {
        if (!Records.holds(jobs.closings(job, round - 1), keccak256(before)))
            revert ClosingUnknown(job, round - 1);
        if (round == 1) return abi.decode(before, (Records.Creation)).genesisVersion;
        return abi.decode(before, (Records.Closing)).versionId;
    }
}
