import { aws_ssm as ssm } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { parameterName, type FromApp, type FromCompute } from '../contract.js';

/** Hands a value to the app plane. */
export function give(scope: Construct, stage: string, name: FromCompute, value: string): void {
  new ssm.StringParameter(scope, `Give-${name}`, {
    parameterName: parameterName(stage, name),
    stringValue: value,
  });
}

/** A value that the app plane gave, read when the stack is deployed. */
export function take(scope: Construct, stage: string, name: FromApp): string {
  return ssm.StringParameter.valueForStringParameter(scope, parameterName(stage, name));
}
