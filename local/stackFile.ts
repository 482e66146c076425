/**
 * STATE/stack.json: what a running stack tells whoever wants to talk to it. Written by `roundtable up` once
 * every part is ready, read by the command line. It names key files, never keys.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { RoundtableError } from '#core/errors.js';
import { address, parseMessage, slug } from '#core/schema.js';

const url = z.url({ protocol: /^https?$/ });
const path = z.string().min(1);

export const stackFile = z.strictObject({
  /** The API, without a slash at the end. */
  api: url,
  /** The Arweave gateway. */
  gateway: url,
  chain: z.strictObject({
    rpcUrl: url,
    /** JSON of contracts/deployment.ts, handed to services/chain.ts as it is. */
    deployment: z.looseObject({}),
  }),
  temporal: z.strictObject({ address: z.string().min(1), ui: url.nullable() }),
  /** Address of the member whose stack this is: the audience of every signed request, the payer of rewards. */
  coordinator: address,
  /** Paths of key files by their role; `coordinator` signs the member's requests. */
  keys: z.object({ coordinator: path }).catchall(path),
  members: z.array(
    z.strictObject({
      name: slug,
      address,
      /** The member's wallet. */
      key: path,
      /** Its X25519 private key, which opens archives that were encrypted for it. */
      sealing: path.optional(),
    }),
  ),
  runners: z.array(z.strictObject({ name: slug, runner: address, member: address, home: path })),
});
export type StackFile = z.output<typeof stackFile>;

export const stackFilePath = (state: string): string => join(state, 'stack.json');

/** @throws NOT_FOUND when no stack was ever brought up with this state folder, INVALID_INPUT when the file is not one */
export function readStackFile(state: string): StackFile {
  const file = stackFilePath(state);
  if (!existsSync(file))
    throw new RoundtableError(
      'NOT_FOUND',
      `There is no stack in ${state}: ${file} does not exist. Bring one up with \`roundtable up\` or \`npm start\`, or name its folder with --state.`,
    );
  return parseMessage(stackFile, parseJson(file), file);
}

/** Replaces the file in one step, so that a reader never sees half of it. */
export function writeStackFile(state: string, stack: StackFile): void {
  const file = stackFilePath(state);
  writeFileSync(`${file}.new`, JSON.stringify(stackFile.parse(stack), null, 2) + '\n', { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

function parseJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new RoundtableError(
      'FORMAT_INVALID',
      `${file} is not JSON. Delete it and bring the stack up again.`,
      { cause },
    );
  }
}
