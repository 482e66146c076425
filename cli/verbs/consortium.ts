import type { Command } from 'commander';
import type { Hex } from '#core/hex.js';
import { address, parseMessage } from '#core/schema.js';
import type { Chain } from '#services/chain.js';
import { withChain, type ChainOptions } from '../chain.js';
import { addVerb } from '../command.js';
import { decide, keyOption, type SignerOptions } from '../consortium/decision.js';
import { foundVerb } from '../consortium/founding.js';
import { several } from '../model/recordOptions.js';
import type { Verb } from '../run.js';
import { table } from '../terminal/text.js';

/** How a consortium comes to be, and who belongs to it. */
export const consortiumVerbs: Verb = (program, does) => {
  const consortium = program
    .command('consortium')
    .description('found a consortium, and decide who belongs to it');
  foundVerb(consortium, does);

  addVerb(
    consortium,
    'members',
    'who belongs to it, with the URL of its stack and whether it has announced a key',
    'consortium members --stage infra/stages/production.json --rpc https://node.example.org',
  )
    .requiredOption(...stageOption)
    .requiredOption(...rpcOption, several)
    .action(
      does<ChainOptions>((context, options) =>
        withChain(context, options, async (chain) => {
          const members = await Promise.all(
            (await chain.members()).map(async (member) => ({
              ...member,
              sealingKey: await chain.sealingKey(member.member),
            })),
          );
          context.print(members, () =>
            table(
              context.terminal.theme(),
              [{ title: 'member' }, { title: 'name' }, { title: 'stack' }, { title: 'key' }],
              members.map(({ member, name, url, sealingKey }) => [
                member,
                name,
                url || 'none',
                sealingKey === null ? 'not announced' : 'announced',
              ]),
            ),
          );
        }),
      ),
    );

  memberVerb(
    consortium,
    'admit <member>',
    "admit a member: the founder alone until the first vote has passed, then by more than half of the members' votes",
    'consortium admit 0x… --name north --url https://stack.north.example.org --key my.key --stage infra/stages/production.json --rpc https://node.example.org',
  )
    .requiredOption('--name <name>', 'what it is called')
    .option('--url <url>', "its stack's API, where its runners look for it", '')
    .action(
      does<SignerOptions & { name: string; url: string }>((context, options, given = '') => {
        const member = parseMessage(address, given.toLowerCase(), 'The member');
        return decide(context, options, {
          intent: `admit/${member}/${options.name}/${options.url}`,
          call: async ({ calls, signer, chain }) =>
            (await chain.mayAdmit(signer))
              ? calls.addMember(member, options.name, options.url)
              : calls.voteMember(member, options.name, options.url),
          done: (chain) => stands(chain, member, options),
          said: (done) =>
            done ? `${member} is a member.` : `Your vote for ${member} counts; more are needed.`,
        });
      }),
    );

  memberVerb(
    consortium,
    'remove <member>',
    'vote a member out; its record stays',
    'consortium remove 0x… --key my.key --stage infra/stages/production.json --rpc https://node.example.org',
  ).action(
    does<SignerOptions>((context, options, given = '') => {
      const member = parseMessage(address, given.toLowerCase(), 'The member');
      return decide(context, options, {
        intent: `remove/${member}`,
        call: ({ calls }) => Promise.resolve(calls.voteRemoval(member)),
        done: async (chain) => !(await chain.isMember(member)),
        said: (done) =>
          done ? `${member} is no member any more.` : `Your vote against ${member} counts; more are needed.`,
      });
    }),
  );

  memberVerb(
    consortium,
    'describe',
    'state, as a member, your name and the URL of your stack, by which runners find it',
    'consortium describe --name north --url https://stack.north.example.org --key my.key --stage infra/stages/production.json --rpc https://node.example.org',
  )
    .requiredOption('--name <name>', 'what you are called')
    .requiredOption('--url <url>', "your stack's API")
    .action(
      does<SignerOptions & { name: string; url: string }>((context, options) =>
        decide(context, options, {
          intent: `describe/${options.name}/${options.url}`,
          call: ({ calls }) => Promise.resolve(calls.describe(options.name, options.url)),
          done: (chain, signer) => stands(chain, signer, options),
          said: () => `The chain names ${options.name} at ${options.url}.`,
        }),
      ),
    );
};

const stageOption = [
  '--stage <file>',
  'settings of the stage, with the deployment of the contracts',
] as const;
const rpcOption = ['--rpc <url>', 'a node of the chain; name two or three of different providers'] as const;

const memberVerb = (parent: Command, usage: string, description: string, example: string): Command =>
  addVerb(parent, usage, description, example)
    .requiredOption(...keyOption)
    .requiredOption(...stageOption)
    .requiredOption(...rpcOption, several);

async function stands(chain: Chain, member: Hex, as: { name: string; url: string }): Promise<boolean> {
  const found = (await chain.members()).find((each) => each.member === member);
  return found?.name === as.name && found.url === as.url;
}
