// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ExactTransfer} from "./lib/ExactTransfer.sol";
import {Protocol} from "./lib/Protocol.sol";

/// @title Cumulative Merkle rewards, one purse for each payer.
/// @notice A payer (the coordinating member) publishes one root an epoch. Its leaves say what every account has
///         earned from it in all epochs so far, so an account that claims rarely loses nothing, and claiming
///         twice pays once. A payer's claims are paid from that payer's funds only; no key can move them.
///
///         Which root counts: a root takes effect `window` seconds after it was published, or later where something was
///         asked about it, and never before those ahead of it. Claims are made against the newest root in effect and
///         against no other.
///
///         Amounts are in the token's smallest unit, times in seconds.
contract Rewards {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;

    /// @param funded all that was ever paid in for this payer. @param paid all that was ever claimed.
    /// @param latest number of the newest epoch, 0 before the first.
    struct Purse {
        uint112 funded;
        uint112 paid;
        uint32 latest;
    }

    /// @param root of the tree of reward leaves. @param manifestHash of the settlement's manifest.
    /// @param total sum of all leaves' cumulatives. @param leaves how many. @param publishedAt block time (good until 2106).
    /// @param effectiveAt block time; NEVER while an answer is waited for. @param holds questions that wait for one.
    struct Epoch {
        bytes32 root;
        bytes32 manifestHash;
        uint112 total;
        uint32 leaves;
        uint32 number;
        uint32 publishedAt;
        uint32 effectiveAt;
        uint16 holds;
    }

    event Funded(address indexed payer, address indexed from, uint256 amount);
    event EpochPublished(
        address indexed payer,
        uint32 indexed epoch,
        bytes32 root,
        uint32 leaves,
        uint128 total,
        bytes32 manifestHash,
        uint256 effectiveAt
    );
    event BondRaised(address indexed payer, uint256 amount);
    event BondReturned(address indexed payer, uint256 amount);
    event EpochsRevoked(
        address indexed payer,
        uint32 indexed from,
        uint32 to,
        address indexed reporter,
        uint256 bond,
        uint256 reward
    );
    event Claimed(address indexed payer, address indexed account, uint32 indexed epoch, uint256 amount);

    error NotJudge(address caller);
    error BondTooSmall(uint256 needed, uint256 given);
    error EpochInEffect(uint32 epoch, uint256 since);
    error EpochOutOfOrder(uint32 expected, uint32 given);
    error EpochDiffers(uint32 epoch);
    error EpochUnknown(address payer, uint32 epoch);
    error EpochEmpty();
    error TotalFalls(uint256 previous, uint256 given);
    error NotFunded(uint256 funded, uint256 total);
    error QueueFull(uint256 until);
    error NotInEffect(uint32 epoch, uint256 effectiveAt);
    error Superseded(uint32 epoch, uint32 by);
    error WrongProof(address payer, uint32 epoch, uint32 index);
    error MoreThanTotal(uint256 total, uint256 wanted);
    error LengthsDiffer(uint256 leaves, uint256 proofs);

    /// @dev Epochs kept of a payer: the one in effect and up to seven that wait. Storage is used again, which
    ///      makes an epoch cost the same for ever.
    uint256 private constant KEPT = 8;
    uint32 private constant NEVER = type(uint32).max;

    IERC20 public immutable token;
    /// @notice Seconds between the publication of a root and its effect.
    uint256 public immutable window;

    /// @notice The contract that may revoke epochs: it recomputes what it is shown and holds no key.
    address public immutable judge;
    /// @notice What a payer stands to lose whenever it publishes, token units.
    uint256 public immutable minBond;

    mapping(address payer => Purse) public purses;
    mapping(address payer => uint256) public bonds;
    /// @notice Token units that an account has been paid from a payer's purse.
    mapping(address payer => mapping(address account => uint256)) public claimed;
    mapping(address payer => Epoch[KEPT]) private _epochs;

    constructor(IERC20 token_, uint256 window_, uint256 minBond_, address judge_) {
        token = token_;
        window = window_;
        minBond = minBond_;
        judge = judge_;
    }

    modifier onlyJudge() {
        if (msg.sender != judge) revert NotJudge(msg.sender);
        _;
    }

    /// @notice Adds to the caller's bond, without which it publishes nothing.
    function raiseBond(uint256 amount) external {
        bonds[msg.sender] += amount;
        emit BondRaised(msg.sender, amount);
        ExactTransfer.pull(token, msg.sender, amount);
    }

    /// @notice Returns the caller's bond when its newest epoch is in effect, so nothing of it can be disputed.
    function returnBond() external {
        uint32 latest = purses[msg.sender].latest;
        uint256 effectiveAt = _epochs[msg.sender][latest % KEPT].effectiveAt;
        if (latest != 0 && block.timestamp < effectiveAt) revert NotInEffect(latest, effectiveAt);
        uint256 amount = bonds[msg.sender];
        if (amount == 0) return;
        bonds[msg.sender] = 0;
        emit BondReturned(msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

    /// @notice Makes an epoch that is not in effect yet void, with all that follow it, and slashes the payer's bond: three
    ///         tenths to the reporter, the rest into the purse, where it can only ever pay runners.
    function revoke(address payer, uint32 epoch, address reporter) external onlyJudge {
        uint256 effectiveAt = epochOf(payer, epoch).effectiveAt;
        if (block.timestamp >= effectiveAt) revert EpochInEffect(epoch, effectiveAt);
        Purse storage purse = purses[payer];
        uint256 bond = bonds[payer];
        uint256 reward = (bond * 30) / 100;
        emit EpochsRevoked(payer, epoch, purse.latest, reporter, bond, reward);
        purse.latest = epoch - 1;
        purse.funded = SafeCast.toUint112(purse.funded + bond - reward);
        bonds[payer] = 0;
        if (reward != 0) token.safeTransfer(reporter, reward);
    }

    /// @notice The judge waits for an answer about an epoch: neither it nor any later one takes effect.
    function hold(address payer, uint32 epoch) external onlyJudge {
        ++_epochs[payer][epoch % KEPT].holds;
        _setTimes(payer, epoch, 0);
    }

    /// @notice The judge has its answer; whoever asked has a window to ask on, or to report what it shows.
    function letGo(address payer, uint32 epoch) external onlyJudge {
        --_epochs[payer][epoch % KEPT].holds;
        _setTimes(payer, epoch, block.timestamp + window);
    }

    /// @notice Puts the caller's tokens into the purse of `payer`.
    function fund(address payer, uint256 amount) external {
        Purse storage purse = purses[payer];
        purse.funded = SafeCast.toUint112(purse.funded + amount);
        emit Funded(payer, msg.sender, amount);
        ExactTransfer.pull(token, msg.sender, amount);
    }

    /// @notice Publishes the caller's next epoch. The identical call again does nothing.
    /// @param epoch numbered from 1 without gaps. @param leaves accounts in the tree, at least one.
    /// @param total sum of all cumulatives: never less than before, never more than was funded.
    function publish(
        uint32 epoch,
        bytes32 root,
        uint32 leaves,
        uint128 total,
        bytes32 manifestHash
    ) external {
        Purse storage purse = purses[msg.sender];
        Epoch[KEPT] storage kept = _epochs[msg.sender];
        uint32 latest = purse.latest;
        Epoch storage entry = kept[epoch % KEPT];
        if (epoch != 0 && epoch <= latest) {
            if (
                entry.number == epoch &&
                entry.root == root &&
                entry.leaves == leaves &&
                entry.total == total &&
                entry.manifestHash == manifestHash
            ) return;
            revert EpochDiffers(epoch);
        }
        unchecked {
            // Neither passes 2^32: the next number was given as one.
            if (epoch != uint256(latest) + 1) revert EpochOutOfOrder(latest + 1, epoch);
        }
        if (leaves == 0) revert EpochEmpty();
        if (bonds[msg.sender] < minBond) revert BondTooSmall(minBond, bonds[msg.sender]);
        // Before the first epoch the slot may hold one that was revoked.
        uint256 effectiveAt = block.timestamp + window;
        if (latest != 0) {
            Epoch storage last = kept[latest % KEPT];
            if (total < last.total) revert TotalFalls(last.total, total);
            if (last.effectiveAt > effectiveAt) effectiveAt = last.effectiveAt;
        }
        if (total > purse.funded) revert NotFunded(purse.funded, total);
        // The entry that is overwritten may still be the one in effect: then its successor has to take effect first.
        uint256 until;
        unchecked {
            until = kept[(uint256(epoch) + 1) % KEPT].effectiveAt;
        }
        // An entry of this number or a later one was revoked, and nothing of it is in effect.
        if (entry.number != 0 && entry.number < epoch && block.timestamp < until) revert QueueFull(until);

        kept[epoch % KEPT] = Epoch(
            root,
            manifestHash,
            // No more than was funded.
            uint112(total),
            leaves,
            epoch,
            // Not later than when it takes effect.
            uint32(block.timestamp),
            effectiveAt.toUint32(),
            0
        );
        purse.latest = epoch;
        emit EpochPublished(msg.sender, epoch, root, leaves, total, manifestHash, effectiveAt);
    }

    /// @notice Pays `leaf.account` what it earned and was not yet paid. Anyone may call it. Again pays nothing.
    /// @param proof siblings from the leaf upwards, exactly as many as the tree is deep.
    function claim(
        address payer,
        uint32 epoch,
        Protocol.RewardLeaf calldata leaf,
        bytes32[] calldata proof
    ) external {
        (bytes32 root, uint256 count, uint256 total) = _inEffect(payer, epoch);
        _claim(payer, epoch, root, count, total, leaf, proof);
    }

    /// @notice Several claims against one root.
    function claimMany(
        address payer,
        uint32 epoch,
        Protocol.RewardLeaf[] calldata leaves,
        bytes32[][] calldata proofs
    ) external {
        if (leaves.length != proofs.length) revert LengthsDiffer(leaves.length, proofs.length);
        (bytes32 root, uint256 count, uint256 total) = _inEffect(payer, epoch);
        for (uint256 i = 0; i < leaves.length; ++i)
            _claim(payer, epoch, root, count, total, leaves[i], proofs[i]);
    }

    /// @notice A published epoch, as long as it is kept: the one in effect and those that wait for theirs, at least.
    function epochOf(address payer, uint32 epoch) public view returns (Epoch memory) {
        Epoch memory entry = _epochs[payer][epoch % KEPT];
        if (epoch == 0 || entry.number != epoch || epoch > purses[payer].latest)
            revert EpochUnknown(payer, epoch);
        return entry;
    }

    /// @notice Whether this very publication of an epoch was not revoked.
    function stands(
        address payer,
        uint32 epoch,
        bytes32 root,
        uint256 publishedAt
    ) external view returns (bool) {
        Epoch storage entry = _epochs[payer][epoch % KEPT];
        return
            entry.number == epoch &&
            epoch <= purses[payer].latest &&
            entry.root == root &&
            entry.publishedAt == publishedAt;
    }

    /// @notice Number of the epoch that can be claimed against now; 0 while there is none.
    function epochInEffect(address payer) external view returns (uint32) {
        uint32 epoch = purses[payer].latest;
        while (epoch != 0 && block.timestamp < _epochs[payer][epoch % KEPT].effectiveAt) --epoch;
        return epoch;
    }

    /// @dev When an epoch takes effect, and all that follow it. @param soonest of the epoch itself.
    function _setTimes(address payer, uint32 epoch, uint256 soonest) private {
        Epoch[KEPT] storage kept = _epochs[payer];
        Epoch storage ahead = kept[(epoch - 1) % KEPT];
        if (epoch != 1 && ahead.number == epoch - 1 && ahead.effectiveAt > soonest)
            soonest = ahead.effectiveAt;
        uint32 latest = purses[payer].latest;
        for (; epoch <= latest; ++epoch) {
            Epoch storage entry = kept[epoch % KEPT];
            uint256 own = entry.publishedAt + window;
            if (own > soonest) soonest = own;
            if (entry.holds != 0) soonest = NEVER;
            entry.effectiveAt = uint32(soonest);
        }
    }

    /// @return root of the newest epoch in effect. @return count of its leaves. @return total of their cumulatives.
    function _inEffect(
        address payer,
        uint32 epoch
    ) private view returns (bytes32 root, uint256 count, uint256 total) {
        Epoch storage entry = _epochs[payer][epoch % KEPT];
        uint256 number;
        uint256 effectiveAt;
        // Together, so that their word is read once.
        (total, count, number, effectiveAt) = (entry.total, entry.leaves, entry.number, entry.effectiveAt);
        uint32 latest = purses[payer].latest;
        if (epoch == 0 || number != epoch || epoch > latest) revert EpochUnknown(payer, epoch);
        if (block.timestamp < effectiveAt) revert NotInEffect(epoch, effectiveAt);
        uint32 next = epoch + 1;
        if (next <= latest && block.timestamp >= _epochs[payer][next % KEPT].effectiveAt)
            revert Superseded(epoch, next);
        root = entry.root;
    }

    function _claim(
        address payer,
        uint32 epoch,
        bytes32 root,
        uint256 count,
        uint256 total,
        Protocol.RewardLeaf calldata leaf,
        bytes32[] calldata proof
    ) private {
        if (Protocol.rootOf(Protocol.rewardLeaf(leaf), leaf.index, count, proof) != root)
            revert WrongProof(payer, epoch, leaf.index);
        (address account, uint256 cumulative) = (leaf.account, leaf.cumulative);
        mapping(address => uint256) storage paidTo = claimed[payer];
        uint256 amount = paidTo[account];
        if (cumulative <= amount) return;
        unchecked {
            amount = cumulative - amount;
        }
        Purse storage purse = purses[payer];
        uint256 paid = purse.paid + amount;
        // A root whose leaves sum to more than it says is the payer's own lie; it ends at the payer's own purse.
        if (paid > total) revert MoreThanTotal(total, paid);
        paidTo[account] = cumulative;
        purse.paid = uint112(paid);
        emit Claimed(payer, account, epoch, amount);
        token.safeTransfer(account, amount);
    }
}
