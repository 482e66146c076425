import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { toHex } from '#core/hex.js';
import { stackEntrance } from '#core/entryMessages.js';
import { parseMessage } from '#core/schema.js';
import { signEntrance } from '#services/entrance.js';
import { x25519PublicKey } from '#services/x25519.js';
import { readWallet } from '../api.js';
import { readStageChain } from '../chain.js';
import { readSealingKey } from '../model/sources.js';
import { addVerb, UsageError } from '../command.js';
import type { Verb } from '../run.js';

interface EntranceOptions {
  gatekeeper: string;
  certificate: string[];
  key: string;
  sealing: string;
  stage: string;
  namespace: string;
  days: string;
}

export const entranceVerb: Verb = (program, does) => {
  addVerb(
    program,
    'entrance',
    'sign, as the member, where runners enter your stack; the API is given what it prints',
    'entrance --gatekeeper gate.example.org:7233 --certificate gatekeeper.crt --key member.key --sealing member.x25519 --stage infra/stages/production.json',
  )
    .requiredOption('--gatekeeper <host:port>', 'where the gatekeeper is')
    .requiredOption('--certificate <file...>', "the gatekeeper's certificate; two while it is being changed")
    .requiredOption('--key <file>', "the member's EVM key")
    .requiredOption('--sealing <file>', "the member's X25519 key, the one that it announced on chain")
    .requiredOption('--stage <file>', 'settings of the stage, with the deployment of the contracts')
    .option('--namespace <name>', "Temporal's namespace", 'default')
    .option('--days <count>', 'for how long it counts', '90')
    .action(
      does<EntranceOptions>(async (context, options) => {
        const read = (path: string): string => readFileSync(resolve(context.folder, path), 'utf8');
        const days = Number(options.days);
        if (!(days > 0 && days <= 400)) throw new UsageError('--days is a number from 1 to 400.');
        const place = readStageChain(context, options.stage).deployment;
        const signed = await signEntrance(readWallet(resolve(context.folder, options.key)), place, {
          gatekeeper: options.gatekeeper,
          namespace: options.namespace,
          sealingKey: toHex(x25519PublicKey(readSealingKey(resolve(context.folder, options.sealing)))),
          expiry: Math.floor(Date.now() / 1_000 + days * 86_400),
          certificates: options.certificate.map(read),
        });
        const entrance = parseMessage(stackEntrance, signed, 'The entrance');
        context.print(entrance, () => [JSON.stringify(entrance)]);
      }),
    );
};
