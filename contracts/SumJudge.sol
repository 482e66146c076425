// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Jobs} from "./Jobs.sol";
import {Judge} from "./Judge.sol";
import {Protocol} from "./lib/Protocol.sol";
import {Records} from "./lib/Records.sol";
import {Steps} from "./lib/Steps.sol";
import {Values} from "./lib/Values.sol";

/// @title Convicts whoever closed a round with a wrong number: a sum, a step, or a version that does not follow.
contract SumJudge is Judge {
    /// @notice A runner's update under a bottom node: its header, and one chunk with its proof.
    struct Update {
        Leaf header;
        bytes values;
        bytes32[] proof;
    }

    /// @notice A node's sum under an upper node: its header, and one chunk with its proof.
    struct Sum {
        Node header;
        bytes values;
        bytes32[] proof;
    }

    /// @notice One chunk of 64 values of a node's sum. @param index of the chunk. @param values 512 bytes.
    struct Chunk {
        uint32 index;
        bytes values;
        bytes32[] proof;
    }

    /// @notice One chunk of old and new parameters, and of old and new velocity where the rule keeps one (empty
    ///         otherwise). @param before the fields of the closing before, abi-encoded (of the creation for round 1).
    struct Step {
        bytes before;
        Protocol.Version base;
        Protocol.Version version;
        bytes params;
        bytes32[] paramsProof;
        bytes newParams;
        bytes32[] newParamsProof;
        bytes velocity;
        bytes32[] velocityProof;
        bytes newVelocity;
        bytes32[] newVelocityProof;
    }

    error WrongChunk();
    error ChildrenDiffer(uint256 expected, uint256 given);

    constructor(Jobs jobs_) Judge(jobs_) {}

    /// @notice A bottom node whose chunk is not the weighted sum of its runners' chunks.
    function wrongSum(
        Place calldata place,
        Chunk calldata sum,
        Update[] calldata updates
    ) external committed {
        if (sumHolds(place, sum, updates)) revert NothingWrong();
        jobs.convict(place.job, place.round, msg.sender, false);
    }

    /// @notice An upper node whose chunk is not the sum of its nodes' chunks.
    function wrongUpperSum(Place calldata place, Chunk calldata sum, Sum[] calldata sums) external committed {
        if (upperSumHolds(place, sum, sums)) revert NothingWrong();
        jobs.convict(place.job, place.round, msg.sender, false);
    }

    /// @notice New parameters that are not the step from the old ones by the round's sum (PROTOCOL 4).
    function wrongStep(Place calldata place, Chunk calldata sum, Step calldata step) external committed {
        if (stepHolds(place, sum, step)) revert NothingWrong();
        jobs.convict(place.job, place.round, msg.sender, false);
    }

    /// @notice A version that is not of the model it builds on: another graph or grid, other parameters than the closing
    ///         says, or a state that its rule does not keep.
    function wrongVersion(
        bytes32 job,
        uint32 round,
        Records.Closing calldata closing,
        bytes calldata before,
        Protocol.Version calldata base,
        Protocol.Version calldata version
    ) external committed {
        _checkClosing(job, round, closing);
        _same(_baseVersion(job, round, before), Protocol.versionId(base));
        _same(closing.versionId, Protocol.versionId(version));
        (, uint8 rule, , , , , , ) = jobs.terms(job);
        bool follows =
            version.graphHash == base.graphHash &&
                version.stepsHash == base.stepsHash &&
                version.paramsRoot == closing.paramsRoot &&
                (Records.stepOf(rule) != Records.FEDAVG || version.stateRoot == 0);
        if (follows) revert NothingWrong();
        jobs.convict(job, round, msg.sender, false);
    }

    // What is recomputed; anyone may ask before accusing

    /// @notice Whether one chunk of a bottom node is what its runners' updates give. Weights come from the committed
    ///         headers and are checked before anything is added. Medians and trimmed means are for RobustJudge.
    function sumHolds(
        Place calldata place,
        Chunk calldata sum,
        Update[] calldata updates
    ) public view returns (bool) {
        if (_trim(place.job) != 0) revert NothingWrong();
        Node calldata node = _checkPath(place);
        uint256 chunks = _checkSum(place, node, sum);
        if (updates.length != node.children.length)
            revert ChildrenDiffer(node.children.length, updates.length);
        uint256[16] memory lanes;
        uint256 weight = 0;
        for (uint256 i = 0; i < updates.length; ++i) {
            Update calldata update = updates[i];
            _same(node.children[i], _leaf(update.header));
            weight += update.header.weight;
        }
        if (weight != node.weight || weight > Values.MAX_WEIGHT) return false;
        for (uint256 i = 0; i < updates.length; ++i) {
            Update calldata update = updates[i];
            if (
                !Protocol.holdsValues(
                    update.header.updateRoot,
                    Protocol.UPDATE,
                    update.values,
                    sum.index,
                    chunks,
                    update.proof
                )
            ) revert WrongChunk();
            Values.addInt32(lanes, update.values, update.header.weight);
        }
        return Values.equalsInt32Sum(lanes, sum.values, weight);
    }

    /// @notice Whether one chunk of an upper node is what the sums of its nodes give.
    function upperSumHolds(
        Place calldata place,
        Chunk calldata sum,
        Sum[] calldata sums
    ) public view returns (bool) {
        if (_trim(place.job) != 0) revert NothingWrong();
        Node calldata node = _checkPath(place);
        uint256 chunks = _checkSum(place, node, sum);
        if (sums.length != node.children.length) revert ChildrenDiffer(node.children.length, sums.length);
        uint256[16] memory lanes;
        uint256 weight = 0;
        bool inRange = true;
        for (uint256 i = 0; i < sums.length; ++i) {
            Sum calldata part = sums[i];
            _same(node.children[i], _header(part.header));
            weight += part.header.weight;
            if (
                !Protocol.holdsValues(
                    part.header.sumRoot,
                    Protocol.SUM,
                    part.values,
                    sum.index,
                    chunks,
                    part.proof
                )
            ) revert WrongChunk();
            if (!Values.addInt64(lanes, part.values)) inRange = false;
        }
        if (weight != node.weight || weight > Values.MAX_WEIGHT || !inRange) return false;
        return Values.equalsInt64Sum(lanes, sum.values, sums.length);
    }

    /// @notice Whether one chunk of the new version is the step from the version before by the root's sum.
    function stepHolds(
        Place calldata place,
        Chunk calldata sum,
        Step calldata step
    ) public view returns (bool) {
        Node calldata root = _checkPath(place);
        if (place.path.length != 1) revert WrongPath(place.path.length);
        uint256 chunks = _checkSum(place, root, sum);
        _same(_baseVersion(place.job, place.round, step.before), Protocol.versionId(step.base));
        _same(place.closing.versionId, Protocol.versionId(step.version));
        Records.Terms memory terms = _terms(place.job);
        _checkValues(step.base.paramsRoot, Protocol.PARAMS, step.params, sum.index, chunks, step.paramsProof);
        _checkValues(
            step.version.paramsRoot,
            Protocol.PARAMS,
            step.newParams,
            sum.index,
            chunks,
            step.newParamsProof
        );
        uint8 rule = Records.stepOf(terms.rule);
        if (rule == Records.FEDAVG)
            return Steps.fedAvgHolds(terms, root.weight, sum.values, step.params, step.newParams);
        if (rule != Records.FEDAVGM) revert NothingWrong();
        if (step.version.stateRoot == 0) return false;
        // A job starts at rest: no state is a state of zeros.
        if (step.base.stateRoot != 0)
            _checkValues(
                step.base.stateRoot,
                Protocol.STATE,
                step.velocity,
                sum.index,
                chunks,
                step.velocityProof
            );
        _checkValues(
            step.version.stateRoot,
            Protocol.STATE,
            step.newVelocity,
            sum.index,
            chunks,
            step.newVelocityProof
        );
        return
            Steps.fedAvgMHolds(
                terms,
                root.weight,
                sum.values,
                step.params,
                step.newParams,
                step.base.stateRoot == 0 ? new bytes(256) : step.velocity,
                step.newVelocity
            );
    }

    function _checkSum(
        Place calldata place,
        Node calldata node,
        Chunk calldata sum
    ) private view returns (uint256 chunks) {
        chunks = _chunks(place.job);
        if (sum.values.length != 512) revert Values.ChunkLength(512, sum.values.length);
        if (!Protocol.holdsValues(node.sumRoot, Protocol.SUM, sum.values, sum.index, chunks, sum.proof))
            revert WrongChunk();
    }

    function _checkValues(
        bytes32 root,
        bytes1 kind,
        bytes calldata values,
        uint256 index,
        uint256 chunks,
        bytes32[] calldata proof
    ) private view {
        if (values.length != 256) revert Values.ChunkLength(256, values.length);
        if (!Protocol.holdsValues(root, kind, values, index, chunks, proof)) revert WrongChunk();
    }

    function _terms(bytes32 job) private view returns (Records.Terms memory terms) {
        (
            terms.dimension,
            terms.rule,
            terms.rateNumerator,
            terms.rateDenominator,
            terms.momentumNumerator,
            terms.momentumDenominator,
            terms.attesters,
            terms.sampleCap
        ) = jobs.terms(job);
    }
}
