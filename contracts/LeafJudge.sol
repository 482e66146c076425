// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Consortium} from "./Consortium.sol";
import {Jobs} from "./Jobs.sol";
import {Judge} from "./Judge.sol";
import {Protocol} from "./lib/Protocol.sol";
import {Records} from "./lib/Records.sol";

/// @title Convicts whoever closed a round with runners that did not belong in it, or opened it wrongly; slashes runners
///        that signed twice; and pays honest runners of void rounds.
contract LeafJudge is Judge {
    /// @notice What shows a runner's work in a void round. @param closedAt block time of the void closing. @param steps
    ///         that the runner signed. @param signature r ‖ s ‖ v.
    // Only ever calldata, where every field takes a word.
    // solhint-disable-next-line gas-struct-packing
    struct Work {
        uint256 closedAt;
        uint8 child;
        Leaf leaf;
        Opened opened;
        Selected selected;
        bytes signature;
        uint64 steps;
    }

    constructor(Jobs jobs_) Judge(jobs_) {}

    /// @notice A runner that had no stake when the round opened, or whose header contradicts itself: another index than its
    ///         place, no samples, a weight that is not max(1, samples >> shift), more samples than the job's cap.
    /// @dev A runner that has left counts until its stake is free. Otherwise it could leave in the block in which the
    ///      round opens, and have an honest coordinator convicted.
    function unfitRunner(
        Place calldata place,
        uint8 child,
        Leaf calldata leaf,
        Opened calldata opened
    ) external committed {
        uint256 openedAt = _checkMember(place, child, leaf, opened);
        (, , , , , , , uint48 cap) = jobs.terms(place.job);
        bool fits =
            (cap == 0 || leaf.samples <= cap) &&
                leaf.index == _position(place) * 16 + child &&
                leaf.samples != 0 &&
                leaf.weight == _weight(leaf.samples, opened.opening.shift) &&
                _tookPart(leaf.runner, openedAt);
        if (fits) revert NothingWrong();
        jobs.convict(place.job, place.round, msg.sender, false);
    }

    /// @notice A runner that signed more samples than it had declared.
    function overclaimed(
        Place calldata place,
        uint8 child,
        Leaf calldata leaf,
        Opened calldata opened,
        Selected calldata selected
    ) external committed {
        _checkMember(place, child, leaf, opened);
        _checkSelected(opened.opening, selected);
        if (selected.runner != leaf.runner) revert NotSelected(leaf.runner);
        if (leaf.samples <= selected.maxSamples) revert NothingWrong();
        jobs.convict(place.job, place.round, msg.sender, false);
    }

    /// @notice A runner that was not selected: the lines beside which it would stand.
    /// @param beside the last line below it and the first above it; one line if it would be first or last.
    function unselected(
        Place calldata place,
        uint8 child,
        Leaf calldata leaf,
        Opened calldata opened,
        Selected[] calldata beside
    ) external committed {
        _checkMember(place, child, leaf, opened);
        for (uint256 i = 0; i < beside.length; ++i) _checkSelected(opened.opening, beside[i]);
        uint256 count = opened.opening.count;
        bool isAbsent =
            count == 0 || beside.length == 1
                ? count == 0 ||
                    (beside[0].index == 0 && leaf.runner < beside[0].runner) ||
                    (beside[0].index + 1 == count && leaf.runner > beside[0].runner)
                : beside[1].index == beside[0].index + 1 &&
                    leaf.runner > beside[0].runner &&
                    leaf.runner < beside[1].runner;
        if (!isAbsent) revert NothingWrong();
        jobs.convict(place.job, place.round, msg.sender, false);
    }

    /// @notice Two runners that are not in ascending order, among them one that is there twice.
    function unordered(
        Place calldata place,
        uint8 child,
        Leaf calldata leaf,
        Place calldata after_,
        uint8 childAfter,
        Leaf calldata leafAfter
    ) external committed {
        _checkLeaf(_checkPath(place), child, leaf);
        _checkLeaf(_checkPath(after_), childAfter, leafAfter);
        if (place.job != after_.job || place.round != after_.round) revert NothingWrong();
        bool isBefore = _position(place) * 16 + child < _position(after_) * 16 + childAfter;
        if (!isBefore || leaf.runner < leafAfter.runner) revert NothingWrong();
        jobs.convict(place.job, place.round, msg.sender, false);
    }

    /// @notice A node that is not shaped as the number of runners demands, or a root whose weight a round cannot have: more
    ///         than 2^22, or less than one for each runner.
    function malformed(Place calldata place) external committed {
        Node calldata node = _checkPath(place);
        uint256 runners = place.path[0].count;
        uint256 height = _height(runners);
        uint256 span = 16 << (3 * height);
        bool fits = place.turns.length <= height;
        if (fits) {
            // Runners under a full node at this depth; the last node of a level may be short.
            for (uint256 i = 0; i < place.turns.length; ++i) span /= 8;
            uint256 from = _position(place) * span;
            uint256 count =
                from >= runners
                    ? 0
                    : runners - from < span
                        ? runners - from
                        : span;
            uint256 below = place.turns.length == height ? 1 : span / 8;
            fits = node.count == count && node.children.length == (count + below - 1) / below && count != 0;
        }
        if (fits && runners <= place.path[0].weight && place.path[0].weight <= 1 << 22) revert NothingWrong();
        jobs.convict(place.job, place.round, msg.sender, false);
    }

    /// @notice A round that was opened for another job, round, spec or base version than its own, or with a selection that
    ///         does not ascend.
    /// @param before fields of the closing before, abi-encoded (the creation's for round 1). @param creation the
    ///        creation's, abi-encoded. @param unsorted two neighbours in the selection, or none.
    function wrongOpening(
        bytes32 job,
        uint32 round,
        Opened calldata opened,
        bytes calldata before,
        bytes calldata creation,
        Selected[] calldata unsorted
    ) external committed {
        _checkOpening(job, round, jobs.openings(job, round), opened);
        if (!Records.holds(jobs.closings(job, 0), keccak256(creation))) revert ClosingUnknown(job, 0);
        Protocol.Opening calldata opening = opened.opening;
        bool follows =
            opening.job == job &&
                opening.round == round &&
                opening.baseVersion == _baseVersion(job, round, before) &&
                opening.specHash == abi.decode(creation, (Records.Creation)).specHash &&
                opening.shift < 64;
        if (unsorted.length == 2) {
            _checkSelected(opening, unsorted[0]);
            _checkSelected(opening, unsorted[1]);
            bool adjoin = unsorted[1].index == unsorted[0].index + 1;
            if (adjoin && unsorted[0].runner >= unsorted[1].runner) follows = false;
        }
        if (follows) revert NothingWrong();
        jobs.convict(job, round, msg.sender, false);
    }

    /// @notice A runner that signed two different statements for one opening of one round. (A round that became void is
    ///         opened anew with another open hash, and signed for again: that is no fault.)
    function signedTwice(
        address runner,
        Protocol.Update calldata one,
        bytes calldata signature,
        Protocol.Update calldata other,
        bytes calldata otherSignature
    ) external committed {
        bool same = one.job == other.job && one.round == other.round && one.openHash == other.openHash;
        if (!same || Protocol.updateHash(one) == Protocol.updateHash(other)) revert NothingWrong();
        if (
            !_isSignedBy(runner, _typed(Protocol.updateHash(one)), signature) ||
            !_isSignedBy(runner, _typed(Protocol.updateHash(other)), otherSignature)
        ) revert NotSigned(runner);
        jobs.consortium().slash(runner, msg.sender);
    }

    /// @notice Pays a runner for its work in a void round from the slashed bond. Anyone may call it; the runner is paid.
    function compensate(Place calldata place, Work calldata work) external {
        Leaf calldata leaf = work.leaf;
        _checkLeaf(_descend(place), work.child, leaf);
        _checkOpening(place.job, place.round, place.closing.opening, work.opened);
        _checkSelected(work.opened.opening, work.selected);
        bool fits =
            work.selected.runner == leaf.runner &&
                leaf.samples <= work.selected.maxSamples &&
                leaf.weight == _weight(leaf.samples, work.opened.opening.shift);
        if (!fits) revert NotSelected(leaf.runner);
        bytes32 openHash = Protocol.openHash(work.opened.opening);
        bytes32 digest = _statement(place.job, place.round, openHash, leaf, work.steps);
        if (!_isSignedBy(leaf.runner, digest, work.signature)) revert NotSigned(leaf.runner);
        bytes32 word = keccak256(abi.encode(place.closing));
        word = bytes32((work.closedAt << 224) | uint224(uint256(word)));
        jobs.compensate(place.job, place.round, word, leaf.runner, leaf.weight, place.path[0].weight);
    }

    /// @return openedAt block time at which the round opened.
    function _checkMember(
        Place calldata place,
        uint8 child,
        Leaf calldata leaf,
        Opened calldata opened
    ) private view returns (uint256 openedAt) {
        _checkLeaf(_checkPath(place), child, leaf);
        _checkOpening(place.job, place.round, place.closing.opening, opened);
        return Records.time(place.closing.opening);
    }

    function _tookPart(address runner, uint256 openedAt) private view returns (bool) {
        Consortium consortium = jobs.consortium();
        (, , uint256 registeredAt, uint256 leftAt) = consortium.runners(runner);
        if (registeredAt == 0 || registeredAt > openedAt) return false;
        return leftAt == 0 || leftAt + consortium.unbondingSeconds() > openedAt;
    }

    function _weight(uint64 samples, uint8 shift) private pure returns (uint256) {
        uint256 weight = shift > 63 ? 0 : samples >> shift;
        return weight == 0 ? 1 : weight;
    }
}
