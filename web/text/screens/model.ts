/** The screens of models, and what is said of a check. */
export const model = {
  none: 'No model has been made yet.',
  gone: 'The API knows no such version. The chain may: check it below.',
  chainSilent: (reason: string) =>
    `The API does not answer, and from the chain nothing could be read: ${reason}.`,
  fromChain: 'The API does not answer. This is what chain and archive say, read by this browser.',
  askingChain: 'The API does not answer. Asking chain and archive …',
  void: 'void',
  voidExplain: 'Void: its coordinator was convicted of a wrong number.',
  lineage: 'Lineage',
  card: 'Model card',
  cardFrom: 'Read from the manifest whose hash is on chain.',
  noPurpose: 'no purpose named',
  training: (optimizer: string, rate: number, epochs: number, batch: number) =>
    `${optimizer}, rate ${rate}, ${epochs === 1 ? '1 epoch' : `${epochs} epochs`} in batches of ${batch}`,
  files: 'Files',
  reading: 'Reading from chain and archive …',
  noTools: 'The part of the page that reads models could not be loaded.',
  take: 'Take it along',
  asAnchored: 'as anchored (int32)',
  taken: 'Saved. Its hashes are those on chain.',
  tryIt: 'Try it',
  paper: 'Paper to draw a digit on',
  examples: 'Digits drawn already',
  clear: 'Clear',
  drawOne:
    'Draw a digit, or take one that is drawn already. The model runs in this browser; nothing is sent anywhere.',
  tryExplain:
    'What is drawn is made 20 pixels large and put in the middle of 28, as the pictures of MNIST were.',
  itIs: (digit: number, share: string) => `The model sees a ${digit} (${share}).`,
  verify: 'Check it here',
  explain:
    'Expected values come from the contracts, by the node named below, and never from the API that serves this page. The file comes from the archive and is hashed in this browser.',
  start: 'Check this version',
  flip: 'Check it with one bit flipped',
  flipExplain: 'One bit of the downloaded file is turned over first. The check has to fail.',
  isTrue: (count: number, ms: string) => `True. ${count} comparisons agree with the chain, in ${ms}.`,
  isFalse: (names: string) => `False: ${names}.`,
  flippedFalse: (names: string) => `The flipped bit was noticed. False: ${names}.`,
  running: 'Checking …',
  stopped: (reason: string) => `Not known: ${reason}.`,
  node: 'Your node (JSON-RPC URL)',
  contract: 'Jobs contract',
  nodeHint: 'Any node of the chain will do, best one of your own.',
} as const;

export const check = {
  caption: 'What was compared',
  more: (groups: string) => `and ${groups} more, which are in the files`,
  progress: 'How far the check is',
} as const;
