import { resolve } from 'node:path';
import { RoundtableError } from '#core/errors.js';
import { toHex, type Hex } from '#core/hex.js';
import { createSender } from '#services/chainSender.js';
import { x25519PublicKey } from '#services/x25519.js';
import { readWallet } from '../api.js';
import { withChain } from '../chain.js';
import { addVerb } from '../command.js';
import { readSealingKey } from '../model/sources.js';
import { several } from '../model/recordOptions.js';
import { intentsHere } from '../rewards/accounts.js';
import type { Verb } from '../run.js';

interface AnnounceOptions {
  key: string;
  sealing: string;
  stage: string;
  rpc: string[];
}

export const announceKeyVerb: Verb = (program, does) => {
  addVerb(
    program,
    'announce-key',
    'state on chain, as the member, the X25519 key that updates and models are sealed for',
    'announce-key --key member.key --sealing member.x25519 --stage infra/stages/production.json --rpc https://node.example.org',
  )
    .requiredOption('--key <file>', "the member's EVM key; its account pays the gas")
    .requiredOption('--sealing <file>', "the member's X25519 private key; only its public half is sent")
    .requiredOption('--stage <file>', 'settings of the stage, with the deployment of the contracts')
    .requiredOption('--rpc <url>', 'a node of the chain; name two or three of different providers', several)
    .action(
      does<AnnounceOptions>(async (context, options) => {
        const at = (path: string): string => resolve(context.folder, path);
        const wallet = readWallet(at(options.key));
        const member = wallet.address.toLowerCase() as Hex;
        const publicKey = toHex(x25519PublicKey(readSealingKey(at(options.sealing))));
        await withChain(context, options, async (chain, { consortium }) => {
          if (!(await chain.isMember(member)))
            throw new RoundtableError(
              'FORBIDDEN',
              `${member} is no member of the consortium ${chain.deployment.consortium}. Is this the right key?`,
            );
          if ((await chain.sealingKey(member)) === publicKey) {
            context.print({ member, publicKey, transaction: null }, () => [
              `${publicKey} is what ${member} has announced already.`,
            ]);
            return;
          }
          const sender = createSender({ chain, wallet, intents: intentsHere(context.state) });
          // The newest announcement counts, so going back to an earlier key is an intent of its own.
          const intent = `announce/${publicKey}/${await chain.provider.getTransactionCount(member)}`;
          const { hash } = await sender.send(intent, consortium.announceKey(publicKey));
          context.print({ member, publicKey, transaction: hash }, () => [
            `${member} has announced ${publicKey}, transaction ${hash}.`,
          ]);
        });
      }),
    );
};
