import {
  hasAppPlatform,
  synthesiseApp,
  synthesiseCompute,
  type AppPlane,
  type Template,
} from '#infra/synthesis.js';

/** What a deployment would create: resources by kind, for each stack in the order of deployment. */
export interface PlannedStack {
  stack: string;
  tool: 'cdk' | 'sst';
  resources: number;
  /** The most telling kinds first, such as ['Lambda Function', 6]. */
  kinds: [kind: string, count: number][];
}

/** @returns null for the app plane when SST's platform is not installed, which would take minutes */
export async function planDeployment(
  stage: string,
  place: { root: string; folder: string },
): Promise<{ stacks: PlannedStack[]; appPlane: boolean }> {
  const appPlane = hasAppPlatform(place.root);
  const [compute, app] = await Promise.all([
    synthesiseCompute(stage, place),
    appPlane ? synthesiseApp(stage, place) : null,
  ]);
  const order = ['Network', 'Database', 'Temporal', 'App', 'Gatekeeper', 'Worker', 'Fleet'];
  const stacks = [...Object.entries(compute).map(ofTemplate), ...(app ? [ofApp(app)] : [])];
  return {
    appPlane,
    stacks: stacks.sort((a, b) => order.indexOf(a.stack) - order.indexOf(b.stack)),
  };
}

const ofTemplate = ([stack, { Resources }]: [string, Template]): PlannedStack => ({
  stack,
  tool: 'cdk',
  ...count(Object.values(Resources).map(({ Type }) => Type.replace(/^AWS::/, '').replace('::', ' '))),
});

/** Components of SST are no resources; their parts are. */
const ofApp = ({ resources }: AppPlane): PlannedStack => ({
  stack: 'App',
  tool: 'sst',
  ...count(
    resources.flatMap(({ type }) => {
      const [, service, kind] = /^aws:([^/:]+)\/[^:]+:(\w+)$/.exec(type) ?? [];
      return service && kind ? [`${service[0]?.toUpperCase()}${service.slice(1)} ${kind}`] : [];
    }),
  ),
});

function count(kinds: string[]): Pick<PlannedStack, 'resources' | 'kinds'> {
  const counts = new Map<string, number>();
  for (const kind of kinds) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return {
    resources: kinds.length,
    kinds: [...counts].sort(([a, m], [b, n]) => n - m || a.localeCompare(b)),
  };
}
