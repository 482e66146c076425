// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Jobs} from "./Jobs.sol";
import {Judge} from "./Judge.sol";
import {SumJudge} from "./SumJudge.sol";
import {OrderStatistics} from "./lib/OrderStatistics.sol";
import {Protocol} from "./lib/Protocol.sol";
import {Values} from "./lib/Values.sol";

/// @title Convicts whoever closed a round with a wrong median or trimmed mean.
/// @notice Only where all updates lie under one bottom node, at most 16 of them: a median over more runners does not follow
///         from anything that fits into a transaction, and stands on the word of coordinator and attesters.
contract RobustJudge is Judge {
    error WrongChunk();
    error ChildrenDiffer(uint256 expected, uint256 given);

    constructor(Jobs jobs_) Judge(jobs_) {}

    /// @notice A bottom node whose chunk is not its weight times the robust mean of its runners' chunks.
    function wrongRobustSum(
        Place calldata place,
        SumJudge.Chunk calldata sum,
        SumJudge.Update[] calldata updates
    ) external committed {
        if (sumHolds(place, sum, updates)) revert NothingWrong();
        jobs.convict(place.job, place.round, msg.sender, false);
    }

    /// @notice Whether one chunk of a bottom node is what its runners' updates give; anyone may ask before accusing.
    ///         Weighted sums are for SumJudge. Weights come from the committed headers: they count in the node's weight,
    ///         and not in the rule.
    function sumHolds(
        Place calldata place,
        SumJudge.Chunk calldata sum,
        SumJudge.Update[] calldata updates
    ) public view returns (bool) {
        uint256 trim = _trim(place.job);
        if (trim == 0) revert NothingWrong();
        Node calldata node = _checkPath(place);
        uint256 chunks = _chunks(place.job);
        if (sum.values.length != 512) revert Values.ChunkLength(512, sum.values.length);
        if (!Protocol.holdsValues(node.sumRoot, Protocol.SUM, sum.values, sum.index, chunks, sum.proof))
            revert WrongChunk();
        if (updates.length != node.children.length)
            revert ChildrenDiffer(node.children.length, updates.length);
        uint256 weight = 0;
        for (uint256 i = 0; i < updates.length; ++i) {
            _same(node.children[i], _leaf(updates[i].header));
            weight += updates[i].header.weight;
        }
        if (weight != node.weight || weight > Values.MAX_WEIGHT) return false;
        uint256[] memory lanes = OrderStatistics.allocate(updates.length);
        for (uint256 i = 0; i < updates.length; ++i) {
            SumJudge.Update calldata update = updates[i];
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
            OrderStatistics.put(lanes, i, update.values);
        }
        return OrderStatistics.meansHold(lanes, updates.length, trim, weight, sum.values);
    }
}
