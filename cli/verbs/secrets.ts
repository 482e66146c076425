import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Wallet } from 'ethers';
import { RoundtableError } from '#core/errors.js';
import { toHex } from '#core/hex.js';
import { checkStage } from '#infra/settings.js';
import { generateArchiveKey } from '#services/archive.js';
import { generateTlsKey, issueCertificate } from '#services/certificate.js';
import { generateX25519Key } from '#services/x25519.js';
import { readWallet } from '../api.js';
import { addVerb, UsageError } from '../command.js';
import type { Verb } from '../run.js';

/** Makes what a member puts into Secrets Manager and nobody else has: keys, a certificate, a shared secret. */
export const secretsVerb: Verb = (program, does) => {
  addVerb(
    program,
    'secrets',
    "make the keys of a member's stage, each in a file that is never overwritten, and say where they belong",
    'secrets --stage production --out secrets-production',
    'secrets --only runner/gpu-1 --stage production --out secrets-production',
  )
    .requiredOption('--stage <name>', 'the stage whose secrets they are')
    .requiredOption('--out <folder>', 'for the files; a file that is there stays')
    .option('--only <name...>', 'these alone, such as gatekeeper-certificate or runner/NAME of the fleet')
    .option('--days <count>', "for how long the gatekeeper's certificate counts", '365')
    .action(
      does<{ stage: string; out: string; only?: string[]; days: string }>(async (context, options) => {
        checkStage(options.stage);
        const days = Number(options.days);
        if (!(days >= 1 && days <= 825)) throw new UsageError('--days is a number from 1 to 825.');
        const kinds = (options.only ?? Object.keys(makers)).map(kindOf);
        const folder = resolve(context.folder, options.out);
        mkdirSync(folder, { recursive: true, mode: 0o700 });
        const made: string[] = [];
        for (const { secrets, make } of kinds) {
          const there = secrets.map(fileOf).filter((file) => existsSync(join(folder, file)));
          if (there.length === secrets.length) continue;
          if (there.length > 0) throw halfMade(folder, there, secrets.map(fileOf));
          for (const [index, text] of (await make(days)).entries()) {
            const name = String(secrets[index]);
            writeFileSync(join(folder, fileOf(name)), `${text.trim()}\n`, { mode: 0o600, flag: 'wx' });
            made.push(name);
          }
        }
        const names = kinds.flatMap(({ secrets }) => secrets);
        const accounts = Object.fromEntries(
          names
            .filter((name) => name === 'coordinator-key' || name.startsWith('runner/'))
            .map((name) => [name, readWallet(join(folder, fileOf(name))).address.toLowerCase()]),
        );
        context.print({ folder, made, names, accounts }, () => [
          made.length === 0
            ? 'All were there already; nothing was changed.'
            : `Made ${made.join(', ')} in ${folder}.`,
          ...Object.entries(accounts).map(([name, account]) => `${name} is the key of ${account}.`),
          'Once their stack is deployed, put them into Secrets Manager:',
          ...names.map(
            (name) =>
              `  aws secretsmanager put-secret-value --secret-id roundtable/${options.stage}/${name} --secret-string file://${join(options.out, fileOf(name))}`,
          ),
        ]);
      }),
    );
};

const fileOf = (secret: string): string => secret.replace('/', '-');

const halfMade = (folder: string, there: string[], all: string[]): RoundtableError =>
  new RoundtableError(
    'CONFLICT',
    `${folder} holds ${there.join()} alone of ${all.join(' and ')}, which are made together. Put the other beside it, or remove it.`,
  );

interface Kind {
  /** Made together, or not at all. */
  secrets: string[];
  make(days: number): Promise<string[]>;
}

const evmKey = (): Promise<string[]> => Promise.resolve([Wallet.createRandom().privateKey]);

/** @throws UsageError for what is not made here */
function kindOf(name: string): Kind {
  if (/^runner\/[a-z0-9-]+$/.test(name)) return { secrets: [name], make: evmKey };
  const kind = makers[name];
  if (!kind)
    throw new UsageError(
      `${name} is not made here. These are: ${Object.keys(makers).join(', ')}, and runner/NAME of the fleet.`,
    );
  return kind;
}

const makers: Record<string, Kind> = {
  'coordinator-key': {
    secrets: ['coordinator-key'],
    make: evmKey,
  },
  'coordinator-sealing-key': {
    secrets: ['coordinator-sealing-key'],
    make: () => Promise.resolve([toHex(generateX25519Key().privateKey)]),
  },
  'arweave-key': {
    secrets: ['arweave-key'],
    make: async () => [JSON.stringify(await generateArchiveKey())],
  },
  'gatekeeper-certificate': {
    secrets: ['gatekeeper-certificate', 'gatekeeper-key'],
    make: async (days) => {
      const { certificate, privateKey } = await issueCertificate({
        privateKey: generateTlsKey(),
        name: 'gatekeeper',
        seconds: days * 86_400,
        purpose: 'gatekeeper',
      });
      return [certificate, privateKey];
    },
  },
  'gatekeeper-secrets': {
    secrets: ['gatekeeper-secrets'],
    make: () => Promise.resolve([randomBytes(32).toString('hex')]),
  },
};
