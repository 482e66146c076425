// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Records} from "./Records.sol";
import {Values} from "./Values.sol";

/// @title The steps of PROTOCOL 4 on one chunk: whether new parameters follow from old ones and a sum.
/// @notice Parameters and velocities are 256 bytes of int32, sums 512 bytes of int64; callers have checked the lengths.
library Steps {
    /// @notice P' = P + roundHalfEven(S*a / (W*b)), within ±(2^31 - 1).
    function fedAvgHolds(
        Records.Terms memory terms,
        uint256 weight,
        bytes calldata sums,
        bytes memory params,
        bytes memory newParams
    ) internal pure returns (bool) {
        int256 a = int256(uint256(terms.rateNumerator));
        int256 d = int256(weight * terms.rateDenominator);
        if (d == 0) return false;
        for (uint256 i = 0; i < 64; ++i) {
            int256 expected =
                Values.int32At(params, i) + Values.roundHalfEven(Values.int64At(sums, i) * a, d);
            if (_differs(expected, Values.int32At(newParams, i))) return false;
        }
        return true;
    }

    /// @notice v' = roundHalfEven(v*c / d) + roundHalfEven(S / W), P' = P + roundHalfEven(v'*a / b).
    function fedAvgMHolds(
        Records.Terms memory terms,
        uint256 weight,
        bytes calldata sums,
        bytes memory params,
        bytes memory newParams,
        bytes memory velocity,
        bytes memory newVelocity
    ) internal pure returns (bool) {
        if (weight == 0) return false;
        for (uint256 i = 0; i < 64; ++i) {
            int256 v =
                Values.roundHalfEven(
                    Values.int32At(velocity, i) * int256(uint256(terms.momentumNumerator)),
                    int256(uint256(terms.momentumDenominator))
                ) + Values.roundHalfEven(Values.int64At(sums, i), int256(weight));
            if (_differs(v, Values.int32At(newVelocity, i))) return false;
            int256 expected =
                Values.int32At(params, i) +
                    Values.roundHalfEven(
                        v * int256(uint256(terms.rateNumerator)),
                        int256(uint256(terms.rateDenominator))
                    );
            if (_differs(expected, Values.int32At(newParams, i))) return false;
        }
        return true;
    }

    function _differs(int256 expected, int256 given) private pure returns (bool) {
        return expected != given || given < -Values.LIMIT;
    }
}
