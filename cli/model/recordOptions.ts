import type { Command } from 'commander';

/** Options of verbs that read chain and archive themselves: no stack is needed. */
export function addRecordOptions(command: Command): Command {
  return addPlaceOptions(command).option(
    '--offline <dir>',
    'no network at all: read what `model verify --save` kept',
  );
}

/** Where chain and archive are. */
export function addPlaceOptions(command: Command): Command {
  return command
    .option(
      '--rpc <url>',
      "a node of the chain; several: the first that answers (default: this stack's)",
      several,
    )
    .option('--gateway <url>', "an Arweave gateway; several: in this order (default: this stack's)", several)
    .option('--deployment <file>', "JSON with the addresses of the contracts (default: this stack's)");
}

/** What whoever audits may hold besides: updates, and the keys that open them. */
export function addAuditorOptions(command: Command): Command {
  return command
    .option(
      '--updates <dir or url>',
      'where updates are, from which sums are recomputed (besides the runners of this stack)',
      several,
    )
    .option(
      '--sealing-key <file>',
      'opens models and updates that are sealed for its owner (default: keys of this stack)',
      several,
    );
}

/** For an option that may be given more than once. */
export function several(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}
