// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Pays wei to an account that may refuse them, by a call that anyone may send.
library WeiTransfer {
    error GasTooLittle();

    /// @dev An account that refuses must not be able to keep open what is paid for; then the wei stay. But whoever calls
    ///      must not be able to leave it too little gas to accept: of 64,000 a call passes on 63,000 at most, and
    ///      1,000 remain. Estimates of gas find by this how much is needed, too.
    function pay(address to, uint256 amount) internal {
        bool paid;
        // Solidity would copy what the account returns, at the caller's expense, however much that is.
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            paid := call(gas(), to, amount, 0, 0, 0, 0)
        }
        if (!paid && gasleft() < 1_000) revert GasTooLittle();
    }
}
