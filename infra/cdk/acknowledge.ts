import { Stack, Validations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';

/** Accepts wildcards in a policy one by one: cdk-nag wants each named, tokens by what they refer to. */
export function acknowledgeWildcards(policy: IConstruct, resources: readonly string[], reason: string): void {
  for (const resource of resources)
    Validations.of(policy).acknowledge({
      id: `AwsSolutions::AwsSolutions-IAM5[Resource::${named(Stack.of(policy).resolve(resource))}]`,
      reason,
    });
}

/** @example named({ 'Fn::Join': ['', [{ Ref: 'Arn' }, '/index/*']] }) // '<Arn>/index/*' */
function named(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'object' && value !== null) {
    if ('Ref' in value) return `<${String(value.Ref)}>`;
    if ('Fn::Join' in value) {
      const [separator, parts] = value['Fn::Join'] as [string, unknown[]];
      return parts.map(named).join(separator);
    }
  }
  throw new Error(`cdk-nag's name for ${JSON.stringify(value)} is not known here.`);
}
