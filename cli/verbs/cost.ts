import { growingCost, monthlyCost, notIncluded, type Load } from '#infra/cost.js';
import { pricesAsOf } from '#infra/prices.js';
import { sumCost, sumRules } from '#infra/sumCost.js';
import { addVerb, UsageError } from '../command.js';
import type { Verb } from '../run.js';
import { count } from '../terminal/format.js';
import { table } from '../terminal/text.js';

export const costVerb: Verb = (program, does) => {
  addVerb(
    program,
    'cost',
    'what a month of a stack costs on AWS, by service, from list prices',
    'cost --runners 10 --rounds 300 --params 1e6',
  )
    .requiredOption('--runners <n>', 'runners that are always on and take part in every round')
    .requiredOption('--rounds <n>', 'rounds a month')
    .requiredOption('--params <n>', "the model's parameters")
    .option('--personal', 'a stage of one person instead of production')
    .action(
      does<{ runners: string; rounds: string; params: string; personal?: boolean }>((context, options) => {
        const load: Load = {
          runners: readCount('--runners', options.runners),
          rounds: readCount('--rounds', options.rounds),
          parameters: readCount('--params', options.params),
          kind: options.personal === true ? 'personal' : 'production',
        };
        const lines = monthlyCost(load);
        const total = lines.reduce((sum, line) => sum + line.dollars, 0);
        const growth = growingCost(load);
        const theme = context.terminal.theme();
        const sum = load.parameters > sumRules.most && load.runners > 0 ? sumCost(load) : null;
        context.print({ pricesAsOf, load, lines, total, growthPerMonth: growth, sum, notIncluded }, () => [
          `A month with ${count(load.runners)} runners, ${count(load.rounds)} rounds, ${count(load.parameters)} parameters (${load.kind}):`,
          '',
          ...table(
            theme,
            [{ title: 'service' }, { title: 'for' }, { title: 'USD', align: 'right' }],
            [
              ...lines.map(({ service, what, dollars }) => [service, what, money(dollars)]),
              ['total', '', money(total)],
            ],
            2,
          ),
          '',
          ...(sum
            ? [
                `The updates are larger than what the worker adds: ${count(sum.functions)} functions add a range each, ${Math.round(sum.secondsOfOne)} s and together ${sum.dollars.total.toFixed(4)} USD a round (docs/costs.md).`,
              ]
            : []),
          `Storage grows by ${money(growth)} a month for every month so far.`,
          `List prices of us-east-1, ${pricesAsOf}, without free tiers; docs/operations.md has sources and assumptions.`,
          `Not included: ${notIncluded.join('; ')}.`,
        ]);
      }),
    );
};

const money = (dollars: number): string =>
  dollars.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 });

function readCount(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > 1e13)
    throw new UsageError(`${option} is "${text}"; it takes a whole number such as 10 or 1e6.`);
  return value;
}
