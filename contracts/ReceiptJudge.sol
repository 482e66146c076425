// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Jobs} from "./Jobs.sol";
import {Questions} from "./Questions.sol";
import {Protocol} from "./lib/Protocol.sol";
import {Records} from "./lib/Records.sol";

/// @title What a coordinator's receipts are worth: an update that it signed for is in the round, or the coordinator pays.
/// @notice A receipt is the coordinator's signature that it has a runner's update and will add it. Shown with a bond
///         after the round has closed, it must be answered with the runner's header in the round, or with two
///         statements that the runner signed for the same opening (then `LeafJudge.signedTwice` takes its stake).
///         For a round that never closed a receipt is worth a fee.
contract ReceiptJudge is Questions {
    /// @notice One of a runner's statements with its signature, r ‖ s ‖ v.
    struct Signed {
        Protocol.Update update;
        bytes signature;
    }

    error NotReceipt(bytes32 job, uint32 round);

    constructor(Jobs jobs_, uint256 bond_) Questions(jobs_, bond_) {}

    /// @notice Asks where an update is that the coordinator has signed for. Anyone who has the receipt may ask.
    /// @param signature of the coordinator. @param previous word of the closing before.
    function askInclusion(
        Protocol.Receipt calldata receipt,
        bytes calldata signature,
        bytes32 previous
    ) external payable {
        if (!_opened(receipt.job, receipt.round, previous, receipt.openHash))
            revert OpeningUnknown(receipt.job, receipt.round);
        // A round that can be disputed was closed by whoever coordinates the job now: take-overs wait for its end.
        if (!_isSignedBy(_coordinator(receipt.job), _typed(Protocol.receiptHash(receipt)), signature))
            revert NotReceipt(receipt.job, receipt.round);
        _ask(receipt.job, receipt.round, _subject(receipt.runner, receipt.updateRoot), 1);
    }

    /// @notice The runner's header, which says the update that the receipt is for.
    function answerIncluded(Place calldata place, uint8 child, Leaf calldata leaf) external {
        _checkLeaf(_checkPath(place), child, leaf);
        _answer(place.job, place.round, _subject(leaf.runner, leaf.updateRoot), msg.data);
    }

    /// @notice Two different statements of the runner for the opening of the round.
    /// @param updateRoot of the receipt. @param previous word of the closing before the round.
    function answerConflict(
        address runner,
        bytes32 updateRoot,
        bytes32 previous,
        Signed calldata one,
        Signed calldata other
    ) external {
        (bytes32 job, uint32 round, bytes32 openHash) = (
            one.update.job,
            one.update.round,
            one.update.openHash
        );
        bytes32 first = Protocol.updateHash(one.update);
        bytes32 second = Protocol.updateHash(other.update);
        bool holds =
            first != second &&
                job == other.update.job &&
                round == other.update.round &&
                openHash == other.update.openHash &&
                _opened(job, round, previous, openHash) &&
                _isSignedBy(runner, _typed(first), one.signature) &&
                _isSignedBy(runner, _typed(second), other.signature);
        if (!holds) revert AnswerWrong();
        _answer(job, round, _subject(runner, updateRoot), msg.data);
    }

    /// @notice Pays the fee of a receipt for a round that died open: its coordinator was convicted of an earlier round,
    ///         was replaced, or ended the job. Anyone may call it; the runner is paid.
    /// @param openedAt block time of the dead opening.
    function claimFee(
        Protocol.Receipt calldata receipt,
        bytes calldata signature,
        uint256 openedAt,
        Opened calldata opened,
        Selected calldata selected
    ) external {
        (bytes32 job, uint32 round, address runner) = (receipt.job, receipt.round, receipt.runner);
        bytes32 word = Records.openingDigest(opened.previous, job, round, receipt.openHash);
        word = bytes32((openedAt << 224) | uint224(uint256(word)));
        _checkOpening(job, round, word, opened);
        _checkSelected(opened.opening, selected);
        if (selected.runner != runner) revert NotSelected(runner);
        if (!_isSignedBy(jobs.died(word), _typed(Protocol.receiptHash(receipt)), signature))
            revert NotReceipt(job, round);
        jobs.payReceipt(job, round, word, runner, opened.opening.count);
    }

    function _subject(address runner, bytes32 updateRoot) private pure returns (bytes32) {
        return keccak256(abi.encode("receipt", runner, updateRoot));
    }
}
