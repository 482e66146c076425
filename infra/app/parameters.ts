import { appGives, computeGives, parameterName, type FromApp, type FromCompute } from '../contract.js';

export type ComputeParameters = Record<FromCompute, $util.Output<string>>;

/** What the compute plane gave; a deployment without it stops here and names the parameter. */
export function takeParameters(): ComputeParameters {
  const values = computeGives.map((name) => [
    name,
    aws.ssm.getParameterOutput({ name: parameterName($app.stage, name) }).value,
  ]);
  return Object.fromEntries(values) as ComputeParameters;
}

export function giveParameters(values: Record<FromApp, $util.Input<string>>): void {
  for (const name of appGives)
    new aws.ssm.Parameter(`Give${name.replace(/(^|[/-])(\w)/g, (_, __, letter) => letter.toUpperCase())}`, {
      name: parameterName($app.stage, name),
      type: 'String',
      value: values[name],
    });
}
