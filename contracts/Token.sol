// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title The consortium's token on local and test stacks: an ERC-20 with permit and 18 decimals.
/// @notice A real consortium names an ERC-20 that exists; nothing else here depends on this contract.
contract Token is ERC20Permit {
    /// @param supply units of 10^-18 token, all minted to the deployer; nobody can mint more.
    constructor(uint256 supply) ERC20("Roundtable Token", "RTT") ERC20Permit("Roundtable Token") {
        _mint(msg.sender, supply);
    }
}
