// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Jobs} from "./Jobs.sol";
import {Judge} from "./Judge.sol";
import {Protocol} from "./lib/Protocol.sol";
import {Records} from "./lib/Records.sol";
import {WeiTransfer} from "./lib/WeiTransfer.sol";

/// @title What a runner's seals are worth: what it sealed it must show.
/// @notice Where runners could copy each other, each signs the hash of its update's root, its address and a salt before
///         any of them shows its update. A runner that does not open its seal when it is asked on chain, that signs an
///         update of another root than it sealed, or that seals twice for one opening, loses its stake.
contract SealJudge is Judge {
    /// @param challenger whose bond it is; 0 when the seal was opened or never asked for. @param until when it is due.
    struct Demand {
        address challenger;
        uint48 until;
        address runner;
    }

    event Demanded(
        bytes32 indexed demand,
        address indexed runner,
        bytes32 indexed job,
        uint32 round,
        bytes32 seal,
        uint256 until
    );
    event SealOpened(bytes32 indexed demand, bytes32 updateRoot, bytes32 salt);
    event Unopened(bytes32 indexed demand, address indexed runner, address indexed challenger);

    error BondWrong(uint256 expected, uint256 given);
    error WindowPassed(bytes32 job, uint32 round);
    error DemandedBefore(bytes32 demand);
    error NotDemanded(bytes32 demand);
    error NotDue(bytes32 demand, uint256 until);

    /// @notice Wei that a demand costs whoever made it in vain.
    uint256 public immutable bond;

    mapping(bytes32 demand => Demand) public demands;
    mapping(bytes32 demand => bool) private _opens;

    constructor(Jobs jobs_, uint256 bond_) Judge(jobs_) {
        bond = bond_;
    }

    /// @notice Asks a runner to open what it sealed for the job's newest round, while that is open or can be disputed. The
    ///         runner has as long as a round can be disputed, and wins the bond by its answer; a seal is asked for once.
    /// @param signature of the runner. @param previous word of the closing before the round.
    function demand(
        address runner,
        Protocol.Seal calldata sealed_,
        bytes calldata signature,
        bytes32 previous
    ) external payable {
        (bytes32 job, uint32 round) = (sealed_.job, sealed_.round);
        if (msg.value != bond) revert BondWrong(bond, msg.value);
        _checkSealed(runner, sealed_, signature);
        _checkNow(job, round, previous, sealed_.openHash);
        bytes32 name = nameOf(runner, sealed_);
        if (_opens[name] || demands[name].challenger != address(0)) revert DemandedBefore(name);
        uint256 until = block.timestamp + jobs.window();
        demands[name] = Demand(msg.sender, uint48(until), runner);
        emit Demanded(name, runner, job, round, sealed_.seal, until);
    }

    /// @notice Opens a seal that was asked for. Anyone who knows root and salt may; the runner gets the bond.
    function open(address runner, Protocol.Seal calldata sealed_, bytes32 updateRoot, bytes32 salt) external {
        bytes32 name = nameOf(runner, sealed_);
        if (demands[name].challenger == address(0)) revert NotDemanded(name);
        _same(sealed_.seal, Protocol.sealOf(updateRoot, runner, salt));
        delete demands[name];
        _opens[name] = true;
        emit SealOpened(name, updateRoot, salt);
        WeiTransfer.pay(runner, bond);
    }

    /// @notice Takes the stake of a runner that did not open its seal in time. Anyone may call it; the challenger is the
    ///         reporter.
    function expire(bytes32 name) external {
        Demand memory asked = demands[name];
        if (asked.challenger == address(0)) revert NotDemanded(name);
        if (block.timestamp < asked.until) revert NotDue(name, asked.until);
        delete demands[name];
        _opens[name] = true;
        emit Unopened(name, asked.runner, asked.challenger);
        jobs.consortium().slash(asked.runner, asked.challenger);
        WeiTransfer.pay(asked.challenger, bond);
    }

    /// @notice A runner that signed an update of another root than it had sealed for the same opening.
    function broken(
        address runner,
        Protocol.Seal calldata sealed_,
        bytes calldata sealSignature,
        bytes32 updateRoot,
        bytes32 salt,
        Protocol.Update calldata update,
        bytes calldata signature
    ) external committed {
        _checkSealed(runner, sealed_, sealSignature);
        _same(sealed_.seal, Protocol.sealOf(updateRoot, runner, salt));
        if (!_isSignedBy(runner, _typed(Protocol.updateHash(update)), signature)) revert NotSigned(runner);
        bool isAbout =
            update.job == sealed_.job && update.round == sealed_.round && update.openHash == sealed_.openHash;
        if (!isAbout || update.updateRoot == updateRoot) revert NothingWrong();
        jobs.consortium().slash(runner, msg.sender);
    }

    /// @notice A runner that sealed two different things for one opening.
    function sealedTwice(
        address runner,
        Protocol.Seal calldata one,
        bytes calldata signature,
        Protocol.Seal calldata other,
        bytes calldata otherSignature
    ) external committed {
        _checkSealed(runner, one, signature);
        _checkSealed(runner, other, otherSignature);
        bool same = one.job == other.job && one.round == other.round && one.openHash == other.openHash;
        if (!same || one.seal == other.seal) revert NothingWrong();
        jobs.consortium().slash(runner, msg.sender);
    }

    /// @notice Name of a demand: one runner's seal for one opening.
    function nameOf(address runner, Protocol.Seal calldata sealed_) public pure returns (bytes32) {
        return keccak256(abi.encode(runner, sealed_));
    }

    function _checkSealed(
        address runner,
        Protocol.Seal calldata sealed_,
        bytes calldata signature
    ) private view {
        if (!_isSignedBy(runner, _typed(Protocol.sealHash(sealed_)), signature)) revert NotSigned(runner);
    }

    function _checkNow(bytes32 job, uint32 round, bytes32 previous, bytes32 openHash) private view {
        (, uint32 latest, , , , , , , , , , ) = jobs.jobs(job);
        if (round != latest || !_opened(job, round, previous, openHash)) revert OpeningUnknown(job, round);
        bytes32 closing = jobs.closings(job, round);
        if (closing != 0 && block.timestamp >= Records.time(closing) + jobs.window())
            revert WindowPassed(job, round);
    }
}
