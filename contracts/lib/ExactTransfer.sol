// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @title Pulls an ERC-20 and insists that all of it arrived.
/// @dev What a contract owes is counted in what it was told it received. A token that takes a fee, answers
///      true without moving anything, or calls back would make the two differ; such a transfer reverts.
library ExactTransfer {
    using SafeERC20 for IERC20;

    /// @param expected token units that were to arrive. @param received token units that did.
    error TokenNotExact(uint256 expected, uint256 received);

    function pull(IERC20 token, address from, uint256 amount) internal {
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(from, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        if (received != amount) revert TokenNotExact(amount, received);
    }
}
