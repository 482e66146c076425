// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {ExactTransfer} from "./lib/ExactTransfer.sol";

/// @title Who takes part: the members of a consortium and their runners with their stakes.
/// @notice Members admit and remove members, by more than half of their votes; the founder's key admits them only until
///         the first vote has passed. A runner registers itself, once for ever: an address never stands for
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
    event MemberRemoved(address indexed member);
    event Voted(address indexed voter, bytes32 indexed ballot, address indexed member, uint256 votes);
    event SealingKeyChanged(address indexed member, bytes32 key);
    event RunnerServes(address indexed runner, bytes32 tlsFingerprint, string[] data);
    event MemberChanged(address indexed member, string name, string url);
    event RunnerRegistered(address indexed runner, address indexed member, uint256 stake);
    event RunnerLeft(address indexed runner, address indexed member);
    event RunnerSlashed(address indexed runner, address indexed reporter, uint256 stake);
    event PauseChanged(bool paused);
    event SuccessorNamed(address indexed jobs);
    event StakeWithdrawn(address indexed runner, uint256 stake);

    error NotFounder(address caller);
    error NotSlasher(address caller);
    error NotMember(address account);
    error AlreadyMember(address member);
    error VotedBefore(address voter, bytes32 ballot);
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

    /// @notice The judges that may slash runners; they hold no key.
    mapping(address judge => bool) public slashers;

    /// @notice keccak256 of a member's name and URL; 0 for whoever is no member.
    mapping(address member => bytes32) public profiles;
    /// @notice X25519 key that archives are sealed for.
    mapping(address member => bytes32) public sealingKeys;
    /// @notice SHA-256 of the TLS public key (SubjectPublicKeyInfo, DER) behind a runner's certificates: it stays when
    ///         a certificate is renewed.
    mapping(address runner => bytes32) public tlsFingerprints;
    /// @notice Where a member stands in the list, counted from 1; 0 for whoever is no member. Removals move the last.
    mapping(address member => uint256) public placeOf;
    address[] private _list;
    /// @notice Changes of the membership so far: a ballot counts until the next.
    uint32 public changes;
    /// @notice A vote has passed: the founder's key admits nobody any more.
    bool public voted;
    /// @notice No job is created while this holds; what runs goes on, and so do claims and disputes.
    bool public paused;
    /// @notice The Jobs contract of a newer deployment that members have named; 0 for none.
    address public successor;
    mapping(bytes32 ballot => uint256) private _votes;
    mapping(bytes32 ballot => mapping(address voter => bool)) private _hasVoted;
    mapping(address runner => Runner) private _runners;

    constructor(IERC20 token_, uint256 minStake_, uint256 unbondingSeconds_, address[] memory slashers_) {
        founder = msg.sender;
        for (uint256 i = 0; i < slashers_.length; ++i) slashers[slashers_[i]] = true;
        token = token_;
        minStake = minStake_;
        unbondingSeconds = unbondingSeconds_;
    }

    /// @notice Admits a member, by the founder's key. The identical call again does nothing.
    function addMember(address member, string calldata name, string calldata url) external {
        if (msg.sender != founder || voted) revert NotFounder(msg.sender);
        if (profiles[member] == _profile(name, url)) return;
        if (isMember(member)) revert AlreadyMember(member);
        _add(member, name, url);
    }

    /// @notice Votes for a new member, which is admitted when more than half of the members have voted for exactly this.
    function voteMember(address member, string calldata name, string calldata url) external {
        if (profiles[member] == _profile(name, url)) return;
        if (isMember(member)) revert AlreadyMember(member);
        if (_vote(member, keccak256(abi.encode(changes, member, _profile(name, url)))))
            _add(member, name, url);
    }

    /// @notice Votes for the removal of a member. Its running jobs go on; it creates no new ones.
    function voteRemoval(address member) external {
        if (!isMember(member)) revert NotMember(member);
        if (!_vote(member, keccak256(abi.encode(changes, member)))) return;
        delete profiles[member];
        uint256 place = placeOf[member];
        address last = _list[_list.length - 1];
        (_list[place - 1], placeOf[last]) = (last, place);
        delete placeOf[member];
        _list.pop();
        ++changes;
        emit MemberRemoved(member);
    }

    /// @notice Votes to pause, or to go on: a pause stops new jobs and nothing else.
    function votePause(bool pause) external {
        if (pause == paused) return;
        if (!_vote(address(0), keccak256(abi.encode(changes, "pause", pause)))) return;
        paused = pause;
        ++changes;
        emit PauseChanged(pause);
    }

    /// @notice Votes for the newer deployment that members shall go on with, by its Jobs contract. Nothing here changes
    ///         with it: whoever reads this consortium sees where the next one is.
    function voteSuccessor(address jobs) external {
        if (jobs == successor) return;
        if (!_vote(jobs, keccak256(abi.encode(changes, "successor", jobs)))) return;
        successor = jobs;
        ++changes;
        emit SuccessorNamed(jobs);
    }

    /// @notice A member states the X25519 key that archives are sealed for it with.
    function announceKey(bytes32 sealingKey) external {
        if (!isMember(msg.sender)) revert NotMember(msg.sender);
        sealingKeys[msg.sender] = sealingKey;
        emit SealingKeyChanged(msg.sender, sealingKey);
    }

    /// @notice A runner states its TLS public key and the data it serves, by the names of data contracts.
    function serve(bytes32 tlsFingerprint, string[] calldata data) external {
        Runner storage runner = _runners[msg.sender];
        if (runner.registeredAt == 0 || runner.leftAt != 0) revert NotRegistered(msg.sender);
        tlsFingerprints[msg.sender] = tlsFingerprint;
        emit RunnerServes(msg.sender, tlsFingerprint, data);
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

    /// @notice Takes the stake of a runner that signed two different things, or does not open what it sealed. Only by
    ///         a judge, which has checked it. Three tenths go to the reporter; the rest stays here for ever, so that reporting oneself is
    ///         no way out of the unbonding period.
    function slash(address account, address reporter) external {
        if (!slashers[msg.sender]) revert NotSlasher(msg.sender);
        Runner storage runner = _runners[account];
        if (runner.registeredAt == 0) revert NotRegistered(account);
        uint256 stake = runner.stake;
        runner.stake = 0;
        if (runner.leftAt == 0) runner.leftAt = uint48(block.timestamp);
        emit RunnerSlashed(account, reporter, stake);
        if (stake != 0) token.safeTransfer(reporter, (stake * 30) / 100);
    }

    /// @notice How many members there are.
    function members() public view returns (uint256) {
        return _list.length;
    }

    /// @notice The member at a position, counted from 0.
    function memberAt(uint256 position) external view returns (address) {
        return _list[position];
    }

    /// @notice The members that a draw without repetition gives, in its order: the first steps of a Fisher-Yates shuffle of
    ///         the list. No more than there are members.
    /// @param places bit i: the one drawn i-th is wanted; the others stay 0.
    function drawMembers(
        uint256 seed,
        uint256 count,
        uint256 places
    ) external view returns (address[] memory drawn, uint256 all) {
        all = _list.length;
        if (count > all) count = all;
        drawn = new address[](count);
        // What the steps so far have put at `picks[j]` is `displaced[j]`; everywhere else lies what lay there.
        uint256[] memory picks = new uint256[](count);
        uint256[] memory displaced = new uint256[](count);
        unchecked {
            for (uint256 i = 0; i < count && places >> i != 0; ++i) {
                bytes32 random = Hashes.efficientKeccak256(bytes32(seed), bytes32(i));
                uint256 pick = i + (uint256(random) % (all - i));
                (uint256 chosen, uint256 lies) = (pick, i);
                for (uint256 j = 0; j < i; ++j) {
                    uint256 before = picks[j];
                    if (before == pick) chosen = displaced[j];
                    if (before == i) lies = displaced[j];
                }
                (picks[i], displaced[i]) = (pick, lies);
                if ((places >> i) & 1 == 1) drawn[i] = _list[chosen];
            }
        }
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

    function _add(address member, string calldata name, string calldata url) private {
        profiles[member] = _profile(name, url);
        _list.push(member);
        placeOf[member] = _list.length;
        ++changes;
        emit MemberAdded(member, name, url);
    }

    /// @return passed whether this vote made it more than half.
    function _vote(address member, bytes32 ballot) private returns (bool passed) {
        if (!isMember(msg.sender)) revert NotMember(msg.sender);
        if (_hasVoted[ballot][msg.sender]) revert VotedBefore(msg.sender, ballot);
        _hasVoted[ballot][msg.sender] = true;
        uint256 votes = ++_votes[ballot];
        emit Voted(msg.sender, ballot, member, votes);
        passed = 2 * votes > _list.length;
        if (passed && !voted) voted = true;
    }

    function _profile(string calldata name, string calldata url) private pure returns (bytes32) {
        return keccak256(abi.encode(name, url));
    }
}
