// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ExactTransfer} from "./lib/ExactTransfer.sol";

/// @title Who takes part: the members of a consortium and their runners with their stakes.
/// @notice The founder admits members. A runner registers itself, once for ever: an address never stands for
///         two runners. Names and URLs are in the events; storage holds what other contracts must check.
///         Amounts are in the token's smallest unit, times in seconds.
contract Consortium {
    using SafeERC20 for IERC20;

    /// @param member the organisation it works for.
    /// @param stake token units held for it; 0 once withdrawn.
    /// @param registeredAt block time of its registration; 0 for an address that never registered.
    /// @param leftAt block time of its exit; 0 while it takes part.
    struct Runner {
        address member;
        uint48 registeredAt;
        uint48 leftAt;
        uint256 stake;
    }

    event MemberAdded(address indexed member, string name, string url);
    event MemberChanged(address indexed member, string name, string url);
    event RunnerRegistered(address indexed runner, address indexed member, uint256 stake);
    event RunnerLeft(address indexed runner, address indexed member);
    event RunnerSlashed(address indexed runner, address indexed reporter, uint256 stake);
    event StakeWithdrawn(address indexed runner, uint256 stake);

    error NotFounder(address caller);
    error NotSlasher(address caller);
    error NotMember(address account);
    error AlreadyMember(address member);
    error NotRegistered(address runner);
    error AlreadyRegistered(address runner);
    error StakeTooSmall(uint256 given, uint256 minimum);
    error NotLeft(address runner);
    error StillBonded(address runner, uint256 until);

    address public immutable founder;
    IERC20 public immutable token;
    /// @notice Smallest stake of a runner, token units.
    uint256 public immutable minStake;
    /// @notice Seconds between a runner's exit and its stake's return.
    uint256 public immutable unbondingSeconds;

    /// @notice The judge that may slash runners; it holds no key.
    address public immutable slasher;

    /// @notice keccak256 of a member's name and URL; 0 for whoever is no member.
    mapping(address member => bytes32) public profiles;
    mapping(address runner => Runner) private _runners;

    constructor(IERC20 token_, uint256 minStake_, uint256 unbondingSeconds_, address slasher_) {
        founder = msg.sender;
        slasher = slasher_;
        token = token_;
        minStake = minStake_;
        unbondingSeconds = unbondingSeconds_;
    }

    /// @notice Admits a member. The identical call again does nothing.
    function addMember(address member, string calldata name, string calldata url) external {
        if (msg.sender != founder) revert NotFounder(msg.sender);
        bytes32 profile = _profile(name, url);
        if (profiles[member] == profile) return;
        if (isMember(member)) revert AlreadyMember(member);
        profiles[member] = profile;
        emit MemberAdded(member, name, url);
    }

    /// @notice A member states its name and the URL of its stack anew.
    function describe(string calldata name, string calldata url) external {
        if (!isMember(msg.sender)) revert NotMember(msg.sender);
        bytes32 profile = _profile(name, url);
        if (profiles[msg.sender] == profile) return;
        profiles[msg.sender] = profile;
        emit MemberChanged(msg.sender, name, url);
    }

    /// @notice Registers the caller as a runner of `member` and pulls its stake. The identical call again does
    ///         nothing; a runner that left never comes back under the same address.
    function register(address member, uint256 stake) external {
        Runner storage runner = _runners[msg.sender];
        if (runner.registeredAt != 0) {
            if (runner.member == member && runner.stake == stake && runner.leftAt == 0) return;
            revert AlreadyRegistered(msg.sender);
        }
        if (!isMember(member)) revert NotMember(member);
        if (stake < minStake) revert StakeTooSmall(stake, minStake);
        runner.member = member;
        runner.registeredAt = uint48(block.timestamp);
        runner.stake = stake;
        emit RunnerRegistered(msg.sender, member, stake);
        ExactTransfer.pull(token, msg.sender, stake);
    }

    /// @notice The calling runner takes part no longer. Again does nothing: the first exit counts.
    function exit() external {
        Runner storage runner = _runners[msg.sender];
        if (runner.registeredAt == 0) revert NotRegistered(msg.sender);
        if (runner.leftAt != 0) return;
        runner.leftAt = uint48(block.timestamp);
        emit RunnerLeft(msg.sender, runner.member);
    }

    /// @notice Returns the stake of the calling runner when the unbonding period is over. Again does nothing.
    function withdraw() external {
        Runner storage runner = _runners[msg.sender];
        if (runner.leftAt == 0) revert NotLeft(msg.sender);
        uint256 until = runner.leftAt + unbondingSeconds;
        if (block.timestamp < until) revert StillBonded(msg.sender, until);
        uint256 stake = runner.stake;
        if (stake == 0) return;
        runner.stake = 0;
        emit StakeWithdrawn(msg.sender, stake);
        token.safeTransfer(msg.sender, stake);
    }

    /// @notice Takes the stake of a runner that signed two different things. Only by the judge that has checked both
    ///         signatures. Three tenths go to the reporter; the rest stays here for ever, so that reporting oneself is
    ///         no way out of the unbonding period.
    function slash(address account, address reporter) external {
        if (msg.sender != slasher) revert NotSlasher(msg.sender);
        Runner storage runner = _runners[account];
        if (runner.registeredAt == 0) revert NotRegistered(account);
        uint256 stake = runner.stake;
        runner.stake = 0;
        if (runner.leftAt == 0) runner.leftAt = uint48(block.timestamp);
        emit RunnerSlashed(account, reporter, stake);
        if (stake != 0) token.safeTransfer(reporter, (stake * 30) / 100);
    }

    function isMember(address account) public view returns (bool) {
        return profiles[account] != 0;
    }

    function runners(
        address runner
    ) external view returns (address member, uint256 stake, uint256 registeredAt, uint256 leftAt) {
        Runner storage entry = _runners[runner];
        return (entry.member, entry.stake, entry.registeredAt, entry.leftAt);
    }

    function _profile(string calldata name, string calldata url) private pure returns (bytes32) {
        return keccak256(abi.encode(name, url));
    }
}
