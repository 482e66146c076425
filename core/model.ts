import { ByteWriter } from './bytes.js';
import { fromHex, toHex, type Hash, type Sha256Hex, type VersionId } from './hex.js';

/** The four commitments that make a model version. */
export interface ModelVersion {
  /** SHA-256 of the ONNX graph without its trainable weights. */
  graphHash: Sha256Hex;
  /** valuesRoot of P with type `params`. */
  paramsRoot: Sha256Hex;
  /** See stepsHash in layout.ts. */
  stepsHash: Sha256Hex;
  /** valuesRoot of the server optimiser's state with type `state`; ZERO_HASH when there is none. */
  stateRoot: Sha256Hex;
}

/** H(graphHash ‖ paramsRoot ‖ stepsHash ‖ stateRoot), 128 bytes (PROTOCOL section 1). */
export function versionId(hash: Hash, version: ModelVersion): VersionId {
  return toHex(
    hash(
      new ByteWriter(128)
        .bytes(fromHex(version.graphHash), 32)
        .bytes(fromHex(version.paramsRoot), 32)
        .bytes(fromHex(version.stepsHash), 32)
        .bytes(fromHex(version.stateRoot), 32)
        .finish(),
    ),
  );
}
