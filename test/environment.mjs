import { TestEnvironment } from 'jest-environment-node';

/**
 * Native add-ons check `instanceof` against the outer realm's typed arrays; Jest's sandbox has its own.
 * Handing over the outer ones lets tests pass tensors and buffers to native code.
 */
export default class RoundtableEnvironment extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    Object.assign(this.global, {
      ArrayBuffer,
      SharedArrayBuffer,
      DataView,
      Uint8Array,
      Int8Array,
      Uint16Array,
      Int16Array,
      Uint32Array,
      Int32Array,
      Float32Array,
      Float64Array,
      BigInt64Array,
      BigUint64Array,
    });
  }
}
