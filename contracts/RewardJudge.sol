// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Jobs} from "./Jobs.sol";
import {EpochQuestions} from "./EpochQuestions.sol";
import {Rewards} from "./Rewards.sol";
import {Protocol} from "./lib/Protocol.sol";

/// @title Revokes epochs of rewards that do not follow from the rounds and from the epoch before (PROTOCOL 8).
contract RewardJudge is EpochQuestions {
    /// @notice A round's runner with everything before it in commitment order, from which its prefix sum follows.
    /// @param lefts for every node of the path, the nodes to the left of the turn. @param leftLeaves the runners to
    ///        the left of it under the bottom node.
    struct Standing {
        uint8 child;
        Leaf leaf;
        Node[][] lefts;
        Leaf[] leftLeaves;
    }

    /// @notice A runner's header with its place in the round.
    struct Header {
        Place place;
        uint8 child;
        Leaf leaf;
    }

    error DeltasDiffer(bytes32 expected, bytes32 given);
    error WrongNeighbours();

    constructor(Jobs jobs_, Rewards rewards_, uint256 bond_) EpochQuestions(jobs_, rewards_, bond_) {}

    /// @notice A total that the last line does not lead to.
    function wrongTotal(address payer, uint32 epoch, Line calldata last) external committed {
        Rewards.Epoch memory entry = _checkLine(payer, epoch, last);
        if (last.leaf.index + 1 != entry.leaves) revert WrongNeighbours();
        if (uint256(last.leaf.totalPrefix) + last.leaf.cumulative == entry.total) revert NothingWrong();
        _revoke(payer, epoch, msg.sender);
    }

    /// @notice Two neighbouring lines of which the second does not continue the first, or does not ascend.
    function wrongOrder(
        address payer,
        uint32 epoch,
        Line calldata line,
        Line calldata next
    ) external committed {
        _checkLine(payer, epoch, line);
        _checkLine(payer, epoch, next);
        if (line.leaf.index + 1 != next.leaf.index) revert WrongNeighbours();
        bool follows =
            line.leaf.account < next.leaf.account &&
                uint256(line.leaf.totalPrefix) + line.leaf.cumulative == next.leaf.totalPrefix &&
                (line.leaf.index != 0 || line.leaf.totalPrefix == 0);
        if (follows) revert NothingWrong();
        _revoke(payer, epoch, msg.sender);
    }

    /// @notice A line whose `previous` is not what the epoch before says.
    /// @param earlier the account's line in the epoch before, or the lines beside which it would stand; none for epoch 1.
    function wrongPrevious(
        address payer,
        uint32 epoch,
        Line calldata line,
        Line[] calldata earlier
    ) external committed {
        _checkLine(payer, epoch, line);
        uint256 previous = 0;
        if (epoch != 1) {
            bool isThere = earlier.length == 1 && earlier[0].leaf.account == line.leaf.account;
            if (isThere) {
                _checkLine(payer, epoch - 1, earlier[0]);
                previous = earlier[0].leaf.cumulative;
            } else _checkAbsent(payer, epoch - 1, line.leaf.account, earlier);
        }
        if (line.leaf.previous == previous) revert NothingWrong();
        _revoke(payer, epoch, msg.sender);
    }

    /// @notice An account of the epoch before that is left out.
    /// @param beside the lines of this epoch beside which it would stand.
    function omitted(
        address payer,
        uint32 epoch,
        Line calldata earlier,
        Line[] calldata beside
    ) external committed {
        _checkLine(payer, epoch - 1, earlier);
        _checkAbsent(payer, epoch, earlier.leaf.account, beside);
        _revoke(payer, epoch, msg.sender);
    }

    /// @notice A line that its own deltas do not lead to, or whose deltas do not ascend.
    /// @param deltas all of them: their root commits to no length.
    function wrongDeltas(
        address payer,
        uint32 epoch,
        Line calldata line,
        Protocol.Delta[] calldata deltas
    ) external committed {
        _checkDeltas(payer, epoch, line, deltas);
        uint256 cumulative = line.leaf.previous;
        bool ascends = true;
        for (uint256 i = 0; i < deltas.length; ++i) {
            cumulative += deltas[i].amount;
            if (i == 0) continue;
            bytes32 before = deltas[i - 1].job;
            bool follows =
                before < deltas[i].job || (before == deltas[i].job && deltas[i - 1].round < deltas[i].round);
            if (!follows) ascends = false;
        }
        if (ascends && cumulative == line.leaf.cumulative) revert NothingWrong();
        _revoke(payer, epoch, msg.sender);
    }

    /// @notice A delta for a round whose budget was never released: it is not final, void, or never happened.
    function unreleased(
        address payer,
        uint32 epoch,
        Line calldata line,
        Protocol.Delta[] calldata deltas,
        uint256 index
    ) external committed {
        _checkDeltas(payer, epoch, line, deltas);
        (, , , , , , , , uint32 released, uint32 rounds, , ) = jobs.jobs(deltas[index].job);
        uint32 round = deltas[index].round;
        if (rounds != 0 && round != 0 && round <= released) revert NothingWrong();
        _revoke(payer, epoch, msg.sender);
    }

    /// @notice A delta that is not the runner's share of its round's budget: floor(B*U'/W) - floor(B*U/W) over the prefix
    ///         sums of the committed weights.
    function wrongAmount(
        address payer,
        uint32 epoch,
        Line calldata line,
        Protocol.Delta[] calldata deltas,
        uint256 index,
        Place calldata place,
        Standing calldata standing
    ) external committed {
        _checkDeltas(payer, epoch, line, deltas);
        Protocol.Delta calldata delta = deltas[index];
        bool isAbout =
            delta.job == place.job && delta.round == place.round && standing.leaf.runner == line.leaf.account;
        if (!isAbout) revert WrongNeighbours();
        if (delta.amount == shareOf(place, standing)) revert NothingWrong();
        _revoke(payer, epoch, msg.sender);
    }

    /// @notice Two lines of one epoch of which only the first is paid for a round that both runners took part in.
    function unpaid(
        address payer,
        uint32 epoch,
        Line[2] calldata lines,
        Protocol.Delta[] calldata deltas,
        Protocol.Delta[] calldata unpaidDeltas,
        uint256 index,
        Place calldata place,
        Standing calldata standing
    ) external committed {
        _checkDeltas(payer, epoch, lines[0], deltas);
        _checkDeltas(payer, epoch, lines[1], unpaidDeltas);
        bool isAbout =
            deltas[index].job == place.job &&
                deltas[index].round == place.round &&
                standing.leaf.runner == lines[1].leaf.account;
        if (!isAbout) revert WrongNeighbours();
        for (uint256 i = 0; i < unpaidDeltas.length; ++i)
            if (unpaidDeltas[i].job == place.job && unpaidDeltas[i].round == place.round)
                revert NothingWrong();
        if (shareOf(place, standing) == 0) revert NothingWrong();
        _revoke(payer, epoch, msg.sender);
    }

    /// @notice A delta for a round in which the account has no header.
    /// @param beside the headers beside which it would stand; one if it would be first or last.
    function unearned(
        address payer,
        uint32 epoch,
        Line calldata line,
        Protocol.Delta[] calldata deltas,
        uint256 index,
        Header[] calldata beside
    ) external committed {
        _checkDeltas(payer, epoch, line, deltas);
        (address account, Protocol.Delta calldata delta) = (line.leaf.account, deltas[index]);
        uint256 first = _standsAt(beside[0], delta);
        bool isAbsent =
            beside.length == 1
                ? (first == 0 && account < beside[0].leaf.runner) ||
                    (first + 1 == beside[0].place.path[0].count && account > beside[0].leaf.runner)
                : _standsAt(beside[1], delta) == first + 1 &&
                    account > beside[0].leaf.runner &&
                    account < beside[1].leaf.runner;
        if (!isAbsent) revert WrongNeighbours();
        _revoke(payer, epoch, msg.sender);
    }

    /// @notice A runner's share of its round's budget, token units.
    function shareOf(Place calldata place, Standing calldata standing) public view returns (uint256) {
        Node calldata node = _checkPath(place);
        _checkLeaf(node, standing.child, standing.leaf);
        uint256 prefix = 0;
        for (uint256 i = 0; i < place.turns.length; ++i)
            for (uint256 j = 0; j < place.turns[i]; ++j) {
                _same(place.path[i].children[j], _header(standing.lefts[i][j]));
                prefix += standing.lefts[i][j].weight;
            }
        for (uint256 j = 0; j < standing.child; ++j) {
            _same(node.children[j], _leaf(standing.leftLeaves[j]));
            prefix += standing.leftLeaves[j].weight;
        }
        uint256 budget = jobs.budgetOf(place.job, place.round);
        uint256 total = place.path[0].weight;
        return (budget * (prefix + standing.leaf.weight)) / total - (budget * prefix) / total;
    }

    /// @dev The runner's number in the round that a delta is for.
    function _standsAt(Header calldata header, Protocol.Delta calldata delta) private view returns (uint256) {
        Place calldata place = header.place;
        if (place.job != delta.job || place.round != delta.round) revert WrongNeighbours();
        _checkLeaf(_checkPath(place), header.child, header.leaf);
        return _position(place) * 16 + header.child;
    }

    /// @dev The account stands between two neighbours, before the first line or behind the last.
    function _checkAbsent(address payer, uint32 epoch, address account, Line[] calldata beside) private view {
        Rewards.Epoch memory entry;
        for (uint256 i = 0; i < beside.length; ++i) entry = _checkLine(payer, epoch, beside[i]);
        Protocol.RewardLeaf calldata first = beside[0].leaf;
        bool isAbsent =
            beside.length == 1
                ? (first.index == 0 && account < first.account) ||
                    (first.index + 1 == entry.leaves && account > first.account)
                : beside[1].leaf.index == first.index + 1 &&
                    account > first.account &&
                    account < beside[1].leaf.account;
        if (!isAbsent) revert WrongNeighbours();
    }

    function _checkDeltas(
        address payer,
        uint32 epoch,
        Line calldata line,
        Protocol.Delta[] calldata deltas
    ) private view {
        _checkLine(payer, epoch, line);
        bytes32 root = Protocol.deltaRoot(deltas);
        if (root != line.leaf.deltaRoot) revert DeltasDiffer(line.leaf.deltaRoot, root);
    }
}
